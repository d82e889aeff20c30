// Transmission (82574 data sheet 7.2): legacy, context and data descriptors, checksums, cutting of TCP segments.

import Core

extension E1000E {
    /// What one transmit queue remembers between descriptors.
    struct Transmitter {
        /// The context descriptor that came last: words of its 16 bytes.
        var context: [UInt32] = [0, 0, 0, 0]
        /// Bytes of the frame that have been gathered, and whether it is beyond saving.
        var gathered: [UInt8] = []
        var isBad = false
        /// From the frame's first data descriptor: command and options.
        var command: UInt32 = 0
        var options: UInt32 = 0
        var isBegun = false

        mutating func transfer(_ state: inout StateTransfer) throws(StateError) {
            try state.field("context", &context)
            try state.field("gathered", &gathered, maximum: E1000E.largestFrame)
            try state.field("bad", &isBad)
            try state.field("command", &command)
            try state.field("options", &options)
            try state.field("begun", &isBegun)
        }
    }
    private enum Command {
        static let end: UInt32 = 1 << 24, checksum: UInt32 = 1 << 26, segment: UInt32 = 1 << 26, report: UInt32 = 1 << 27, extended: UInt32 = 1 << 29, vlan: UInt32 = 1 << 30
    }
    /// Frames and descriptors of one turn: others want the loop, too.
    private static var turn: (frames: Int, descriptors: Int) { (256, 4096) }

    /// There may be descriptors.
    func kick(_ queue: Int) {
        guard self[Register.transmitControl] & 2 != 0, let send, sending.insert(queue).inserted else { return }
        port?.host.loop.submit { send(queue) }
    }

    private func base(_ queue: Int) -> Int { Register.transmitRing + queue * Register.ringStep }

    func transmit(_ queue: Int) {
        sending.remove(queue)
        guard (0 ..< Self.queues).contains(queue), let memory = port?.memory, memory.isEnabled else { return }
        let at = base(queue), address = UInt64(self[at + Ring.low]) | UInt64(self[at + Ring.high]) << 32, size = self[at + Ring.length] / 16
        // A tail behind the ring's end would never be reached.
        guard self[Register.transmitControl] & 2 != 0, self[at + Ring.tail] < size else { return }
        var frames = 0, seen = 0, causes: UInt32 = 0
        while self[at + Ring.head] != self[at + Ring.tail] {
            guard frames < Self.turn.frames, seen < Self.turn.descriptors else {
                kick(queue)
                break
            }
            // A head behind the ring's end is a driver's mistake: nothing is sent until it is mended.
            let head = self[at + Ring.head]
            guard head < size, let first: UInt64 = memory.load(address &+ UInt64(head) * 16), let second: UInt64 = memory.load(address &+ UInt64(head) * 16 &+ 8) else { break }
            seen += 1
            if process(first, second, queue, memory) { frames += 1 }
            if second.low & Command.report != 0 {
                memory.store(address &+ UInt64(head) * 16 &+ 12, second.high | 1)
                causes |= Cause.written | Cause.transmitQueue << UInt32(queue)
            }
            self[at + Ring.head] = (head + 1) % size
        }
        if seen > 0, self[at + Ring.head] == self[at + Ring.tail] { causes |= Cause.queueEmpty }
        if causes != 0 { raise(causes) }
    }

    /// Takes one descriptor. - Returns: whether a frame is over.
    private func process(_ first: UInt64, _ second: UInt64, _ queue: Int, _ memory: GuestMemory) -> Bool {
        let word = second.low, isExtended = word & Command.extended != 0
        if isExtended, word >> 20 & 15 == 0 {
            transmitter[queue].context = [first.low, first.high, word, second.high]
            return false
        }
        if !transmitter[queue].isBegun {
            transmitter[queue].isBegun = true
            transmitter[queue].command = word
            // What to do; of a legacy descriptor where a checksum starts.
            transmitter[queue].options = second.high >> 8 & 0xff
        }
        let count = Int(word & (isExtended ? 0xf_ffff : 0xffff))
        if transmitter[queue].gathered.count + count > Self.largestFrame {
            transmitter[queue].isBad = true
        } else if let bytes = memory.bytes(first, count) {
            transmitter[queue].gathered += bytes
        } else {
            transmitter[queue].isBad = true
        }
        guard word & Command.end != 0 else { return false }
        let finished = transmitter[queue]
        transmitter[queue].gathered.removeAll(keepingCapacity: true)
        (transmitter[queue].isBad, transmitter[queue].isBegun) = (false, false)
        if !finished.isBad, finished.gathered.count >= 14, isLinkUp {
            // The tag stands in the last descriptor.
            let tag = word & Command.vlan != 0 && self[Register.control] & Control.vlans != 0 ? UInt16(truncatingIfNeeded: second.high >> 16) : nil
            finish(finished, word, tag)
        }
        return true
    }

    private func finish(_ job: Transmitter, _ last: UInt32, _ tag: UInt16?) {
        let size = job.gathered.count
        frame.withUnsafeMutableBytes { buffer in
            job.gathered.withUnsafeBytes { buffer.copyMemory(from: $0) }
            let whole = UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
            let context = job.context, transport = Int(context[1] & 0xff)
            guard job.command & Command.extended != 0 else {
                // Legacy: a checksum, from where the first descriptor says.
                if last & Command.checksum != 0 {
                    let start = Int(job.options), offset = Int(last >> 16 & 0xff) - start
                    _ = FrameWork.completeChecksum(whole, start: start, offset: offset)
                }
                return put(UnsafeRawBufferPointer(whole), tag)
            }
            if job.command & Command.segment != 0 {
                let length = Int(context[3] >> 16), isIPv6 = context[2] >> 25 & 1 == 0
                count(Statistics.segmented)
                // Whether the context is one of TCP: other protocols are not cut.
                guard context[2] >> 24 & 1 != 0 else { return }
                var room = [UInt8]()
                swap(&room, &scratch)
                room.withUnsafeMutableBytes { scratch in
                    _ = FrameWork.segment(UnsafeRawBufferPointer(whole), transport: transport, size: length, isIPv6: isIPv6, scratch: scratch) { put($0, tag) }
                }
                swap(&room, &scratch)
                return
            }
            if job.options & 1 != 0 { complete(whole, context[0]) }
            if job.options & 2 != 0 { complete(whole, context[1]) }
            put(UnsafeRawBufferPointer(whole), tag)
        }
    }

    /// A checksum by a context's word: where it starts, where it goes, where it ends (0: with the frame).
    private func complete(_ frame: UnsafeMutableRawBufferPointer, _ word: UInt32) {
        let start = Int(word & 0xff), place = Int(word >> 8 & 0xff), end = Int(word >> 16)
        let part = end == 0 || end >= frame.count ? frame : UnsafeMutableRawBufferPointer(rebasing: frame[...end])
        _ = FrameWork.completeChecksum(part, start: start, offset: place - start)
    }

    /// Sends a frame, with a VLAN tag behind the addresses if it has one.
    private func put(_ bytes: UnsafeRawBufferPointer, _ tag: UInt16?) {
        guard bytes.count >= 14 else { return }
        countFrame(bytes.count, target: bytes[0], isBroadcast: bytes[..<6].allSatisfy { $0 == 0xff }, isSent: true)
        guard let tag else { return network.send(bytes) }
        let kind = self[Register.vlanType]
        var tagged = Array(bytes[..<12])
        tagged += [UInt8(truncatingIfNeeded: kind >> 8), UInt8(truncatingIfNeeded: kind), UInt8(truncatingIfNeeded: tag >> 8), UInt8(truncatingIfNeeded: tag)]
        tagged += bytes[12...]
        tagged.withUnsafeBytes { network.send($0) }
    }
}
