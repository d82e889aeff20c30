// The context in which an instruction's meaning is written: registers by subscript, memory, control transfer.

import IR
import Translation

/// Where the registers stand in the state block.
public enum RISCVState {
    /// The slot of integer register `number`, 64 bits wide; that of x0 exists and is never read. On RV32 the upper half is
    /// zero, and whoever writes the slot keeps it so.
    @inline(__always)
    public static func integer(_ number: Int) -> Int32 { Int32(truncatingIfNeeded: -128 &+ 8 &* (number & 31)) }
    /// The slot of floating-point register `number`.
    @inline(__always)
    public static func float(_ number: Int) -> Int32 {
        StateHeader.guestStart &+ Int32(truncatingIfNeeded: 8 &* (number & 31))
    }
    /// UInt64: `jvt`, the base of the jump table of Zcmt.
    public static let jumpTable = StateHeader.guestControl
    /// UInt64: what `prctl(PR_RISCV_V_SET_CONTROL)` left, for the user mode.
    public static let vectorPolicy: Int32 = StateHeader.guestControl &+ 32
}

/// One guest instruction in translation.
struct Emit {
    let builder: Builder
    let pc: UInt64
    /// The address of the instruction that follows in memory.
    let next: UInt64
    /// The translation context of the block: bits 2:0 are `frm`, bit 3 is set if the mode in `jvt` is not 0.
    let context: UInt64
    /// What the CPU has, for instructions whose operands name something that it may lack.
    let extensions: Extensions
    let vectorConfiguration: VectorConfiguration
    let xlen: XLEN
    /// The code of a machine, with privilege modes.
    var isMachine = false
    var flow = Flow.next
    /// The rounding direction of an instruction with an `rm` operand.
    var rounding = Rounding.nearestEven

    @inline(__always)
    init(_ builder: Builder, pc: UInt64, length: UInt8, context: UInt64, extensions: Extensions, vectors: VectorConfiguration) {
        self.builder = builder
        self.pc = pc
        xlen = extensions.xlen
        self.next = (pc &+ UInt64(length)) & xlen.mask
        self.context = context
        self.extensions = extensions
        vectorConfiguration = vectors
    }

    // MARK: registers

    /// An integer register, XLEN bits wide: x0 reads as 0 and drops what is written. Of a wider value the low bits are put.
    subscript(register: Register) -> Value {
        @inline(__always) get {
            register.number == 0 ? constant(0 as UInt64) : builder.get(RISCVState.integer(Int(register.number)), xlen.type)
        }
        @inline(__always) nonmutating set {
            guard register.number != 0 else { return }
            builder.put(RISCVState.integer(Int(register.number)), newValue.type == xlen.type ? newValue : builder.narrowed(newValue))
        }
    }

    /// A register as 64 bits, zero-extended: an address, a length, an argument of the runtime.
    func zeroExtended(_ register: Register) -> Value {
        let value = self[register]
        return xlen == .rv64 ? value : value.zeroExtended()
    }
    /// A register as 64 bits, sign-extended: a stride, a scalar of vectors.
    func signExtended(_ register: Register) -> Value {
        let value = self[register]
        return xlen == .rv64 ? value : value.signExtended()
    }

    /// A constant of XLEN bits.
    @inline(__always) func constant(_ value: Int64) -> Value { builder.constant(UInt64(bitPattern: value), xlen.type) }
    @inline(__always) func constant(_ value: UInt64) -> Value { builder.constant(value, xlen.type) }
    /// Constants of 64 and 32 bits on every machine.
    @inline(__always) func constant64(_ value: UInt64) -> Value { builder.constant(value) }
    @inline(__always) func constant32(_ value: UInt64) -> Value { builder.constant(value, .i32) }
    /// An address as XLEN bits hold it.
    @inline(__always) func address(_ value: UInt64) -> UInt64 { value & xlen.mask }

    func select(_ condition: Value, _ whenTrue: Value, _ whenFalse: Value) -> Value {
        builder.select(condition, whenTrue, whenFalse)
    }

    /// `register + immediate`, folded where one of them is 0.
    @inline(__always)
    func sum(_ register: Register, _ immediate: Int64) -> Value {
        if register.number == 0 { return constant(immediate) }
        let value = self[register]
        return immediate == 0 ? value : value + constant(immediate)
    }

    /// The low word of `value`, sign-extended to XLEN: the result of every word instruction.
    @inline(__always) func word(_ value: Value) -> Value {
        let low = value.low32
        return xlen == .rv32 ? low : low.signExtended()
    }

    // MARK: memory

    @inline(__always)
    func load(_ base: Register, _ offset: Int64, bytes: Int, signed: Bool = false) -> Value {
        builder.load(self[base], offset, MemoryAccess(bytes: bytes, signed: signed))
    }
    @inline(__always)
    func store(_ base: Register, _ offset: Int64, _ value: Value, bytes: Int) {
        builder.store(self[base], offset, value, MemoryAccess(bytes: bytes))
    }

    // MARK: control transfer

    /// A conditional branch; one whose outcome is known becomes a jump or nothing.
    mutating func branch(_ condition: Condition, _ a: Register, _ b: Register, _ offset: Int64) {
        let target = address(pc &+ UInt64(bitPattern: offset))
        if a == b {
            if condition.holds(0, 0, .i64) { flow = .jump(target) }
        } else {
            builder.branch(condition, self[a], self[b], to: target)
        }
    }

    /// `jal`: a call if it links into a return-address register.
    mutating func jump(link: Register, _ offset: Int64) {
        let target = address(pc &+ UInt64(bitPattern: offset))
        self[link] = constant(next)
        if link.isLink {
            builder.call(target, returningTo: next, xlen.type)
            flow = .end
        } else {
            flow = .jump(target)
        }
    }

    /// `jalr`: what it means to the return-address stack is said by the table of "Unconditional Jumps" in the manual.
    mutating func jump(link: Register, base: Register, _ offset: Int64) {
        if needsLandingPad(base) { return exit(.guestException) }
        // Bit 0 is cleared even where the sum is a known constant.
        let target = base.number == 0 ? constant(offset & ~1) : sum(base, offset) & constant(~1 as Int64)
        self[link] = constant(next)
        switch (link.isLink, base.isLink) {
        case (false, false): builder.jump(to: target)
        case (false, true): builder.ret(to: target)
        case (true, false): builder.call(target, returningTo: next)
        // A swap of coroutines pops and pushes: the stack keeps its depth.
        case (true, true): if link == base { builder.call(target, returningTo: next) } else { builder.jump(to: target) }
        }
        flow = .end
    }

    /// Leaves translated code with the program counter at this instruction.
    mutating func exit(_ reason: ExitReason) {
        builder.exit(reason.rawValue, at: pc)
        flow = .end
    }

    /// Leaves translated code with the program counter at the next instruction.
    mutating func exitAfter(_ reason: ExitReason) {
        builder.exit(reason.rawValue, at: next)
        flow = .end
    }

    // MARK: translation context

    /// What the blocks that run from here on are translated for; followed by `endInNewContext`.
    func setContext(_ value: Value) { builder.put(StateHeader.context, value) }
    mutating func endInNewContext() {
        builder.jumpContext(to: next)
        flow = .end
    }

    mutating func illegal() { exit(.illegalInstruction) }
}
