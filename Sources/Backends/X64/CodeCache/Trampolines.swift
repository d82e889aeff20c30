import Host
import IR
import Translation

/// The fixed code at the start of the code buffer: entry into and exits out of translated code, calls to the runtime.
/// All fields are executable addresses.
struct Trampolines: BitwiseCopyable {
    /// `(state: rdi, target: rsi) -> rax`, by the C calling convention.
    var enter: UInt64 = 0
    /// Leaves with the code in rax.
    var exit: UInt64 = 0
    /// Leaves for the link whose number is in eax.
    var linkExit: UInt64 = 0
    /// Leaves for the indirect branch whose number is in eax.
    var siteExit: UInt64 = 0
    /// Goes to guest address rax, which is not in the jump cache.
    var indirectMiss: UInt64 = 0
    /// Goes to guest address rax, which the top of the shadow stack does not announce.
    var returnMiss: UInt64 = 0
    /// Leaves because of an interrupt request; the program counter is set.
    var interrupted: UInt64 = 0
    /// Leaves because of a memory fault; the program counter and the fault's details are set.
    var faulted: UInt64 = 0
    /// Calls the helper whose number is in eax.
    var helper: UInt64 = 0
    var slowFloat: UInt64 = 0
    /// Calls `SlowMemory`; comes back if there is memory.
    var slowMemory: UInt64 = 0
    var slowMemoryCheck: UInt64 = 0
    /// Calls the helper of lane code: see `SlowLanes`.
    var slowLanes: UInt64 = 0
    /// The constants of lane code (`LaneTable`).
    var laneTables: UInt64 = 0
    /// Behind 256 bytes of ones, before as many zeros: masks of what lies before an element.
    var laneTail: UInt64 = 0
    /// Where each of the two begins to look for an interrupt request, on its way back.
    var helperCheck: UInt64 = 0
    var slowFloatCheck: UInt64 = 0
    var slowLanesCheck: UInt64 = 0
    /// Byte tables: float flags by MXCSR's low six bits, and MXCSR's bits by the five flags.
    var flagsFromMXCSR: UInt64 = 0
    var flagsToMXCSR: UInt64 = 0
    /// The range of `exit`: a single-stepped vCPU that gets here is on its way out.
    var exitEnd: UInt64 = 0
}

/// Writes the trampolines.
struct TrampolineWriter {
    var a: Assembler
    let registers: HostRegisters
    let slowFloat: @convention(c) (UnsafeMutableRawPointer) -> Void

    private func mem(_ offset: Int32) -> Mem { .base(HostRegisters.state, offset) }

    mutating func write() -> (Trampolines, ConstantPool) {
        var t = Trampolines()
        a.align(to: 16)
        let pool = ConstantPool(base: a.here)
        for value in ConstantPool.values { word(value); word(0) }
        t.flagsFromMXCSR = a.here
        for bits in UInt8(0) ..< 64 { byte(Self.flags(fromMXCSR: bits)) }
        t.flagsToMXCSR = a.here
        for flags in UInt8(0) ..< 32 { byte(Self.mxcsr(fromFlags: flags)) }
        a.align(to: 32)
        t.laneTables = a.here
        for value in LaneTable.bytes { byte(value) }
        for value in SegmentShuffle.bytes { byte(value) }
        t.laneTail = a.here &+ 256
        for index in 0 ..< 544 { byte(index < 256 ? 0xFF : 0) }
        a.align(to: 16)

        t.enter = a.here
        for register in [GPR.rbx, .rbp, .r12, .r13, .r14, .r15] { a.push(register) }
        a.alu(.sub, .b64, .rsp, imm: 8)
        a.mov(.b64, .rbp, .rdi)
        a.mov(.b64, mem(BackendState.hostStack), .rsp)
        a.vstmxcsr(mem(BackendState.hostMXCSR))
        a.vldmxcsr(mem(BackendState.guestMXCSR))
        a.mov(.b64, .rsp, mem(BackendState.shadowStack))
        a.mov(.b64, .rax, .rsi)
        loadHomes()
        // A signal that comes while the program counter is in this code single-steps; one that came before is seen here.
        a.alu(.cmp, .b32, mem(StateHeader.interruptRequest), imm: 0)
        let isAsked = a.jccForward(.ne)
        a.jmp(.rax)

        a.align(to: 16)
        a.bind(isAsked)
        t.interrupted = a.here
        a.movImmediate(.rax, Exit.reason(.interrupted))
        let toExit = a.jmpForward()
        t.faulted = a.here
        a.movImmediate(.rax, Exit.reason(.memoryFault))
        let toExit2 = a.jmpForward()
        t.siteExit = a.here
        a.shift(.shl, .b64, .rax, 8)
        a.alu(.or, .b64, .rax, imm: Int32(Exit.site))
        let toExit3 = a.jmpForward()
        t.linkExit = a.here
        a.shift(.shl, .b64, .rax, 8)
        a.alu(.or, .b64, .rax, imm: Int32(Exit.link))
        a.bind(toExit)
        a.bind(toExit2)
        a.bind(toExit3)
        t.exit = a.here
        storeHomes()
        a.vzeroupper()
        a.vstmxcsr(mem(BackendState.guestMXCSR))
        a.vldmxcsr(mem(BackendState.hostMXCSR))
        a.mov(.b64, mem(BackendState.shadowStack), .rsp)
        a.mov(.b64, .rsp, mem(BackendState.hostStack))
        a.alu(.add, .b64, .rsp, imm: 8)
        for register in [GPR.r15, .r14, .r13, .r12, .rbp, .rbx] { a.pop(register) }
        a.ret()
        t.exitEnd = a.here

        a.align(to: 16)
        t.returnMiss = a.here
        writeReturnMiss()
        t.indirectMiss = a.here
        a.mov(.b64, mem(StateHeader.pc), .rax)
        a.movImmediate(.rax, Exit.lookup)
        a.jmp(t.exit)

        a.align(to: 16)
        t.helper = a.here
        t.helperCheck = writeHelperCall()
        a.align(to: 16)
        t.slowFloat = a.here
        t.slowFloatCheck = writeSlowCall(slowFloat)
        a.align(to: 16)
        t.slowLanes = a.here
        t.slowLanesCheck = writeSlowCall(SlowLanes.entry)
        a.align(to: 16)
        t.slowMemory = a.here
        t.slowMemoryCheck = writeSlowCall(SlowMemory.entry, returns: false)
        a.alu(.cmp, .b32, mem(BackendState.slowStatus), imm: 0)
        let failed = a.jccShort(.ne)
        a.ret()
        a.bind(failed)
        a.pop(.rax)
        a.mov(.b64, mem(BackendState.slowReturn), .rax)
        a.movImmediate(.rax, Exit.memory)
        a.jmp(t.exit)
        a.align(to: 64)
        return (t, pool)
    }

    /// A return that its call did not announce, or whose frames were left by a non-local jump: looks a few frames up,
    /// then gives up all of them. Falls through with the target in rax.
    private mutating func writeReturnMiss() {
        for frame in Int32(1) ... 6 {
            a.alu(.cmp, .b64, .rax, .base(.rsp, 8 + frame * 16))
            let next = a.jccShort(.ne)
            a.lea(.b64, .rsp, .base(.rsp, frame * 16))
            a.ret()
            a.bind(next)
        }
        a.mov(.b64, .rsp, mem(BackendState.shadowTop))
        a.mov(.b32, .rcx, .rax)
        a.alu(.and, .b32, .rcx, imm: JumpCache.mask)
        a.mov(.b64, .rdx, mem(BackendState.jumpCache))
        a.alu(.cmp, .b64, .rax, .indexed(.rdx, .rcx, 8, 0))
        let miss = a.jccShort(.ne)
        a.jmp(.indexed(.rdx, .rcx, 8, 8))
        a.bind(miss)
    }

    private mutating func writeHelperCall() -> UInt64 {
        storeHomes()
        enterHost()
        a.mov(.b64, .rdi, .rbp)
        a.mov(.b64, .rsi, mem(BackendState.argument))
        a.mov(.b64, .rdx, mem(BackendState.argument + 8))
        a.mov(.b64, .rcx, mem(BackendState.argument + 16))
        a.movImmediate(.r8, UInt64(UInt(bitPattern: HelperTable.functions)))
        a.call(.indexed(.r8, .rax, 8, 0))
        leaveHost()
        loadHomes()
        let check = a.here
        writeInterruptCheck()
        a.ret()
        return check
    }

    /// A call of the runtime that keeps all registers.
    private mutating func writeSlowCall(_ function: @convention(c) (UnsafeMutableRawPointer) -> Void, returns: Bool = true) -> UInt64 {
        for (number, register) in HostRegisters.integerScratch.enumerated() {
            a.mov(.b64, mem(BackendState.integerSave + Int32(number) * 8), register)
        }
        for number in 0 ..< HostRegisters.floatScratchCount {
            a.vmovups(mem(BackendState.floatSave + Int32(number) * 16), XMM(number))
        }
        storeHomes()
        enterHost()
        a.mov(.b64, .rdi, .rbp)
        a.movImmediate(.rax, UInt64(UInt(bitPattern: unsafeBitCast(function, to: UnsafeRawPointer.self))))
        a.call(.rax)
        leaveHost()
        loadHomes()
        for (number, register) in HostRegisters.integerScratch.enumerated() {
            a.mov(.b64, register, mem(BackendState.integerSave + Int32(number) * 8))
        }
        for number in 0 ..< HostRegisters.floatScratchCount {
            a.vmovups(XMM(number), mem(BackendState.floatSave + Int32(number) * 16))
        }
        let check = a.here
        writeInterruptCheck()
        if returns { a.ret() }
        return check
    }

    /// A signal that came while the runtime ran could not begin to single-step: it traps here and does.
    private mutating func writeInterruptCheck() {
        a.alu(.cmp, .b32, mem(StateHeader.interruptRequest), imm: 0)
        let none = a.jccShort(.e)
        a.int3()
        a.bind(none)
    }

    private mutating func enterHost() {
        // Lane code leaves the upper halves in use, for which other code would pay.
        a.vzeroupper()
        a.vstmxcsr(mem(BackendState.guestMXCSR))
        a.vldmxcsr(mem(BackendState.hostMXCSR))
        a.mov(.b64, mem(BackendState.shadowStack), .rsp)
        a.mov(.b64, .rsp, mem(BackendState.hostStack))
    }

    private mutating func leaveHost() {
        a.mov(.b64, .rsp, mem(BackendState.shadowStack))
        a.vstmxcsr(mem(BackendState.hostMXCSR))
        a.vldmxcsr(mem(BackendState.guestMXCSR))
    }

    private mutating func storeHomes() {
        for (offset, register) in registers.integerHomes { a.mov(.b64, mem(offset), register) }
        for (offset, register) in registers.floatHomes { a.vmovsd(mem(offset), register) }
    }

    private mutating func loadHomes() {
        for (offset, register) in registers.integerHomes { a.mov(.b64, register, mem(offset)) }
        for (offset, register) in registers.floatHomes { a.vmovsd(register, mem(offset)) }
    }

    private mutating func byte(_ value: UInt8) {
        guard a.hasRoom() else { return }
        a.byte(value)
    }
    private mutating func word(_ value: UInt64) {
        guard a.hasRoom() else { return }
        a.word64(value)
    }

    /// NX 1, UF 2, OF 4, DZ 8, NV 16 from PE 32, UE 16, OE 8, ZE 4, IE 1.
    static func flags(fromMXCSR bits: UInt8) -> UInt8 {
        (bits & 32 != 0 ? 1 : 0) | (bits & 16 != 0 ? 2 : 0) | (bits & 8 != 0 ? 4 : 0) | (bits & 4 != 0 ? 8 : 0) | (bits & 1 != 0 ? 16 : 0)
    }
    static func mxcsr(fromFlags flags: UInt8) -> UInt8 {
        (flags & 1 != 0 ? 32 : 0) | (flags & 2 != 0 ? 16 : 0) | (flags & 4 != 0 ? 8 : 0) | (flags & 8 != 0 ? 4 : 0) | (flags & 16 != 0 ? 1 : 0)
    }
}
