import CHost
import Glibc

/// `setsockopt(2)` and `getsockopt(2)`. Most options are an int; those with another structure have a row here. On a
/// guest whose bytes are the host's all of them pass through.
enum SocketOptions {
    private static func layout(level: Int32, option: Int32) -> StructLayout? {
        switch (level, option) {
        case (SOL_SOCKET, 13): .linger
        case (SOL_SOCKET, 20), (SOL_SOCKET, 21): .timeval  // SO_RCVTIMEO_OLD, SO_SNDTIMEO_OLD
        case (SOL_SOCKET, 17): .credentials  // SO_PEERCRED
        case (SOL_SOCKET, 66), (SOL_SOCKET, 67): .socketTime64
        default: nil
        }
    }

    /// Options that are bytes in themselves: names, or addresses in network order.
    private static func isOpaque(level: Int32, option: Int32) -> Bool {
        switch (level, option) {
        case (SOL_SOCKET, 25), (SOL_SOCKET, 28), (SOL_SOCKET, 31), (SOL_SOCKET, 59): true  // BINDTODEVICE, PEERNAME, PEERSEC, PEERGROUPS
        case (6, 13): true  // TCP_CONGESTION
        case (0, 4), (0, 32), (0, 35), (0, 36): true  // IP_OPTIONS, IP_MULTICAST_IF, membership: addresses first
        case (41, 20), (41, 21): true
        default: false
        }
    }

    static func set(_ call: SystemCall) -> SystemCallResult {
        let level = call.int(1), option = call.int(2), length = call.int(4)
        func perform(_ value: Int, _ length: Int) -> SystemCallResult {
            .value(call.host(SYS_setsockopt, Int(call.int(0)), Int(level), Int(option), value, length))
        }
        if SocketCalls.passes(call) || call[3] == 0 { return perform(call.pointer(at: 3), Int(length)) }
        if level == SOL_SOCKET && (option == 26 || option == 27 || option == 51) { return attachFilter(call, perform) }
        if let layout = layout(level: level, option: option) {
            guard length >= layout.conversions(call.shape).guest.size else { return .error(EINVAL) }
            return call.withInput(layout, call[3]) { perform($0, layout.hostSize) }
        }
        if isOpaque(level: level, option: option) || length != 4 { return perform(call.pointer(at: 3), Int(length)) }
        return call.withInput(.cInt, call[3]) { perform($0, 4) }
    }

    static func get(_ call: SystemCall) -> SystemCallResult {
        let level = call.int(1), option = call.int(2)
        func perform(_ value: Int, _ length: Int) -> SystemCallResult {
            .value(call.host(SYS_getsockopt, Int(call.int(0)), Int(level), Int(option), value, length))
        }
        if SocketCalls.passes(call) { return perform(call.pointer(at: 3), call.pointer(at: 4)) }
        guard let given = call.readInt(call[4]) else { return .error(EFAULT) }
        guard given >= 0, given <= 65536 else { return .error(EINVAL) }
        let known = layout(level: level, option: option)
        let room = max(Int(given), known?.hostSize ?? 8)
        return withUnsafeTemporaryAllocation(byteCount: room, alignment: 8) { buffer in
            guard let base = buffer.baseAddress else { return .error(EFAULT) }
            var length = Int32(truncatingIfNeeded: known == nil ? Int(given) : room)
            let result = withUnsafeMutableBytes(of: &length) { perform(Int(bitPattern: base), Int(bitPattern: $0.baseAddress)) }
            guard case .value(let value) = result, value >= 0 else { return result }
            var out = min(Int(length), Int(given))
            if let known {
                out = min(known.conversions(call.shape).guest.size, Int(given))
                guard call.writeStructure(known, call[3], base, limit: out) else { return .error(EFAULT) }
            } else if length == 4 && !isOpaque(level: level, option: option) {
                guard call.writeStructure(.cInt, call[3], base, limit: out) else { return .error(EFAULT) }
            } else {
                guard call.copyOut(call[3], base, max(out, 0)) else { return .error(EFAULT) }
            }
            return call.writeInteger(call[4], UInt64(out), size: 4) ? result : .error(EFAULT)
        }
    }

    /// SO_ATTACH_FILTER: a program of 8-byte instructions behind a pointer.
    private static func attachFilter(_ call: SystemCall, _ perform: (Int, Int) -> SystemCallResult) -> SystemCallResult {
        if call.int(2) == 27 { return perform(0, 4) }
        let word = UInt64(call.model.wordSize)
        guard let count = call.readInteger(call[3], size: 2), let program = call.readPointer(call[3] &+ word) else {
            return .error(EFAULT)
        }
        let instructions = Int(count)
        return withUnsafeTemporaryAllocation(byteCount: max(instructions, 1) * 8, alignment: 8) { buffer in
            guard let base = buffer.baseAddress else { return .error(EFAULT) }
            for index in 0..<instructions {
                guard call.readStructure(.filterInstruction, program &+ UInt64(index * 8), base + index * 8) else {
                    return .error(EFAULT)
                }
            }
            var header = (instructions, Int(bitPattern: base))
            return withUnsafeMutableBytes(of: &header) { perform(Int(bitPattern: $0.baseAddress), 16) }
        }
    }
}
