import Glibc

/// One argument of a traced call as text.
enum ArgumentText {
    private static let longestBuffer = 32

    /// The text of argument `kind` in register `register` before the call; nil if it is known only after it.
    static func before(_ call: SystemCall, _ kind: ArgumentKind, _ register: Int) -> String? {
        let raw = call[register]
        switch kind {
        case .int, .fd, .pid: return String(Int32(truncatingIfNeeded: raw))
        case .unsigned: return String(UInt32(truncatingIfNeeded: raw))
        case .long: return String(call.long(register))
        case .size: return String(call.model.wordSize == 8 ? raw : raw & 0xffff_ffff)
        case .offset: return String(call.offset(at: register).value)
        case .hex: return "0x" + String(raw, radix: 16)
        case .pointer: return pointer(raw)
        case .dirfd: return call.int(register) == AT_FDCWD ? "AT_FDCWD" : String(call.int(register))
        case .path, .pathNoFollow, .string: return string(call, raw)
        case .mode: return "0" + String(UInt32(truncatingIfNeeded: raw), radix: 8)
        case .signal: return signal(call.int(register))
        case .bufferIn(let length): return buffer(call, raw, Int(clamping: call[length]))
        case .flags(let set): return set.text(UInt64(UInt32(truncatingIfNeeded: raw)), call.process.abi.flavour)
        case .structIn(let layout): return structure(call, layout, raw)
        case .socketAddress(let length): return socketAddress(call, raw, call.int(length))
        case .ioctl:
            let number = UInt32(truncatingIfNeeded: raw)
            return IoctlCalls.requests[number]?.name ?? "0x" + String(number, radix: 16)
        case .structInOut(let layout): return structure(call, layout, raw)
        case .bufferOut, .integerOut, .structOut: return raw == 0 ? "NULL" : nil
        case .none: return ""
        }
    }

    /// The text of an argument that the call wrote.
    static func after(_ call: SystemCall, _ kind: ArgumentKind, _ register: Int, _ result: SystemCallResult) -> String {
        let raw = call[register]
        guard case .value(let value) = result, value >= 0 else { return pointer(raw) }
        switch kind {
        case .bufferOut: return buffer(call, raw, Int(clamping: value))
        case .structOut(let layout): return structure(call, layout, raw)
        case .integerOut:
            guard let first = call.readInt(raw) else { return pointer(raw) }
            return "[\(first)]"
        default: return pointer(raw)
        }
    }

    static func pointer(_ raw: UInt64) -> String { raw == 0 ? "NULL" : "0x" + String(raw, radix: 16) }

    private static func string(_ call: SystemCall, _ address: UInt64) -> String {
        guard address != 0 else { return "NULL" }
        guard let bytes = call.readString(address) else { return pointer(address) }
        return quoted(bytes)
    }

    private static func buffer(_ call: SystemCall, _ address: UInt64, _ count: Int) -> String {
        guard address != 0, count >= 0 else { return pointer(address) }
        guard let bytes = call.memory.readBytes(address, min(count, longestBuffer)) else { return pointer(address) }
        return quoted(bytes) + (count > longestBuffer ? "..." : "")
    }

    private static func quoted(_ bytes: [UInt8]) -> String {
        var text = "\""
        for byte in bytes {
            switch byte {
            case 10: text += "\\n"
            case 13: text += "\\r"
            case 9: text += "\\t"
            case 34: text += "\\\""
            case 92: text += "\\\\"
            case 32..<127: text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16)
                text += digits.utf8.count == 1 ? "\\x0" + digits : "\\x" + digits
            }
        }
        return text + "\""
    }

    /// The named fields that are not zero, at most eight.
    private static func structure(_ call: SystemCall, _ layout: StructLayout, _ address: UInt64) -> String {
        guard address != 0 else { return "NULL" }
        let computed = layout.computed(for: call.shape)
        guard let bytes = call.memory.readBytes(address, computed.size) else { return pointer(address) }
        var words: [String] = []
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            for leaf in computed.leaves where !leaf.raw {
                let value = IntegerBytes.load(base + leaf.offset, leaf.size, bigEndian: computed.bigEndian, signed: leaf.signed)
                if value == 0 && computed.leaves.count > 2 { continue }
                words.append("\(leaf.name) = \(leaf.signed ? String(Int64(bitPattern: value)) : String(value))")
            }
        }
        return "{" + words.prefix(8).joined(separator: ",") + (words.count > 8 ? ",..." : "") + "}"
    }

    private static func socketAddress(_ call: SystemCall, _ address: UInt64, _ length: Int32) -> String {
        guard address != 0, length >= 2, length <= 128, let bytes = call.memory.readBytes(address, Int(length)) else {
            return pointer(address)
        }
        let family = call.model.bigEndian ? Int(bytes[0]) << 8 | Int(bytes[1]) : Int(bytes[1]) << 8 | Int(bytes[0])
        switch family {
        case 1: return "{AF_UNIX,\(quoted(Array(bytes[2...].prefix(while: { $0 != 0 }))))}"
        case 2 where bytes.count >= 8:
            let port = Int(bytes[2]) << 8 | Int(bytes[3])
            return "{AF_INET,\(bytes[4]).\(bytes[5]).\(bytes[6]).\(bytes[7]):\(port)}"
        case 10 where bytes.count >= 4: return "{AF_INET6,port \(Int(bytes[2]) << 8 | Int(bytes[3]))}"
        default: return "{family \(family)}"
        }
    }

    private static func signal(_ number: Int32) -> String {
        number >= 0 && number < 32 ? SignalText.name(Int(number)) : String(number)
    }
}
