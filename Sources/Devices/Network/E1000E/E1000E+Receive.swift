// Reception (82574 data sheet 7.1): filters, legacy, extended and packet-split descriptors, what is told of checksums.

import Core

extension E1000E {
    private enum Receive {
        static let enabled: UInt32 = 1 << 1, unicasts: UInt32 = 1 << 3, multicasts: UInt32 = 1 << 4, long: UInt32 = 1 << 5, broadcasts: UInt32 = 1 << 15
        static let vlanFilter: UInt32 = 1 << 18, strips: UInt32 = 1 << 26
    }
    private enum Status {
        static let done: UInt32 = 1, end: UInt32 = 2, ignore: UInt32 = 4, vlan: UInt32 = 8, udp: UInt32 = 0x10, transport: UInt32 = 0x20, network: UInt32 = 0x40
    }
    /// The longest frame without its checksum, unless long ones are let in.
    private static let longest = 1518, longestEver = 16384 - 4

    /// - Returns: false: there is no room now.
    func receive(_ frame: UnsafeRawBufferPointer) -> Bool {
        let control = self[Register.receiveControl]
        guard control & Receive.enabled != 0, isLinkUp, frame.count >= 14, let memory = port?.memory, memory.isEnabled else { return true }
        let isTagged = UInt32(frame[12]) << 8 | UInt32(frame[13]) == self[Register.vlanType] && frame.count >= 18
        guard frame.count <= (control & Receive.long != 0 ? Self.longestEver : Self.longest) else {
            count(Statistics.oversized)
            return true
        }
        guard admits(frame, control, isTagged: isTagged) else { return true }
        // The tag goes where the driver wants it; short frames are filled up; the checksum takes its place.
        var bytes = Array(frame), tag: UInt16?
        if isTagged, self[Register.control] & Control.vlans != 0 {
            tag = UInt16(frame[14]) << 8 | UInt16(frame[15])
            bytes.removeSubrange(12 ..< 16)
        }
        if bytes.count < 60 { bytes += [UInt8](repeating: 0, count: 60 - bytes.count) }
        if control & Receive.strips == 0 { bytes += [0, 0, 0, 0] }
        guard deliver(bytes, tag, checksumStatus(frame), memory) else { return false }
        countFrame(frame.count, target: frame[0], isBroadcast: frame[..<6].allSatisfy { $0 == 0xff }, isSent: false)
        raise(Cause.received | Cause.receiveQueue)
        return true
    }

    // MARK: filters

    private func admits(_ frame: UnsafeRawBufferPointer, _ control: UInt32, isTagged: Bool) -> Bool {
        if isTagged, control & Receive.vlanFilter != 0 {
            let number = Int(frame[14] & 15) << 8 | Int(frame[15])
            guard self[Register.vlans + number / 32 * 4] >> UInt32(number % 32) & 1 != 0 else { return false }
        }
        if frame[0] & 1 == 0, control & Receive.unicasts != 0 { return true }
        if frame[0] & 1 != 0, control & Receive.multicasts != 0 { return true }
        if control & Receive.broadcasts != 0, frame[..<6].allSatisfy({ $0 == 0xff }) { return true }
        let low = UInt32(frame[0]) | UInt32(frame[1]) << 8 | UInt32(frame[2]) << 16 | UInt32(frame[3]) << 24, high = UInt32(frame[4]) | UInt32(frame[5]) << 8
        for entry in 0 ..< 16 {
            let at = Register.addresses + entry * 8
            if self[at + 4] >> 31 != 0, self[at] == low, self[at + 4] & 0xffff == high { return true }
        }
        guard frame[0] & 1 != 0 else { return false }
        // 12 bits of the last two bytes, from one of four places, choose a bit of the table.
        let shift: UInt32 = [4, 3, 2, 0][Int(control >> 12 & 3)], hash = Int(high >> shift & 0xfff)
        return self[Register.multicast + hash / 32 * 4] >> UInt32(hash % 32) & 1 != 0
    }

    /// Ports that make right checksums themselves need no checks.
    private func checksumStatus(_ frame: UnsafeRawBufferPointer) -> UInt32 {
        let wants = self[Register.checksumControl]
        guard isVerified, wants & 0x300 != 0 else { return Status.ignore }
        let at = FrameWork.networkHeader(frame)
        var status: UInt32 = wants & 0x100 != 0 && frame.count > at && frame[at] >> 4 == 4 ? Status.network : 0
        if wants & 0x200 != 0, FrameWork.hasTransportChecksum(frame) {
            let isUDP = frame[at] >> 4 == 4 ? frame[at + 9] == 17 : frame[at + 6] == 17
            status |= Status.transport | (isUDP ? Status.udp : 0)
        }
        return status == 0 ? Status.ignore : status
    }

    // MARK: descriptors

    /// Bytes of the buffers of one descriptor.
    private var bufferSizes: [Int] {
        let control = self[Register.receiveControl]
        if isSplit {
            let sizes = self[Register.splitControl]
            return [Int(sizes & 0x7f) * 128, Int(sizes >> 8 & 0x3f) * 1024, Int(sizes >> 16 & 0x3f) * 1024, Int(sizes >> 24 & 0x3f) * 1024]
        }
        // Kilobytes of their own, for 82571 and its kin.
        if control >> 27 & 15 != 0 { return [Int(control >> 27 & 15) * 1024] }
        let size = [2048, 1024, 512, 256][Int(control >> 16 & 3)]
        return [control >> 25 & 1 != 0 && size < 2048 ? size * 16 : size]
    }
    private var isExtended: Bool { self[Register.filterControl] >> 15 & 1 != 0 }
    private var isSplit: Bool { self[Register.receiveControl] >> 10 & 3 == 1 && isExtended }

    private func deliver(_ bytes: [UInt8], _ tag: UInt16?, _ checksums: UInt32, _ memory: GuestMemory) -> Bool {
        let at = Register.receiveRing, address = UInt64(self[at + Ring.low]) | UInt64(self[at + Ring.high]) << 32
        let isSplit = isSplit, isExtended = isExtended, sizes = bufferSizes, each = sizes.reduce(0, +), step: UInt64 = isSplit ? 32 : 16
        let size = self[at + Ring.length] / UInt32(step)
        var head = self[at + Ring.head]
        let tail = self[at + Ring.tail]
        guard size > 0, head < size, tail < size, each > 0 else { return false }
        let free = Int((tail &+ size &- head) % size), needed = (bytes.count + each - 1) / each
        guard free >= needed else { return false }
        var done = 0
        for index in 0 ..< needed {
            let place = address &+ UInt64(head) * step, part = min(each, bytes.count - done), isLast = index == needed - 1
            let status = Status.done | (isLast ? Status.end | checksums | (tag != nil ? Status.vlan : 0) : 0), label = isLast ? tag ?? 0 : 0
            let ends = fill(place, Array(bytes[done ..< done + part]), sizes, isSplit: isSplit, memory)
            if isSplit { writeSplit(place, status, label, ends, memory) } else if isExtended { writeExtended(place, status, label, part, memory) } else {
                memory.store(place &+ 8, UInt64(part) | UInt64(status & 0xff) << 32 | UInt64(label) << 48)
            }
            done += part
            head = (head + 1) % size
        }
        self[at + Ring.head] = head
        return true
    }

    /// Puts bytes into a descriptor's buffers. - Returns: how many each has got.
    private func fill(_ place: UInt64, _ bytes: [UInt8], _ sizes: [Int], isSplit: Bool, _ memory: GuestMemory) -> [Int] {
        var done = 0, counts: [Int] = []
        for (number, size) in sizes.enumerated() {
            let part = min(size, bytes.count - done)
            counts.append(part)
            guard part > 0 else { continue }
            // A buffer that is no memory loses what comes for it.
            if let buffer: UInt64 = memory.load(place &+ UInt64(number) * 8) { memory.write(buffer, bytes: Array(bytes[done ..< done + part])) }
            done += part
        }
        return counts
    }

    /// Status comes last: the driver looks at nothing else first.
    private func writeExtended(_ place: UInt64, _ status: UInt32, _ tag: UInt16, _ count: Int, _ memory: GuestMemory) {
        memory.store(place, UInt64(0))
        memory.store(place &+ 8, UInt64(status) | UInt64(count) << 32 | UInt64(tag) << 48)
    }

    private func writeSplit(_ place: UInt64, _ status: UInt32, _ tag: UInt16, _ counts: [Int], _ memory: GuestMemory) {
        let count = { (number: Int) in counts.indices.contains(number) ? UInt64(counts[number]) : 0 }
        memory.store(place, UInt64(0))
        memory.store(place &+ 16, count(1) << 16 | count(2) << 32 | count(3) << 48)
        memory.store(place &+ 24, UInt64(0))
        memory.store(place &+ 8, UInt64(status) | count(0) << 32 | UInt64(tag) << 48)
    }
}
