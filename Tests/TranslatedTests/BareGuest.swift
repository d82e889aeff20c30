// A machine for tests: unprivileged RISC-V instructions, a page table that tests write in Swift, one trap vector, one
// interrupt; memory, and a device that remembers what was done to it.

import Core
import Glibc
import Host
import IR
import Interpreter
import RISCV
import Synchronization
import Testing
import Translated
import Translation
import X64

/// The guest. A trap goes to `vector` with the old pc in x30 and the exit reason in x31.
final class BareGuest: SystemGuest {
    struct Mapping: Sendable { var physical: UInt64; var rights: AccessRights }

    let riscv = RISCVGuest()
    /// Virtual page to physical page; nil: paging is off.
    let pages = Locked<[UInt64: Mapping]?>(nil)
    let traps = Locked<[(reason: ExitReason, pc: UInt64, address: UInt64)]>([])
    let walks = Atomic<Int>(0)
    let pending = Atomic<Bool>(false)
    /// Traps end here: `done` opens for a system call.
    let calls = Locked<[Int: Int]>([:])
    let onCall: @Sendable (VCPU) -> Void
    static let vector: UInt64 = 0x8000_0800
    static let resetAddress: UInt64 = 0x8000_0000
    private static let index: Int32 = RISCVState.integer(29)

    init(onCall: @escaping @Sendable (VCPU) -> Void) { self.onCall = onCall }

    var name: String { "bare" }
    var layout: StateLayout { riscv.layout }
    var minimumInstructionLength: Int { 2 }
    var maximumInstructionLength: Int { 4 }
    var mmuIndexCount: Int { 1 }
    func fetchIndex(context: UInt64) -> Int { 0 }

    func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into builder: Builder) -> DecodedInstruction {
        if window.count >= 4, window.bytes.loadUnaligned(as: UInt32.self) == Code.wfi {
            builder.exit(ExitReason.waitForInterrupt.rawValue, at: pc &+ 4)
            return DecodedInstruction(length: 4, flow: .end)
        }
        return riscv.translate(window, at: pc, context: context, into: builder)
    }

    func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) { riscv.disassemble(window, at: pc) }
    func describeState(of vcpu: VCPU) -> String { riscv.describeState(of: vcpu) }

    func translate(_ address: UInt64, _ kind: AccessKind, bytes: Int, mmuIndex: Int, of vcpu: VCPU, memory: AddressSpace) -> PageTranslation? {
        walks.add(1, ordering: .relaxed)
        let page = address & ~4095
        guard let map = pages.withLock({ $0 }) else { return PageTranslation(physical: address, size: 4096, rights: [.load, .store, .fetch]) }
        let wanted: AccessRights = switch kind { case .load: .load; case .store: .store; case .fetch: .fetch }
        guard let mapping = map[page], mapping.rights.contains(wanted) else {
            vcpu[UInt64.self, StateHeader.faultAddress] = address
            return nil
        }
        return PageTranslation(physical: mapping.physical | address & 4095, size: 4096, rights: mapping.rights)
    }

    func recordBusError(_ address: UInt64, _ kind: AccessKind, mmuIndex: Int, of vcpu: VCPU) {
        vcpu[UInt64.self, StateHeader.faultAddress] = address
    }

    func deliver(_ reason: ExitReason, to vcpu: VCPU) {
        if reason == .systemCall {
            vcpu.pc &+= 4
            return onCall(vcpu)
        }
        traps.withLock { $0.append((reason, vcpu.pc, vcpu[UInt64.self, StateHeader.faultAddress])) }
        trap(vcpu, UInt64(reason.rawValue))
    }

    private func trap(_ vcpu: VCPU, _ cause: UInt64) {
        vcpu[UInt64.self, RISCVState.integer(30)] = vcpu.pc
        vcpu[UInt64.self, RISCVState.integer(31)] = cause
        vcpu.pc = Self.vector
    }

    func takeInterrupt(_ vcpu: VCPU) -> Bool {
        guard pending.exchange(false, ordering: .sequentiallyConsistent) else { return false }
        trap(vcpu, 1000)
        return true
    }

    func hasWakeUp(_ vcpu: VCPU) -> Bool { pending.load(ordering: .sequentiallyConsistent) }

    func reset(_ vcpu: VCPU) {
        for number in 1 ..< 32 { vcpu[UInt64.self, RISCVState.integer(number)] = 0 }
        vcpu.pc = Self.resetAddress
        vcpu.context = 0
    }
}

/// A window of 4 KiB whose loads give their offset and how many stores there were; loads at 0x100 run `onRead`.
final class ProbeDevice: BusTarget {
    let stores = Locked<[(offset: UInt64, value: UInt64, width: Int)]>([])
    let onRead = Locked<(@Sendable () -> Void)?>(nil)

    func read(bank: Int, offset: UInt64, width: Int) -> UInt64 {
        if offset == 0x100 { onRead.withLock { $0 }?() }
        return offset | 0xABCD_0000
    }
    func write(bank: Int, offset: UInt64, value: UInt64, width: Int) { stores.withLock { $0.append((offset, value, width)) } }
    func widths(bank: Int) -> ClosedRange<Int> { 1 ... 8 }
}

/// Encodings of the instructions that the tests are written in.
enum Code {
    static let wfi: UInt32 = 0x1050_0073
    static let ecall: UInt32 = 0x73
    static let fenceI: UInt32 = 0x100F
    static let ret: UInt32 = jalr(0, 1, 0)

    static func i(_ opcode: UInt32, _ f3: UInt32, _ rd: Int, _ rs1: Int, _ imm: Int) -> UInt32 {
        opcode | UInt32(rd) << 7 | f3 << 12 | UInt32(rs1) << 15 | UInt32(bitPattern: Int32(imm)) << 20
    }
    static func s(_ f3: UInt32, _ rs2: Int, _ rs1: Int, _ imm: Int) -> UInt32 {
        let bits = UInt32(bitPattern: Int32(imm))
        return 0x23 | (bits & 31) << 7 | f3 << 12 | UInt32(rs1) << 15 | UInt32(rs2) << 20 | (bits >> 5 & 127) << 25
    }
    static func r(_ opcode: UInt32, _ f3: UInt32, _ f7: UInt32, _ rd: Int, _ rs1: Int, _ rs2: Int) -> UInt32 {
        opcode | UInt32(rd) << 7 | f3 << 12 | UInt32(rs1) << 15 | UInt32(rs2) << 20 | f7 << 25
    }
    static func addi(_ rd: Int, _ rs1: Int, _ imm: Int) -> UInt32 { i(0x13, 0, rd, rs1, imm) }
    static func slli(_ rd: Int, _ rs1: Int, _ by: Int) -> UInt32 { i(0x13, 1, rd, rs1, by) }
    static func add(_ rd: Int, _ rs1: Int, _ rs2: Int) -> UInt32 { r(0x33, 0, 0, rd, rs1, rs2) }
    static func lui(_ rd: Int, _ imm: Int) -> UInt32 { 0x37 | UInt32(rd) << 7 | UInt32(bitPattern: Int32(imm)) << 12 }
    static func ld(_ rd: Int, _ rs1: Int, _ imm: Int) -> UInt32 { i(0x03, 3, rd, rs1, imm) }
    static func lw(_ rd: Int, _ rs1: Int, _ imm: Int) -> UInt32 { i(0x03, 2, rd, rs1, imm) }
    static func lbu(_ rd: Int, _ rs1: Int, _ imm: Int) -> UInt32 { i(0x03, 4, rd, rs1, imm) }
    static func sd(_ rs2: Int, _ rs1: Int, _ imm: Int) -> UInt32 { s(3, rs2, rs1, imm) }
    static func sw(_ rs2: Int, _ rs1: Int, _ imm: Int) -> UInt32 { s(2, rs2, rs1, imm) }
    static func jalr(_ rd: Int, _ rs1: Int, _ imm: Int) -> UInt32 { i(0x67, 0, rd, rs1, imm) }
    static func amoaddD(_ rd: Int, _ rs2: Int, _ rs1: Int) -> UInt32 { r(0x2F, 3, 0, rd, rs1, rs2) }
    static func amomaxD(_ rd: Int, _ rs2: Int, _ rs1: Int) -> UInt32 { r(0x2F, 3, 0b1010000, rd, rs1, rs2) }
    static func lrD(_ rd: Int, _ rs1: Int) -> UInt32 { r(0x2F, 3, 0b0001000, rd, rs1, 0) }
    static func scD(_ rd: Int, _ rs2: Int, _ rs1: Int) -> UInt32 { r(0x2F, 3, 0b0001100, rd, rs1, rs2) }
    static func fld(_ rd: Int, _ rs1: Int, _ imm: Int) -> UInt32 { i(0x07, 3, rd, rs1, imm) }
    static func fsd(_ rs2: Int, _ rs1: Int, _ imm: Int) -> UInt32 { s(3, rs2, rs1, imm) | 4 }
    static func jal(_ rd: Int, _ by: Int) -> UInt32 {
        let b = UInt32(bitPattern: Int32(by))
        return 0x6F | UInt32(rd) << 7 | (b >> 12 & 0xFF) << 12 | (b >> 11 & 1) << 20 | (b >> 1 & 0x3FF) << 21 | (b >> 20 & 1) << 31
    }
    static func bne(_ rs1: Int, _ rs2: Int, _ by: Int) -> UInt32 {
        let b = UInt32(bitPattern: Int32(by))
        return 0x63 | 1 << 12 | UInt32(rs1) << 15 | UInt32(rs2) << 20 | (b >> 11 & 1) << 7 | (b >> 1 & 15) << 8 | (b >> 5 & 63) << 25
            | (b >> 12 & 1) << 31
    }
}

enum EngineKind: CaseIterable, Sendable { case interpreter, x64 }

/// A machine with 1 MiB of memory at 0x8000_0000 and a device at 0x1000_0000.
final class BareMachine: @unchecked Sendable {
    static let base: UInt64 = 0x8000_0000, deviceBase: UInt64 = 0x1000_0000
    let memory: RAMBlock
    let space: AddressSpace
    let device = ProbeDevice()
    let guest: BareGuest
    let set: ProcessorSet
    private let done: Counter

    final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    init(_ kind: EngineKind, vcpus: Int = 1, isThreaded: Bool = true) throws {
        memory = try RAMBlock(name: "test.ram", size: 1 << 20)
        let root = Region(container: "test")
        AddressSpace.place(Region(memory), in: root, at: Self.base)
        AddressSpace.place(Region("device", size: 4096, .device(device, bank: 0)), in: root, at: Self.deviceBase)
        space = AddressSpace(name: "test", root: root)
        let done = Counter()
        self.done = done
        guest = BareGuest { vcpu in
            // A vCPU that called waits for ever, but can be interrupted by jobs.
            done.value.add(1, ordering: .sequentiallyConsistent)
            vcpu.pc = BareGuest.resetAddress &+ 0xF00
        }
        var options = EngineOptions()
        options.isMachine = true
        options.codeCacheBytes = 16 << 20
        options.makeStepper = { InterpreterStepper(guest: $0) }
        let engine: any Engine
        switch kind {
        case .interpreter: engine = InterpreterEngine(guest: guest, options: options)
        case .x64:
            var problem = ""
            engine = try #require(X64Engine(guest: guest, options: options, problem: &problem))
        }
        set = ProcessorSet(engine: engine, guest: guest, memory: space, count: vcpus, isThreaded: isThreaded)
        // Where a vCPU goes that is done: it sleeps, again and again.
        put([Code.wfi, Code.jal(0, -4)], at: 0xF00)
        // A trap ends the program, too.
        put([Code.ecall], at: 0x800)
    }

    deinit { set.stop() }

    func put(_ code: [UInt32], at offset: UInt64) {
        for (index, word) in code.enumerated() {
            _ = space.write(Self.base + offset + UInt64(index * 4), UInt64(word), width: 4)
        }
    }

    func word(_ offset: UInt64) -> UInt64 { space.read(Self.base + offset, width: 8) ?? 0 }
    func setWord(_ offset: UInt64, _ value: UInt64) { _ = space.write(Self.base + offset, value, width: 8) }
    func register(_ number: Int, _ processor: Int = 0) -> UInt64 { set[processor].vcpu[UInt64.self, RISCVState.integer(number)] }

    /// Runs until `calls` system calls were made, or fails after a while; `incident` happens as soon as it runs.
    func run(calls: Int = 1, _ location: SourceLocation = #_sourceLocation, incident: () -> Void = {}) {
        let before = done.value.load(ordering: .sequentiallyConsistent)
        #expect(set.start())
        set.resume()
        incident()
        let clock = ContinuousClock(), end = clock.now + .seconds(20)
        while done.value.load(ordering: .sequentiallyConsistent) < before + calls, clock.now < end { usleep(200) }
        #expect(done.value.load(ordering: .sequentiallyConsistent) >= before + calls, "no end", sourceLocation: location)
        set.pause()
    }

    /// Lets processor 0 begin again at `offset` when it next runs.
    func restart(at offset: UInt64) { set[0].vcpu.pc = Self.base + offset }
}
