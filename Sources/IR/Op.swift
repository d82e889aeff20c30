/// The index of the op that made a value; -1 where there is none.
public typealias Ref = Int32

/// One operation: a trivial 24-byte record in a flat arena.
@frozen
public struct Op: BitwiseCopyable, Sendable {
    public var code: Opcode
    public var type: ValueType
    public var aux: UInt16
    public var a: Ref
    public var b: Ref
    public var c: Ref
    public var imm: UInt64

    public init(_ code: Opcode, _ type: ValueType, aux: UInt16 = 0, _ a: Ref = -1, _ b: Ref = -1, _ c: Ref = -1, imm: UInt64 = 0) {
        self.code = code
        self.type = type
        self.aux = aux
        self.a = a
        self.b = b
        self.c = c
        self.imm = imm
    }

    /// `imm` as a state offset.
    public var offset: Int32 { Int32(truncatingIfNeeded: imm) }
    /// `imm` as a signed displacement.
    public var displacement: Int64 { Int64(bitPattern: imm) }
    public var traits: OpcodeTraits { Opcode.traitsTable[Int(code.rawValue)] }
}

/// The arena of one trace's ops: raw memory of fixed capacity, reused from trace to trace.
///
/// Invariant: `count <= capacity`; ops `0 ..< count` are initialised. A guest that emits past the capacity sets
/// `overflowed`; the trace is then cut at the last whole guest instruction.
public struct OpArena: @unchecked Sendable {
    public let ops: UnsafeMutablePointer<Op>
    public var count = 0
    public let capacity: Int
    public var overflowed = false
    /// What the guest believes of its dynamic state at the instruction in translation: advice from the vCPU that is about
    /// to run the trace, kept up to date by the guest, checked by the code it makes.
    public var belief: UInt64 = 0
    /// The MMU index of memory ops that name none: that of the mode whose code is translated.
    public var mmuIndex: UInt16 = 0

    public init(capacity: Int) {
        self.capacity = capacity
        ops = .allocate(capacity: capacity)
    }

    /// Gives the memory back; the arena must not be used afterwards.
    public func deallocate() { ops.deallocate() }
}
