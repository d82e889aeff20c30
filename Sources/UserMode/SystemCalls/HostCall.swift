import CHost
import Glibc
import Synchronization

/// System calls that the host kernel answers: arguments are converted as their kinds say.
///
/// Where the guest's layouts and flags equal the host's (riscv64 on amd64: nearly all), the registers are passed on
/// untouched. 32-bit guests pass 64-bit offsets in two registers (`ArgumentKind.offset`), which the ABI may align to
/// even ones.
final class HostCall: Sendable {
    private let number: Int32
    private let kinds: [ArgumentKind]
    private let waiting: Waiting
    /// 0: not yet known; 1: registers pass as they are; 2: conversions are needed.
    private let plan = Atomic<UInt8>(0)

    init(_ number: Int32, _ kinds: [ArgumentKind], _ waiting: Waiting) {
        self.number = number
        self.kinds = kinds
        self.waiting = waiting
    }

    func run(_ call: SystemCall) -> SystemCallResult {
        var known = plan.load(ordering: .relaxed)
        if known == 0 {
            known = passesUnchanged(call) ? 1 : 2
            plan.store(known, ordering: .relaxed)
        }
        if known == 1 {
            let a = call.arguments
            return call.host(waiting, number, Int(bitPattern: UInt(a.0)), Int(bitPattern: UInt(a.1)),
                             Int(bitPattern: UInt(a.2)), Int(bitPattern: UInt(a.3)), Int(bitPattern: UInt(a.4)),
                             Int(bitPattern: UInt(a.5)))
        }
        return convert(call, index: 0, register: 0, host: InlineArguments())
    }

    private func passesUnchanged(_ call: SystemCall) -> Bool {
        let shape = call.shape
        guard shape.wordSize == 8, call.memory.base == 0 else { return false }
        return kinds.allSatisfy { kind in
            switch kind {
            case .path, .pathNoFollow: false
            case .flags(let set): set.isIdentity(shape.flavour)
            case .structIn(let layout), .structOut(let layout), .structInOut(let layout):
                layout.conversions(shape).identical
            default: true
            }
        }
    }

    /// The directory descriptor that stands before the path at `index`, if one does.
    private func directory(_ call: SystemCall, _ index: Int, _ register: Int) -> Int32 {
        guard index > 0, register > 0, case .dirfd = kinds[index - 1] else { return AT_FDCWD }
        return call.int(register - 1)
    }

    /// Converts argument `index`, which starts at guest register `register`, and those after it; then calls.
    private func convert(_ call: SystemCall, index: Int, register: Int, host: InlineArguments) -> SystemCallResult {
        guard index < kinds.count, index < 6 else {
            return call.host(waiting, number, host[0], host[1], host[2], host[3], host[4], host[5])
        }
        func next(_ value: Int, registers: Int = 1) -> SystemCallResult {
            var converted = host
            converted[index] = value
            return convert(call, index: index + 1, register: register + registers, host: converted)
        }
        let raw = call[register]
        switch kinds[index] {
        case .int, .fd, .dirfd, .signal, .pid:
            return next(Int(Int32(truncatingIfNeeded: raw)))
        case .unsigned, .mode, .ioctl:
            return next(Int(UInt32(truncatingIfNeeded: raw)))
        case .long, .none:
            return next(Int(call.long(register)))
        case .hex, .size:
            return next(Int(truncatingIfNeeded: call.model.wordSize == 8 ? raw : raw & 0xffff_ffff))
        case .offset:
            if call.model.wordSize == 8 { return next(Int(truncatingIfNeeded: raw)) }
            let (value, used) = call.offset(at: register)
            return next(Int(value), registers: used)
        case .pointer, .string, .bufferIn, .bufferOut, .integerOut, .socketAddress:
            return next(call.pointer(raw))
        case .path:
            return call.withPath(raw, in: directory(call, index, register), follow: true) { next($0) }
        case .pathNoFollow:
            return call.withPath(raw, in: directory(call, index, register), follow: false) { next($0) }
        case .flags(let set):
            return next(Int(truncatingIfNeeded: set.toHost(raw, from: call.shape.flavour)))
        case .structIn(let layout):
            return call.withInput(layout, raw) { next($0) }
        case .structOut(let layout):
            return call.withOutput(layout, raw) { next($0) }
        case .structInOut(let layout):
            return call.withOutput(layout, raw, alsoInput: true) { next($0) }
        }
    }
}

/// Six words without an allocation.
struct InlineArguments {
    private var words: (Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0)

    subscript(index: Int) -> Int {
        get {
            switch index {
            case 0: words.0
            case 1: words.1
            case 2: words.2
            case 3: words.3
            case 4: words.4
            default: words.5
            }
        }
        set {
            switch index {
            case 0: words.0 = newValue
            case 1: words.1 = newValue
            case 2: words.2 = newValue
            case 3: words.3 = newValue
            case 4: words.4 = newValue
            default: words.5 = newValue
            }
        }
    }
}

extension SystemCall {
    /// Whether what the guest's memory holds means the same to the host kernel: words, byte order and addresses.
    var hasHostMemory: Bool { model.wordSize == 8 && !model.bigEndian && memory.base == 0 }

    /// A 64-bit value that starts at register `register`, and how many registers it takes, alignment included.
    func offset(at register: Int) -> (value: Int64, registers: Int) {
        if model.wordSize == 8 { return (Int64(bitPattern: self[register]), 1) }
        let skip = process.abi.alignsRegisterPairs && register & 1 == 1 ? 1 : 0
        let first = self[register + skip] & 0xffff_ffff, second = self[register + skip + 1] & 0xffff_ffff
        let value = model.bigEndian ? first << 32 | second : second << 32 | first
        return (Int64(bitPattern: value), 2 + skip)
    }
}

extension SystemCallDescription {
    /// A call that goes to host call `number` with its arguments converted by kind.
    static func host(_ name: String, _ number: Int32, _ arguments: [ArgumentKind],
                     _ waiting: Waiting = .never) -> SystemCallDescription {
        let call = HostCall(number, arguments, waiting)
        return SystemCallDescription(name, arguments, answer: .host) { call.run($0) }
    }

    /// A call whose structures hold pointers or words that are not converted: for guests that need no conversion.
    static func hostUnconverted(_ name: String, _ number: Int32, _ arguments: [ArgumentKind],
                                _ waiting: Waiting = .never) -> SystemCallDescription {
        let call = HostCall(number, arguments, waiting)
        return SystemCallDescription(name, arguments, answer: .hostUnconverted) {
            $0.hasHostMemory ? call.run($0) : .error(ENOSYS)
        }
    }

    /// A call that is known and always answers `errno`.
    /// - Parameter reason: half a sentence for the documentation.
    static func refused(_ name: String, _ errno: Int32, _ arguments: [ArgumentKind] = [],
                        because reason: String) -> SystemCallDescription {
        SystemCallDescription(name, arguments, answer: .refused(errno, reason)) { _ in .error(errno) }
    }
}
