// `siginfo_t`, and its conversion between the host's layout and a guest's (include/uapi/asm-generic/siginfo.h).
//
// Kept as the host's 128 bytes; which member of the union is in use follows from signal number and code, as in the
// kernel's siginfo_layout. Left out: the fields of SIGTRAP perf events beside the address.

import Glibc

struct SignalInformation: Sendable {
    static let size = 128
    /// The host's `siginfo_t`.
    var bytes: [UInt8]

    /// A copy of the host's structure at `pointer` (128 readable bytes).
    init(copying pointer: UnsafeRawPointer) {
        bytes = [UInt8](UnsafeRawBufferPointer(start: pointer, count: Self.size))
    }

    /// Of a signal raised by an instruction at or with `address`.
    init(fault signal: Int, code: Int32, address: UInt64) {
        bytes = [UInt8](repeating: 0, count: Self.size)
        put(Int32(truncatingIfNeeded: signal), at: 0)
        put(code, at: 8)
        put(address, at: 16)
    }

    /// From a guest's structure of at least 128 bytes; nil if there are fewer.
    init?(guest: [UInt8], model: DataModel) {
        guard guest.count >= Self.size else { return nil }
        if model.wordSize == 8, !model.bigEndian {
            bytes = Array(guest.prefix(Self.size))
            return
        }
        bytes = [UInt8](repeating: 0, count: Self.size)
        for index in 0 ..< 3 {
            put(Int32(truncatingIfNeeded: Self.read(guest, 4 * index, 4, model.bigEndian)), at: 4 * index)
        }
        Self.forEachField(signal: signal, code: code, model: model) { kind, host, offset, width in
            let value = Self.read(guest, offset, width, model.bigEndian)
            if kind == .int { put(UInt32(truncatingIfNeeded: value), at: host) } else { put(value, at: host) }
        }
    }

    /// The 32 or 64 bits at `offset`.
    func int(_ offset: Int) -> Int32 { Int32(truncatingIfNeeded: Self.read(bytes, offset, 4, false)) }
    func word(_ offset: Int) -> UInt64 { Self.read(bytes, offset, 8, false) }

    var signal: Int { Int(Int32(truncatingIfNeeded: Self.read(bytes, 0, 4, false))) }
    var code: Int32 { Int32(truncatingIfNeeded: Self.read(bytes, 8, 4, false)) }

    /// The structure as a guest sees it.
    func guestBytes(_ model: DataModel) -> [UInt8] {
        if model.wordSize == 8, !model.bigEndian { return bytes }
        var result = [UInt8](repeating: 0, count: Self.size)
        for index in 0 ..< 3 { Self.write(&result, 4 * index, 4, Self.read(bytes, 4 * index, 4, false), model.bigEndian) }
        Self.forEachField(signal: signal, code: code, model: model) { kind, host, offset, width in
            Self.write(&result, offset, width, Self.read(bytes, host, kind == .int ? 4 : 8, false), model.bigEndian)
        }
        return result
    }

    private enum Field { case int, word }

    /// The fields of the union in use, in order.
    private static func fields(signal: Int, code: Int32) -> [Field] {
        if code <= 0 {
            // SI_SIGIO; all others have two ints (pid and uid, or timer and overrun) and perhaps a value.
            return code == -5 ? [.word, .int] : [.int, .int, .word]
        }
        switch Int32(truncatingIfNeeded: signal) {
        case SIGCHLD: return [.int, .int, .int, .word, .word]
        case SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP: return [.word, .word, .word]
        case SIGIO: return [.word, .int]
        case SIGSYS: return [.word, .int, .int]
        default: return [.int, .int, .word]
        }
    }

    /// Calls `body` with kind, host offset, guest offset and guest width of each field in use.
    private static func forEachField(signal: Int, code: Int32, model: DataModel, _ body: (Field, Int, Int, Int) -> Void) {
        var host = 16, guest = model.wordSize == 8 ? 16 : 12
        for field in fields(signal: signal, code: code) {
            let hostWidth = field == .int ? 4 : 8, width = field == .int ? 4 : model.wordSize
            host = (host + hostWidth - 1) & ~(hostWidth - 1)
            guest = (guest + width - 1) & ~(width - 1)
            body(field, host, guest, width)
            host += hostWidth
            guest += width
        }
    }

    private mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        Self.write(&bytes, offset, T.bitWidth / 8, UInt64(truncatingIfNeeded: value), false)
    }

    private static func read(_ bytes: [UInt8], _ offset: Int, _ width: Int, _ bigEndian: Bool) -> UInt64 {
        var value: UInt64 = 0
        for index in 0 ..< width where offset + index < bytes.count {
            value |= UInt64(bytes[offset + index]) &<< UInt64(8 * (bigEndian ? width - 1 - index : index))
        }
        return value
    }

    private static func write(_ bytes: inout [UInt8], _ offset: Int, _ width: Int, _ value: UInt64, _ bigEndian: Bool) {
        for index in 0 ..< width where offset + index < bytes.count {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value &>> UInt64(8 * (bigEndian ? width - 1 - index : index)))
        }
    }
}

/// Codes of `siginfo_t` that Apus itself gives to faults (the same on all Linux guests).
enum SignalCode {
    static let segvMapError: Int32 = 1, segvAccessError: Int32 = 2
    static let busAlignment: Int32 = 1, busAddressError: Int32 = 2
    static let illegalOpcode: Int32 = 1
    static let trapBreakpoint: Int32 = 1
    static let kernel: Int32 = 0x80
}
