import CHost
import Glibc

/// `sendmsg(2)`, `recvmsg(2)` and their plural forms, with ancillary data.
///
/// Where the guest's bytes are the host's the calls pass through. Otherwise the header, its vectors, the address and the
/// control messages are rebuilt: each control message has a header of word-sized length and word alignment.
enum SocketMessages {
    /// Most control bytes taken from a guest at once (the host's default `optmem_max` is less).
    private static let controlLimit = 1 << 17

    static func send(_ call: SystemCall) -> SystemCallResult {
        if SocketCalls.passes(call) {
            return call.host(.waits, SYS_sendmsg, Int(call.int(0)), call.pointer(at: 1), Int(call.int(2)))
        }
        return send(call, header: call[1], flags: Int(call.int(2)))
    }

    static func receive(_ call: SystemCall) -> SystemCallResult {
        if SocketCalls.passes(call) {
            return call.host(.waits, SYS_recvmsg, Int(call.int(0)), call.pointer(at: 1), Int(call.int(2)))
        }
        return receive(call, header: call[1], flags: Int(call.int(2)))
    }

    static func sendMany(_ call: SystemCall) -> SystemCallResult {
        let count = UInt32(truncatingIfNeeded: call[2])
        if SocketCalls.passes(call) {
            return call.host(.waits, SYS_sendmmsg, Int(call.int(0)), call.pointer(at: 1), Int(count), Int(call.int(3)))
        }
        return many(call, count) { header, _ in send(call, header: header, flags: Int(call.int(3))) }
    }

    static func receiveMany(_ call: SystemCall, _ time: StructLayout) -> SystemCallResult {
        let count = UInt32(truncatingIfNeeded: call[2]), flags = Int(call.int(3))
        if SocketCalls.passes(call) {
            return call.withTimeout(time, call[4]) {
                call.host(.waits, SYS_recvmmsg, Int(call.int(0)), call.pointer(at: 1), Int(count), flags, $0)
            }
        }
        // MSG_WAITFORONE: only the first receive may wait. (The timeout is looked at between messages only, so that
        // leaving it out differs for a stream of slow messages alone.)
        return many(call, count) { header, done in
            receive(call, header: header, flags: flags & ~0x10000 | (done > 0 && flags & 0x10000 != 0 ? 0x40 : 0))
        }
    }

    /// Does one message after the other; the first failure counts only if nothing was done before it.
    private static func many(_ call: SystemCall, _ count: UInt32,
                             _ one: (UInt64, UInt32) -> SystemCallResult) -> SystemCallResult {
        let layout = StructLayout.multipleMessageHeader.conversions(call.shape).guest
        guard let length = layout.leaf("msg_len") else { return .error(EFAULT) }
        var done: UInt32 = 0
        while done < min(count, 1024) {
            let at = call[1] &+ UInt64(Int(done) * layout.size)
            let result = one(at, done)
            guard case .value(let value) = result, value >= 0 else { return done > 0 ? .value(Int64(done)) : result }
            guard call.writeInteger(at &+ UInt64(length.offset), UInt64(value), size: 4) else { return .error(EFAULT) }
            done += 1
        }
        return .value(Int64(done))
    }

    private static func send(_ call: SystemCall, header: UInt64, flags: Int) -> SystemCallResult {
        var message = Header()
        guard message.read(call, header) else { return .error(EFAULT) }
        return call.withSocketAddress(message.name, length: message.nameLength) { name in
            call.withVectors(message.vectors, count: message.vectorCount) { vectors in
                guard let control = ControlMessages.read(call, message.control, message.controlLength) else { return .error(EINVAL) }
                return control.withUnsafeBytes { control in
                    var host = msghdr()
                    host.msg_name = UnsafeMutableRawPointer(bitPattern: name)
                    host.msg_namelen = UInt32(bitPattern: message.nameLength)
                    host.msg_iov = UnsafeMutablePointer(bitPattern: vectors)
                    host.msg_iovlen = Int(truncatingIfNeeded: message.vectorCount)
                    host.msg_control = UnsafeMutableRawPointer(mutating: control.baseAddress)
                    host.msg_controllen = control.count
                    return withUnsafeMutableBytes(of: &host) {
                        call.host(.waits, SYS_sendmsg, Int(call.int(0)), Int(bitPattern: $0.baseAddress), flags)
                    }
                }
            }
        }
    }

    private static func receive(_ call: SystemCall, header: UInt64, flags: Int) -> SystemCallResult {
        var message = Header()
        guard message.read(call, header) else { return .error(EFAULT) }
        var address = SocketAddressBytes()
        // Headers and alignment take up to twice the room of a 32-bit guest's.
        let controlRoom = min(Int(truncatingIfNeeded: message.controlLength) &* 2, controlLimit)
        return address.withPointer { name in
            call.withVectors(message.vectors, count: message.vectorCount) { vectors in
                withUnsafeTemporaryAllocation(byteCount: max(controlRoom, 16), alignment: 16) { control in
                    var host = msghdr()
                    host.msg_name = message.name == 0 ? nil : name
                    host.msg_namelen = UInt32(min(max(message.nameLength, 0), Int32(SocketAddressBytes.capacity)))
                    host.msg_iov = UnsafeMutablePointer(bitPattern: vectors)
                    host.msg_iovlen = Int(truncatingIfNeeded: message.vectorCount)
                    host.msg_control = message.control == 0 ? nil : control.baseAddress
                    host.msg_controllen = message.control == 0 ? 0 : max(controlRoom, 0)
                    let result = withUnsafeMutableBytes(of: &host) {
                        call.host(.waits, SYS_recvmsg, Int(call.int(0)), Int(bitPattern: $0.baseAddress), flags)
                    }
                    guard case .value(let value) = result, value >= 0 else { return result }
                    return message.write(call, header, host, control: UnsafeRawBufferPointer(control)) ? result : .error(EFAULT)
                }
            }
        }
    }

    /// The guest's `struct msghdr`.
    private struct Header {
        var name: UInt64 = 0, nameLength: Int32 = 0
        var vectors: UInt64 = 0, vectorCount: UInt64 = 0
        var control: UInt64 = 0, controlLength: UInt64 = 0

        mutating func read(_ call: SystemCall, _ address: UInt64) -> Bool {
            var words = InlineWords16()
            return withUnsafeMutableBytes(of: &words) { bytes in
                guard let base = bytes.baseAddress, call.readStructure(.messageHeader, address, base) else { return false }
                name = base.load(as: UInt64.self)
                nameLength = base.load(fromByteOffset: 8, as: Int32.self)
                vectors = base.load(fromByteOffset: 16, as: UInt64.self)
                vectorCount = base.load(fromByteOffset: 24, as: UInt64.self)
                control = base.load(fromByteOffset: 32, as: UInt64.self)
                controlLength = base.load(fromByteOffset: 40, as: UInt64.self)
                return true
            }
        }

        /// Writes back what a receive changed.
        func write(_ call: SystemCall, _ address: UInt64, _ host: msghdr, control bytes: UnsafeRawBufferPointer) -> Bool {
            let layout = StructLayout.messageHeader.conversions(call.shape).guest
            func put(_ field: String, _ value: UInt64) -> Bool {
                guard let leaf = layout.leaf(field) else { return false }
                return call.writeInteger(address &+ UInt64(leaf.offset), value, size: leaf.size)
            }
            if name != 0, let base = host.msg_name {
                let length = Int(host.msg_namelen)
                if call.model.bigEndian { SocketAddressBytes.swapFamily(base, length) }
                guard call.copyOut(name, base, min(length, max(Int(nameLength), 0), SocketAddressBytes.capacity)) else { return false }
            }
            var flags = UInt64(UInt32(bitPattern: host.msg_flags))
            let used = min(Int(host.msg_controllen), bytes.count)
            let room = Int(clamping: controlLength)
            let (converted, truncated) = ControlMessages.convert(call, UnsafeRawBufferPointer(rebasing: bytes[0..<used]), room: room)
            if truncated { flags |= 8 }  // MSG_CTRUNC
            return call.memory.writeBytes(control, converted)
                && put("msg_namelen", UInt64(host.msg_namelen)) && put("msg_controllen", UInt64(converted.count))
                && put("msg_flags", flags)
        }
    }
}
