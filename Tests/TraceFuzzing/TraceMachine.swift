// A vCPU, a piece of guest memory, and what of both an engine must leave equal to another's.
import IR
import Translation

/// Where a trace under test runs. Guest addresses are host addresses.
public final class TraceMachine {
    public static let memoryBytes = 4096
    /// The slots of guest state that traces use: integer registers and floating-point slots.
    public static let integers = 32
    public static let floats = 16
    /// The integer slot that holds the address of `memory`, and the one that holds an address where nothing is.
    public static let baseSlot = 10
    public static let wildSlot = 11

    /// Integer slots from here on are registers of 32 bits: read and written as i32, their upper halves zero.
    public static let firstNarrow = 24

    public static let layout = StateLayout(
        guestBytes: 32 * 8, hotIntegers: [1, 2, 5, 10, 11, 12, 13, 24, 25, 26, 8, 9].map(integer), hotFloats: [0, 1, 2, 3, 4, 5].map(float))

    public static func integer(_ slot: Int) -> Int32 { Int32(-128 + 8 * slot) }
    public static func float(_ slot: Int) -> Int32 { StateHeader.guestStart + Int32(8 * slot) }

    public let vcpu: VCPU
    public let memory: UnsafeMutableRawPointer
    private let ownsMemory: Bool

    /// - Parameter memory: shared with another machine whose runs are compared, or nil for one of its own.
    public init(vcpu: VCPU = VCPU(layout: TraceMachine.layout), memory: UnsafeMutableRawPointer? = nil) {
        self.vcpu = vcpu
        ownsMemory = memory == nil
        self.memory = memory ?? .allocate(byteCount: Self.memoryBytes, alignment: 4096)
    }

    deinit { if ownsMemory { memory.deallocate() } }

    /// Fills registers and memory with what `seed` gives, corner values among them.
    public func reset(seed: UInt64) {
        var random = RandomBits(seed)
        for slot in 0 ..< Self.integers { vcpu[UInt64.self, Self.integer(slot)] = random.corner() & (slot < Self.firstNarrow ? ~0 : 0xffff_ffff) }
        for slot in 0 ..< 32 { vcpu[UInt64.self, Self.float(slot)] = random.floatSlot() }
        vcpu[UInt64.self, Self.integer(Self.baseSlot)] = UInt64(UInt(bitPattern: memory))
        // Below what any process may map.
        vcpu[UInt64.self, Self.integer(Self.wildSlot)] = 0x800
        for offset in stride(from: 0, to: Self.memoryBytes, by: 8) {
            memory.storeBytes(of: random.corner(), toByteOffset: offset, as: UInt64.self)
        }
        vcpu[UInt32.self, StateHeader.floatFlags] = UInt32(truncatingIfNeeded: random.next() & 31)
        vcpu[UInt32.self, StateHeader.floatRounding] = 0
        vcpu[UInt64.self, StateHeader.memoryBase] = 0
        vcpu[UInt64.self, StateHeader.reservationAddress] = random.next() & 1 == 0 ? ~0 : UInt64(UInt(bitPattern: memory)) &+ 16
        vcpu[UInt64.self, StateHeader.reservationValue] = memory.load(fromByteOffset: 16, as: UInt64.self)
        vcpu[UInt64.self, StateHeader.faultAddress] = 0
        vcpu[UInt32.self, StateHeader.interruptRequest] = 0
        vcpu.pc = 0x1000
        vcpu.context = 0
    }

    /// A copy of everything that matters, after a run that ended with `reason`.
    public func outcome(_ reason: ExitReason?) -> TraceOutcome {
        var words: [UInt64] = []
        for slot in 0 ..< Self.integers { words.append(vcpu[UInt64.self, Self.integer(slot)]) }
        for slot in 0 ..< 32 { words.append(vcpu[UInt64.self, Self.float(slot)]) }
        let faulted = reason == .memoryFault || reason == .misaligned
        return TraceOutcome(
            reason: reason, pc: vcpu.pc, floatFlags: vcpu[UInt32.self, StateHeader.floatFlags],
            faultAddress: faulted ? vcpu[UInt64.self, StateHeader.faultAddress] : 0,
            reservation: vcpu[UInt64.self, StateHeader.reservationAddress], registers: words,
            memory: (0 ..< Self.memoryBytes / 8).map { memory.load(fromByteOffset: $0 * 8, as: UInt64.self) })
    }
}

/// What a run left behind.
public struct TraceOutcome: Equatable {
    public var reason: ExitReason?
    public var pc: UInt64
    public var floatFlags: UInt32
    public var faultAddress: UInt64
    public var reservation: UInt64
    public var registers: [UInt64]
    public var memory: [UInt64]

    /// Where two outcomes differ, a line each.
    public func differences(from other: TraceOutcome) -> [String] {
        var lines: [String] = []
        if reason != other.reason { lines.append("exit \(String(describing: reason)) against \(String(describing: other.reason))") }
        if pc != other.pc { lines.append("pc \(hex(pc)) against \(hex(other.pc))") }
        if floatFlags != other.floatFlags { lines.append("flags \(floatFlags) against \(other.floatFlags)") }
        if faultAddress != other.faultAddress { lines.append("fault address \(hex(faultAddress)) against \(hex(other.faultAddress))") }
        if reservation != other.reservation { lines.append("reservation \(hex(reservation)) against \(hex(other.reservation))") }
        for (slot, (mine, theirs)) in zip(registers, other.registers).enumerated() where mine != theirs {
            let offset = slot < 32 ? TraceMachine.integer(slot) : TraceMachine.float(slot - 32)
            lines.append("[\(offset)] \(hex(mine)) against \(hex(theirs))")
        }
        for (word, (mine, theirs)) in zip(memory, other.memory).enumerated() where mine != theirs {
            lines.append("memory + \(word * 8): \(hex(mine)) against \(hex(theirs))")
        }
        return lines
    }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

/// A small deterministic generator (xorshift64*), so that a failure can be repeated.
public struct RandomBits {
    public var state: UInt64
    public init(_ seed: UInt64) {
        state = (seed &+ 1) &* 0x9e37_79b9_7f4a_7c15 | 1
        for _ in 0 ..< 4 { _ = next() }
    }

    public mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }

    public mutating func below(_ limit: Int) -> Int { Int(truncatingIfNeeded: (next() >> 16) % UInt64(max(limit, 1))) }
    public mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    /// An integer that is often near a power of two.
    public mutating func corner() -> UInt64 {
        let bits = next()
        switch bits & 7 {
        case 0: return [0, 1, ~0, 1 << 63, ~0 >> 1, 0x8000_0000, 0x7fff_ffff, 0xffff_ffff][Int(bits >> 8 & 7)]
        case 1: return (1 << (bits >> 8 & 63)) &+ (bits >> 16 & 3) &- 1
        case 2: return UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: bits >> 20)))
        case 3: return bits >> 8 & 255
        default: return bits
        }
    }

    /// A 64-bit floating-point slot: doubles, boxed singles and halves, badly boxed ones.
    public mutating func floatSlot() -> UInt64 {
        let bits = next()
        switch bits & 7 {
        case 0, 1: return 0xffff_ffff_0000_0000 | UInt64(single())
        case 2: return 0xffff_ffff_ffff_0000 | next() & 0xffff
        case 3: return [0, 1 << 63, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8 << 48, 0x7ff0_0000_0000_0001, 1, 0x0010 << 48][Int(bits >> 8 & 7)]
        case 4: return bits
        default: return (Double(Int64(bitPattern: bits) >> 40) / 16).bitPattern
        }
    }

    mutating func single() -> UInt32 {
        let bits = next()
        switch bits & 3 {
        case 0: return [0, 1 << 31, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f80_0001, 1, 0x0080_0000][Int(bits >> 8 & 7)]
        case 1: return UInt32(truncatingIfNeeded: bits >> 8)
        default: return (Float(Int32(truncatingIfNeeded: bits >> 8) >> 16) / 8).bitPattern
        }
    }
}
