import Host
import IR
import IRPasses
import Translation

/// Tier 1: turns one trace of IR into host code, in one forward sweep.
///
/// The struct is large and lives in raw memory owned by the translator (`X64Translator`); every method works in place.
/// Lowering of each group of ops is in the extensions beside this file. Code off the hot path (exit stubs, NaN and
/// overflow repairs, slow cases) is queued in `cold` and written behind the block's hot code.
struct Lowering {
    var a: Assembler
    var places: Placement
    let liveness: Liveness
    let trampolines: Trampolines
    let constants: ConstantPool
    let registers: HostRegisters
    /// The ops of the trace.
    var ops: UnsafeMutablePointer<Op>
    var count = 0
    /// The op being lowered.
    var index = 0
    /// The guest instruction being lowered.
    var guestPC: UInt64 = 0
    /// Exits of this block that can be linked to other blocks.
    var links: RawList<PendingLink>
    var cold: RawList<ColdCode>
    /// (host offset from the block's entry, guest pc) of each guest instruction.
    var boundaries: RawList<Boundary>
    var entry: UnsafeMutablePointer<UInt8>
    /// The number of the block's first link.
    var linkBase = 0
    /// The indirect branch that ends the block, its number, and the executable address of its key.
    var site = PendingSite()
    var siteNumber = 0
    var siteKey: UInt64 = 0
    /// Whether bits 32–63 of an f32's vector register are known to be ones.
    let isBoxed: UnsafeMutablePointer<Bool>
    /// Whether a store may have been made since the last full fence: only then does another one do anything.
    var storesMayBePending = true
    /// The helper op that lane code has taken the place of, or -1.
    var laneHelper = -1
    /// The cold entry whose resume address is yet to be set.
    var pendingSlow = 0
    /// The block cannot be translated as it is (out of spill slots or cold entries); retry with fewer instructions.
    var failed = false
    /// Where the cold code begins.
    var coldStart: UnsafeMutablePointer<UInt8>
    /// What `PlacementChecker` reads; nil outside tests.
    var placementLog: UnsafeMutablePointer<PlacementLog>?

    /// An exit to a known guest address.
    struct PendingLink: BitwiseCopyable {
        var target: UInt64
        /// The rel32 field of the jump or call, in the writable view.
        var field: UnsafeMutablePointer<UInt8>
        /// The stub that the field leads to until it is linked.
        var stub: UnsafeMutablePointer<UInt8>
        /// Control comes to it by a return.
        var isReturn: Bool
    }

    struct Boundary: BitwiseCopyable {
        var offset: UInt32
        var pc: UInt64
    }

    /// Added to guest addresses to make host addresses.
    let memoryBase: UInt64
    /// Whether memory is reached as in machines.
    let isMachine: Bool
    /// In machines: what is checked at the block's entry.
    var firstCheck: FetchCheck?
    var secondCheck: FetchCheck?

    init(capacity: Int, registers: HostRegisters, trampolines: Trampolines, constants: ConstantPool, memoryBase: UInt64 = 0,
         isMachine: Bool = false) {
        self.memoryBase = memoryBase
        self.isMachine = isMachine
        let nowhere = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
        a = Assembler(write: nowhere, limit: nowhere, executableDelta: 0)
        entry = nowhere
        coldStart = nowhere
        places = Placement(capacity: capacity, registers: registers)
        liveness = Liveness(capacity: capacity)
        self.trampolines = trampolines
        self.constants = constants
        self.registers = registers
        ops = UnsafeMutablePointer<Op>.allocate(capacity: 1)
        isBoxed = .allocate(capacity: capacity)
        isBoxed.initialize(repeating: false, count: capacity)
        links = RawList(capacity: 512)
        cold = RawList(capacity: 1024)
        boundaries = RawList(capacity: 1100)
    }

    /// Writes the block's code at `assembler`'s cursor. On return `a` stands behind it; the caller checks `failed` and
    /// `a.overflowed`.
    mutating func run(_ arena: OpArena, _ assembler: Assembler) {
        a = assembler
        entry = a.cursor
        ops = arena.ops
        count = arena.count
        failed = false
        site = PendingSite()
        storesMayBePending = true
        links.count = 0
        cold.count = 0
        boundaries.count = 0
        liveness.run(arena)
        places.reset()
        index = 0
        laneHelper = -1
        if isMachine, count > 0 { writeFetchChecks(at: ops[0].imm) }
        while index < count {
            let op = ops[index]
            if liveness.isLive(index, ops) {
                places.define(index)
                isBoxed[index] = false
                places.locked = 0
                lower(op)
                finish(op)
            } else {
                places.define(index)
            }
            index &+= 1
        }
        coldStart = a.cursor
        writeCold()
        if links.overflowed || cold.overflowed || boundaries.overflowed { failed = true }
    }

    /// Frees what the op's operands held, and its own result if nobody wants it.
    @inline(__always)
    private mutating func finish(_ op: Op) {
        let here = Ref(truncatingIfNeeded: index)
        if op.a >= 0, liveness.lastUse[Int(op.a)] == here { places.kill(Int(op.a)) }
        if op.b >= 0, liveness.lastUse[Int(op.b)] == here { places.kill(Int(op.b)) }
        if op.c >= 0, liveness.lastUse[Int(op.c)] == here { places.kill(Int(op.c)) }
        if liveness.uses[index] == 0 { places.kill(index) }
    }

    private mutating func lower(_ op: Op) {
        switch op.code {
        case .const: break
        case .get: lowerGet(op)
        case .put: lowerPut(op)
        case .add, .sub, .and, .or, .xor, .andNot, .mul: lowerArithmetic(op)
        case .mulHighU, .mulHighS, .mulHighSU: lowerMultiplyHigh(op)
        case .divU, .divS, .remU, .remS: lowerDivision(op)
        case .not, .neg, .clz, .ctz, .popcount, .byteSwap, .orCombine: lowerUnary(op)
        case .shl, .shrU, .shrS, .rotl, .rotr: lowerShift(op)
        case .clmul, .clmulHigh, .clmulReversed: lowerCarrylessMultiply(op)
        case .signExtend, .zeroExtend, .truncate: lowerExtension(op)
        case .compare: lowerCompare(op)
        case .select: lowerSelect(op)
        case .load: lowerLoad(op)
        case .store: lowerStore(op)
        case .atomicRMW: lowerAtomicRMW(op)
        case .compareAndSwap: lowerCompareAndSwap(op)
        case .storeConditional: lowerStoreConditional(op)
        case .fence: lowerFence(op)
        case .fadd, .fsub, .fmul, .fdiv, .fsqrt, .fma: lowerFloatArithmetic(op)
        case .fminmax: lowerFloatMinMax(op)
        case .fcompare: lowerFloatCompare(op)
        case .floatToInt: lowerFloatToInt(op)
        case .intToFloat: lowerIntToFloat(op)
        case .floatToFloat: lowerFloatToFloat(op)
        case .froundInt: lowerFloatRound(op)
        case .fclass: lowerFloatSlow(op)
        case .bitcast: lowerBitcast(op)
        case .boxFloat: lowerBox(op)
        case .unboxFloat: lowerUnbox(op)
        case .getFloatFlags: lowerGetFloatFlags(op)
        case .putFloatFlags: lowerPutFloatFlags(op)
        case .helper: if index != laneHelper { lowerHelper(op) }
        case .lanes: lowerLanes(op)
        case .instruction:
            guestPC = op.imm
            boundaries.append(Boundary(offset: UInt32(truncatingIfNeeded: a.cursor - entry), pc: op.imm))
        case .branch: lowerBranch(op)
        case .jump: lowerJump(op)
        case .jumpIndirect: lowerJumpIndirect(op)
        case .call: lowerCall(op)
        case .callIndirect: lowerCallIndirect(op)
        case .ret: lowerReturn(op)
        case .exit: lowerExit(op)
        case .jumpContext: lowerJumpContext(op)
        }
    }
}

/// A list of trivial records in raw memory of fixed capacity; appending past it sets `overflowed`.
struct RawList<Element: BitwiseCopyable> {
    let base: UnsafeMutablePointer<Element>
    let capacity: Int
    var count = 0 { didSet { if count == 0 { overflowed = false } } }
    private(set) var overflowed = false

    init(capacity: Int) {
        self.capacity = capacity
        base = .allocate(capacity: capacity)
    }

    @inline(__always)
    mutating func append(_ element: Element) {
        guard count < capacity else {
            overflowed = true
            return
        }
        base[count] = element
        count &+= 1
    }
}
