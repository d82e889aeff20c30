import IR
import IRPasses
import Translation

/// Which host register does what while translated code runs.
///
/// `rbp` is the state pointer, `rsp` the shadow stack. The hottest integer slots of the guest live in `integerHomes`,
/// the hottest float slots in `floatHomes`; at every guest instruction boundary each slot's value is in its home (a
/// register, or memory for the others). The remaining registers are scratch: they hold values within a block.
struct HostRegisters: Sendable {
    static let state = GPR.rbp
    static let integerScratch: [GPR] = [.rax, .rcx, .rdx, .r15]
    static let integerPool: [GPR] = [.rbx, .rsi, .rdi, .r8, .r9, .r10, .r11, .r12, .r13, .r14]
    static let floatScratchCount = 4
    static let floatPoolCount = 12

    /// Pinned integer slots: state offset and host register.
    let integerHomes: [(offset: Int32, register: GPR)]
    let floatHomes: [(offset: Int32, register: XMM)]

    init(_ layout: StateLayout) {
        integerHomes = zip(layout.hotIntegers, Self.integerPool).map { ($0, $1) }
        floatHomes = layout.hotFloats.prefix(Self.floatPoolCount).enumerated().map {
            ($1, XMM(rawValue: UInt8(Self.floatScratchCount + $0)))
        }
    }
}

/// Where the X64 engine keeps its own fields: offsets from the state pointer, inside `StateHeader.backend`.
enum BackendState {
    /// Host stack pointer while translated code runs.
    static let hostStack = StateHeader.backend
    /// Shadow stack pointer while it does not.
    static let shadowStack = StateHeader.backend + 8
    /// The empty shadow stack.
    static let shadowTop = StateHeader.backend + 16
    /// UInt32: MXCSR of the host's own code, and of the guest.
    static let hostMXCSR = StateHeader.backend + 24
    static let guestMXCSR = StateHeader.backend + 28
    /// The hashed jump cache of the current translation context: `JumpCache.entries` pairs of guest and host address.
    static let jumpCache = StateHeader.backend + 32
    /// Three UInt64: arguments of a helper.
    static let argument = StateHeader.backend + 160
    /// UInt32 × 2: scratch for MXCSR changes.
    static let controlScratch = StateHeader.backend + 48
    /// UInt32: MXCSR's rounding bits of the guest's current dynamic rounding.
    static let residentRounding = StateHeader.backend + 56
    /// Three UInt64: operands of a software float op; the first also takes its result.
    static let slowArgument = StateHeader.backend + 64
    /// UInt32 × 2: which op, and its mode.
    static let slowDescriptor = StateHeader.backend + 88
    /// Integer scratch registers across a software float op.
    static let integerSave = StateHeader.backend + 96
    /// UInt32: `StateHeader.floatFlags` is newer than MXCSR's flags.
    static let flagsArePublished = StateHeader.backend + 140
    /// UInt32: the vCPU's thread is between entering and leaving translated code.
    static let inCode = StateHeader.backend + 144
    /// UInt64: the code generation that the vCPU's shadow stack and jump caches belong to.
    static let generation = StateHeader.backend + 152
    /// The argument of `SlowMemory`: UInt64 virtual address, UInt32 access. Its result: UInt64 host minus guest address, UInt32
    /// status. And the return address of a call of it that does not come back.
    static let slowAddress = StateHeader.backend + 184
    static let slowAddend = StateHeader.backend + 192
    static let slowStatus = StateHeader.backend + 200
    static let slowAccess = StateHeader.backend + 204
    static let slowReturn = StateHeader.backend + 208
    /// 64 spill slots of 8 bytes.
    static let spill = StateHeader.backend + 256
    static let spillCount = 64
    /// 16 XMM save slots of 16 bytes (scratch across helper calls).
    static let floatSave = StateHeader.backend + 768
}

/// The per-vCPU cache from guest to host addresses that indirect jumps probe inline.
///
/// An entry is {guest pc, host address}, 16 bytes, at index `(pc >> 1) & (entries - 1)`.
enum JumpCache {
    static let entries = 4096
    static let bytes = entries * 16
    /// `pc & mask` times 8 is the byte offset of an entry.
    static let mask: Int32 = Int32(entries - 1) << 1
}
