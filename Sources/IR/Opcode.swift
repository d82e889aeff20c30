/// The operations of the IR. Every one is total: its result is defined for all operands.
///
/// `type` of an op is the type of its result; for ops without a result (`put`, `store`, `branch`) it is the type of
/// the value they consume. What stands in `aux` and `imm` is said at each case; names in `Attributes.swift`.
@frozen
public enum Opcode: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    // Leaves and guest state
    /// The constant `imm` (zero-extended; a float's bit pattern).
    case const
    /// Reads `type.bytes` of guest state at byte offset `imm` (a signed 32-bit value) from the state pointer. An i32 in one
    /// of the 32 register slots (`SlotMap`) is all of the slot: the guest keeps its upper half zero.
    case get
    /// Writes `a` to guest state at byte offset `imm`; an i32 in a register slot clears the upper half.
    case put

    // Integer arithmetic, wrapping
    case add, sub, mul
    // Those below, to `remS`, and the carry-less products exist in i32 and i64 only: guests widen narrower operands.
    /// The upper half of the double-width product: unsigned, signed, signed × unsigned.
    case mulHighU, mulHighS, mulHighSU
    /// Division by zero gives all ones; `Int.min / -1` gives `Int.min`.
    case divU, divS
    /// Remainder by zero gives the dividend; `Int.min % -1` gives 0.
    case remU, remS
    case and, or, xor
    /// `a & ~b`
    case andNot
    case not, neg
    /// The shift amount is taken modulo the width.
    case shl, shrU, shrS, rotl, rotr
    /// The count for 0 is the width.
    case clz, ctz
    case popcount, byteSwap
    /// Each byte becomes 0x00 if it was 0, else 0xFF.
    case orCombine
    /// Carry-less product: low half, high half, and bits 2w-2 … w-1 (reversed).
    case clmul, clmulHigh, clmulReversed

    // Integer conversions; the source width is that of `a`. An extension whose aux is not 0 takes only the low `aux`
    // bits of `a`: a truncation and an extension in one.
    case signExtend, zeroExtend, truncate

    /// 1 if `a` ⟨aux: Condition⟩ `b`, else 0, as i64 or i32; `a`, `b` of the same integer type.
    case compare
    /// `b` if `a` is not 0, else `c`.
    case select

    // Memory. aux: `MemoryAccess`; address = a + imm (signed displacement). An address of a 32-bit guest is an i32, and
    // stands for itself zero-extended. The sum is its 32-bit wrap; user mode, where nothing is mapped in the first and last
    // 64 KiB, may take the 64-bit sum instead, for a displacement inside that: it faults where the wrap would.
    /// Loads; integers are zero- or sign-extended to `type` as the access says.
    case load
    /// Stores `b`.
    case store
    /// Atomically replaces memory by `aux2(old, b)`; the result is the old value, extended as the access says.
    case atomicRMW
    /// Atomically: if memory equals `b` (in the access width), stores `c`; the result is the old value.
    case compareAndSwap
    /// Stores `b` at `a` if the vCPU's reservation (`StateHeader.reservationAddress`, recorded by a load-reserved) is
    /// for address `a` and memory still equals the low bytes of `reservationValue`, compared and stored in one atomic
    /// step; 0 if it stored, 1 if not, as i64 or i32. The reservation is gone afterwards (its address all ones). Alignment and
    /// access rights are checked whether or not the reservation holds.
    case storeConditional
    /// Orders memory accesses. imm: `FenceKind`.
    case fence

    // Floating point. aux: `FloatMode`. Ops raise the sticky IEEE exception flags of the vCPU.
    case fadd, fsub, fmul, fdiv, fsqrt
    /// a × b + c with one rounding; the mode may negate the product or the addend.
    case fma
    /// aux: `FloatMinMax`.
    case fminmax
    /// 0 or 1, as i64 or i32. aux: `FloatCompare`.
    case fcompare
    /// To integer `type`, saturating as the mode says; invalid raises NV. aux: `FloatMode` with the `signed` bit.
    case floatToInt
    /// From integer `a` (of its own type). aux: `FloatMode` with the `signed` bit.
    case intToFloat
    /// Between f16, f32 and f64, rounding and quieting.
    case floatToFloat
    /// To an integral value in the same format. aux: `FloatMode`, its `exact` bit raises NX.
    case froundInt
    /// i64 or i32 with one of ten bits set, as RISC-V's FCLASS numbers them.
    case fclass
    /// The same bits in another register class (i32 ↔ f32, i64 ↔ f64, i16 ↔ f16); widths are equal.
    case bitcast
    /// A narrow float put in the low bits of an f64 slot, upper bits all ones.
    case boxFloat
    /// The narrow float `type` in f64 slot value `a`; the canonical quiet NaN if the upper bits are not all ones.
    case unboxFloat
    /// The sticky exception flags as i64: NX 1, UF 2, OF 4, DZ 8, NV 16.
    case getFloatFlags
    /// Replaces the sticky exception flags by the low five bits of `a`.
    case putFloatFlags

    /// A pure or state-touching function of the runtime: imm is the index in the helper table, aux: `HelperEffects`;
    /// up to three integer arguments, zero-extended.
    case helper

    /// What the helper op that must follow does to vector registers, as a `LaneForm` in imm: a back end may do that instead.
    /// aux: the state offset of the mask operand divided by 8, or 0. Scalars are the helper's second and third argument.
    case lanes

    // Control. An op below that is not `branch` or `instruction` ends the trace.
    /// The guest instruction at address `imm` starts here; aux: its length in bytes.
    case instruction
    /// Leaves the trace for guest address `imm` if `a` ⟨aux: Condition⟩ `b`.
    case branch
    /// Goes to guest address `imm`.
    case jump
    /// Goes to the guest address in `a`, an i64 or a zero-extended i32 (so in the ops below).
    case jumpIndirect
    /// Goes to guest address `imm`; a return to `a` (a constant) is to be expected.
    case call
    /// Goes to the guest address in `a`; a return to `imm` is to be expected.
    case callIndirect
    /// Goes to the guest address in `a`, which a call has most probably announced.
    case ret
    /// Leaves translated code with exit reason `aux`, the guest program counter set to `imm`.
    case exit
    /// As `jumpIndirect` to constant `imm`, after the translation context (see `BlockKey`) may have changed.
    case jumpContext
}

/// What the rest of the pipeline needs to know about an opcode.
public struct OpcodeTraits: Sendable {
    /// Number of value operands (`a`, `b`, `c`), 0 to 3.
    public let operands: Int
    public let hasResult: Bool
    /// Must not be removed even if its result is unused.
    public let hasEffect: Bool
    /// May leave the trace with a fault at the current guest instruction.
    public let mayFault: Bool
    /// Ends the trace.
    public let endsTrace: Bool
}

extension Opcode {
    // What sweeps ask for every op: answered by the order of the cases or one bit test, without a table.

    /// Ends the trace.
    @inlinable @inline(__always)
    public var endsTrace: Bool { rawValue >= Opcode.jump.rawValue }

    /// Must not be removed even if its result is unused.
    @inlinable @inline(__always)
    public var hasEffect: Bool {
        switch self {
        case .const, .get, .add, .sub, .mul, .mulHighU, .mulHighS, .mulHighSU, .divU, .divS, .remU, .remS, .and, .or, .xor,
             .andNot, .not, .neg, .shl, .shrU, .shrS, .rotl, .rotr, .clz, .ctz, .popcount, .byteSwap, .orCombine, .clmul,
             .clmulHigh, .clmulReversed, .signExtend, .zeroExtend, .truncate, .compare, .select, .fclass, .bitcast, .boxFloat,
             .unboxFloat, .getFloatFlags:
            return false
        default: return true
        }
    }
}

extension Opcode {
    public static let count = Opcode.allCases.count

    public var traits: OpcodeTraits {
        func t(_ n: Int, result: Bool = true, effect: Bool = false, fault: Bool = false, ends: Bool = false) -> OpcodeTraits {
            OpcodeTraits(operands: n, hasResult: result, hasEffect: effect, mayFault: fault, endsTrace: ends)
        }
        switch self {
        case .const, .get: return t(0)
        case .put: return t(1, result: false, effect: true)
        case .add, .sub, .mul, .mulHighU, .mulHighS, .mulHighSU, .divU, .divS, .remU, .remS, .and, .or, .xor, .andNot,
             .shl, .shrU, .shrS, .rotl, .rotr, .clmul, .clmulHigh, .clmulReversed, .compare:
            return t(2)
        case .not, .neg, .clz, .ctz, .popcount, .byteSwap, .orCombine, .signExtend, .zeroExtend, .truncate: return t(1)
        case .select: return t(3)
        case .load: return t(1, effect: true, fault: true)
        case .store: return t(2, result: false, effect: true, fault: true)
        case .atomicRMW: return t(2, effect: true, fault: true)
        case .compareAndSwap: return t(3, effect: true, fault: true)
        case .storeConditional: return t(2, effect: true, fault: true)
        case .fence: return t(0, result: false, effect: true)
        // Floating-point ops raise flags, so they stay even when their result is dead.
        case .fadd, .fsub, .fmul, .fdiv, .fminmax, .fcompare: return t(2, effect: true)
        case .fsqrt, .floatToInt, .intToFloat, .floatToFloat, .froundInt: return t(1, effect: true)
        case .fma: return t(3, effect: true)
        case .fclass, .bitcast, .boxFloat, .unboxFloat: return t(1)
        case .getFloatFlags: return t(0)
        case .putFloatFlags: return t(1, result: false, effect: true)
        case .helper: return t(3, effect: true)
        case .lanes: return t(0, result: false, effect: true, fault: true)
        case .instruction: return t(0, result: false, effect: true)
        case .branch: return t(2, result: false, effect: true)
        case .jump, .exit, .jumpContext: return t(0, result: false, effect: true, ends: true)
        case .jumpIndirect, .ret, .call, .callIndirect: return t(1, result: false, effect: true, ends: true)
        }
    }

    /// Exists in i32 and i64 only.
    public var isWideOnly: Bool {
        switch self {
        case .mulHighU, .mulHighS, .mulHighSU, .divU, .divS, .remU, .remS, .clmul, .clmulHigh, .clmulReversed: true
        default: false
        }
    }

    /// The traits of every opcode, indexed by raw value; lives for the whole process.
    public nonisolated(unsafe) static let traitsTable: UnsafePointer<OpcodeTraits> = {
        let table = UnsafeMutablePointer<OpcodeTraits>.allocate(capacity: 256)
        for raw in 0 ..< 256 {
            let traits = Opcode(rawValue: UInt8(raw))?.traits
                ?? OpcodeTraits(operands: 0, hasResult: false, hasEffect: false, mayFault: false, endsTrace: false)
            (table + raw).initialize(to: traits)
        }
        return UnsafePointer(table)
    }()
}
