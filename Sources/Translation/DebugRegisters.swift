// Registers as a debugger names them: groups ("features" of gdb's target descriptions) of registers, each with its place
// in a vCPU. A guest lists its own; whatever shows registers (the remote protocol, core files) works from the list.

/// Where a register stands in a vCPU.
public enum RegisterPlace: Sendable {
    /// Reads as zero; a write is lost.
    case zero
    case programCounter
    /// The register's bytes, in the host's order, from this offset of the state block on.
    case state(Int32)
    /// At most 64 bits that are not stored as they are read.
    case computed(read: @Sendable (VCPU) -> UInt64, write: @Sendable (VCPU, UInt64) -> Void)
}

/// One register as a debugger sees it.
public struct DebugRegister: Sendable {
    public let name: String
    /// A multiple of eight.
    public let bits: Int
    /// Its type in the target description: `int`, `data_ptr`, `code_ptr`, `ieee_double`, or one that the feature defines.
    public let type: String
    public let place: RegisterPlace

    public init(_ name: String, bits: Int, type: String = "int", _ place: RegisterPlace) {
        self.name = name
        self.bits = bits
        self.type = type
        self.place = place
    }

    public var byteCount: Int { bits / 8 }

    /// Its bytes in the guest's order.
    public func read(_ vcpu: VCPU, bigEndian: Bool) -> [UInt8] {
        var bytes: [UInt8]
        switch place {
        case .zero: bytes = [UInt8](repeating: 0, count: byteCount)
        case .programCounter: bytes = Self.bytes(vcpu.pc, byteCount)
        case .state(let offset): bytes = [UInt8](UnsafeRawBufferPointer(start: vcpu.state + Int(offset), count: byteCount))
        case .computed(let read, _): bytes = Self.bytes(read(vcpu), byteCount)
        }
        if bigEndian { bytes.reverse() }
        return bytes
    }

    /// - Returns: false if `bytes` is not as long as the register.
    public func write(_ vcpu: VCPU, _ bytes: [UInt8], bigEndian: Bool) -> Bool {
        guard bytes.count == byteCount else { return false }
        let ordered = bigEndian ? bytes.reversed() : bytes
        switch place {
        case .zero: break
        case .programCounter: vcpu.pc = Self.integer(ordered)
        case .state(let offset):
            ordered.withUnsafeBytes { raw in
                if let base = raw.baseAddress { (vcpu.state + Int(offset)).copyMemory(from: base, byteCount: raw.count) }
            }
        case .computed(_, let write): write(vcpu, Self.integer(ordered))
        }
        return true
    }

    private static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0 ..< count).map { $0 < 8 ? UInt8(truncatingIfNeeded: value &>> UInt64(8 &* $0)) : 0 }
    }

    private static func integer(_ bytes: [UInt8]) -> UInt64 {
        bytes.prefix(8).enumerated().reduce(0) { $0 | UInt64($1.element) &<< UInt64(8 &* $1.offset) }
    }
}

/// A group of registers under a name that debuggers know.
public struct RegisterFeature: Sendable {
    /// For example `org.gnu.gdb.riscv.cpu`.
    public let name: String
    /// XML of the types that its registers need beside the standard ones.
    public let types: String
    public let registers: [DebugRegister]

    public init(_ name: String, types: String = "", _ registers: [DebugRegister]) {
        self.name = name
        self.types = types
        self.registers = registers
    }
}

/// A guest that debuggers can show.
public protocol DebuggableGuest: Guest {
    /// gdb's name of the architecture.
    var debugArchitecture: String { get }
    /// The registers, in the order in which the remote protocol numbers them.
    var registerFeatures: [RegisterFeature] { get }
}
