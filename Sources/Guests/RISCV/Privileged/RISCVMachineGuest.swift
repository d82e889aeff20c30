// A RISC-V CPU with its privileged architecture, as engines see it.

import Core
import Host
import IR
import Translation

/// The harts of a machine.
public final class RISCVMachineGuest: MappedGuest {
    private let base: RISCVGuest
    public let configuration: PrivilegedConfiguration
    private let harts = Locked<[ObjectIdentifier: Hart]>([:])

    public init(model: CPUModel, configuration: PrivilegedConfiguration) {
        var configuration = configuration
        if model.xlen == .rv32 { configuration.addressBits = min(configuration.addressBits, 32) }
        self.configuration = configuration
        base = RISCVGuest(model: model, isMachine: true, privileged: configuration.instructions)
        _ = CacheBlocks.helper
        _ = (CSRAccess.helper, SystemInstructions.perform, SystemInstructions.markDirty)
        _ = (HypervisorAccess.load, HypervisorAccess.store)
    }

    public var model: CPUModel { base.model }
    var unprivilegedFeatures: [RegisterFeature] { base.registerFeatures }
    /// A hart that stands for all of them, which are alike.
    var anyHart: Hart? { harts.withLock { $0.values.first } }

    /// Makes the hart of `vcpu`. - Parameters:
    ///   - number: `mhartid`.
    ///   - wake: makes the vCPU look at its interrupts soon; called from any thread.
    @discardableResult
    public func makeHart(_ vcpu: VCPU, number: Int, timebase: Timebase, log: TranslationLog? = nil, wake: @escaping @Sendable () -> Void) -> Hart {
        let hart = Hart(vcpu, number: number, model: model, configuration: configuration, timebase: timebase, log: log, wake: wake)
        harts.withLock { $0[ObjectIdentifier(vcpu)] = hart }
        return hart
    }

    // MARK: Guest

    public var name: String { base.name }
    public var layout: StateLayout { base.layout }
    public var minimumInstructionLength: Int { base.minimumInstructionLength }
    public var maximumInstructionLength: Int { base.maximumInstructionLength }
    public func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into builder: Builder) -> DecodedInstruction {
        base.translate(window, at: pc, context: context, into: builder)
    }
    public func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) { base.disassemble(window, at: pc) }

    public func describeState(of vcpu: VCPU) -> String {
        guard let hart = Hart.of(vcpu.state) else { return base.describeState(of: vcpu) }
        func line(_ name: String, _ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return " " + name + String(repeating: " ", count: max(1, 9 - name.count)) + String(repeating: "0", count: max(0, 16 - digits.count)) + digits + "\n"
        }
        let lines = base.describeState(of: vcpu).split(separator: "\n", omittingEmptySubsequences: false)
        var text = " V      =   0\n" + (lines.first ?? "") + "\n"
        for register in ControlRegister.shown { text += line(register.name, register.read(hart)) }
        return text + lines.dropFirst().joined(separator: "\n")
    }

    // MARK: SystemGuest

    public var mmuIndexCount: Int { MMUIndex.count }

    public func fetchIndex(context: UInt64) -> Int {
        switch context >> MachineContext.privilegeShift & 3 {
        case 0: context & MachineContext.virtual != 0 ? MMUIndex.user + MMUIndex.virtual : MMUIndex.user
        case 1: context & MachineContext.virtual != 0 ? MMUIndex.supervisor + MMUIndex.virtual : MMUIndex.supervisor
        default: MMUIndex.machine
        }
    }

    /// The MMU index of data accesses of helpers.
    public func dataIndex(context: UInt64) -> Int { Int(truncatingIfNeeded: context >> MachineContext.indexShift & 15) }

    public func translate(_ address: UInt64, _ kind: AccessKind, bytes: Int, mmuIndex: Int, of vcpu: VCPU, memory: AddressSpace) -> PageTranslation? {
        Hart.uncounted(vcpu.state)?._withUnsafeGuaranteedRef { hart in
            if hart.counters.misses != 0 { hart.countMiss(kind) }
            let page = hart.triggers.isActive ? hart.translateWatched(address, kind, bytes: bytes, index: mmuIndex, memory: memory)
                : hart.translate(address, kind, bytes: bytes, index: mmuIndex, memory: memory)
            if let log = hart.log, log.items.contains(.mmu) { log.write(hart.describe(page, address, kind, index: mmuIndex)) }
            return page
        }
    }

    public func recordBusError(_ address: UInt64, _ kind: AccessKind, mmuIndex: Int, of vcpu: VCPU) {
        guard let hart = Hart.of(vcpu.state) else { return }
        if let log = hart.log, log.items.contains(.guestErrors) { log.write("Invalid \(kind.word) at addr 0x\(String(address, radix: 16)), hart \(hart.number), reason: rejected\n") }
        hart.busError(kind == .fetch ? address : hart.transformed(address, index: mmuIndex), kind, index: mmuIndex)
    }

    public func deliversInside(_ reason: ExitReason) -> Bool {
        switch reason {
        case .guestException, .systemCall, .memoryFault, .illegalInstruction, .misaligned: true
        default: false
        }
    }

    public func deliver(_ reason: ExitReason, to vcpu: VCPU) {
        guard let hart = Hart.of(vcpu.state) else { return }
        let isVirtual = hart.hypervisor.isVirtual
        switch reason {
        case .systemCall:
            hart.trap(RecordedException(cause: hart.privilege == .user ? .userCall : hart.privilege == .machine ? .machineCall
                : isVirtual ? .virtualSupervisorCall : .supervisorCall))
        case .breakpoint: hart.trap(RecordedException(cause: .breakpoint, value: vcpu.pc, isGuest: isVirtual))
        case .illegalInstruction: hart.trap(RecordedException(cause: .illegalInstruction, value: encoding(at: vcpu.pc, hart)))
        case .misaligned:
            let isStore = vcpu[UInt32.self, StateHeader.faultCode] == UInt32(AccessKind.store.rawValue)
            hart.trap(RecordedException(cause: isStore ? .misalignedStore : .misalignedLoad, value: hart.transformed(vcpu[UInt64.self, StateHeader.faultAddress], index: hart.dataIndex),
                                        isGuest: MMUIndex.isVirtual(hart.dataIndex)))
        case .memoryFault: hart.trap(named(hart.recorded, hart))
        case .fetchFault: hart.trap(hart.recorded)
        case .guestException:
            switch hart.action {
            case .exception:
                var exception = hart.recorded
                if exception.cause == .virtualInstruction { exception.value = encoding(at: vcpu.pc, hart) }
                hart.trap(exception)
            case .machineReturn: hart.returnFromMachine()
            case .nmiReturn: hart.returnFromNMI()
            case .supervisorReturn: hart.returnFromSupervisor()
            }
        case .interrupted, .instructionFence, .idle, .waitForInterrupt: break
        }
    }

    /// The exception of a data access with the instruction that made it, as `mtinst` and `htinst` show it.
    private func named(_ exception: RecordedException, _ hart: Hart) -> RecordedException {
        guard hart.configuration.hasHypervisor, exception.instruction == nil, exception.cause != .breakpoint else { return exception }
        var exception = exception
        exception.instruction = TransformedInstruction.of(UInt32(truncatingIfNeeded: encoding(at: hart.vcpu.pc, hart)), xlen: hart.xlen) { register in
            register == 0 ? 0 : hart.vcpu[UInt64.self, RISCVState.integer(register)]
        } fault: { exception.value }
        return exception
    }

    /// The instruction that the trap is about.
    private func encoding(at pc: UInt64, _ hart: Hart) -> UInt64 {
        guard let mmu = SoftMMU.of(hart.vcpu.state) else { return 0 }
        hart.isInTrap = true
        defer { hart.isInTrap = false }
        let index = fetchIndex(context: hart.vcpu.context)
        guard let low = mmu.load(pc, bytes: 2, mmuIndex: index, kind: .fetch) else { return 0 }
        guard low & 3 == 3 else { return low }
        guard let high = mmu.load(pc &+ 2, bytes: 2, mmuIndex: index, kind: .fetch) else { return low }
        return low | high << 16
    }

    public func injectNMI(_ vcpu: VCPU) -> Bool { Hart.of(vcpu.state)?.injectNMI() ?? false }

    public func takeInterrupt(_ vcpu: VCPU) -> Bool {
        Hart.of(vcpu.state)?.takeInterrupt() ?? false
    }

    public func hasWakeUp(_ vcpu: VCPU) -> Bool {
        guard let hart = Hart.of(vcpu.state) else { return true }
        hart.takeOverflows()
        return hart.hasPendingInterrupt
    }

    public func reset(_ vcpu: VCPU) {
        for number in 0 ..< 32 {
            vcpu[UInt64.self, RISCVState.integer(number)] = 0
            vcpu[UInt64.self, RISCVState.float(number)] = 0
        }
        RISCVState.setFloatControl(0, of: vcpu)
        vcpu[UInt64.self, StateHeader.reservationAddress] = ~0
        Hart.of(vcpu.state)?.reset()
    }
}
