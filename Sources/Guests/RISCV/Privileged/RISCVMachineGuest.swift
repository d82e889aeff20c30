// A RISC-V CPU with its privileged architecture, as engines see it.

import Core
import Host
import IR
import Translation

/// The harts of a machine.
public final class RISCVMachineGuest: SystemGuest {
    private let base: RISCVGuest
    public let configuration: PrivilegedConfiguration
    private let harts = Locked<[ObjectIdentifier: Hart]>([:])

    public init(model: CPUModel, configuration: PrivilegedConfiguration) {
        var configuration = configuration
        if model.xlen == .rv32 { configuration.addressBits = min(configuration.addressBits, 32) }
        self.configuration = configuration
        base = RISCVGuest(model: model, isMachine: true)
        _ = (CSRAccess.helper, SystemInstructions.perform, SystemInstructions.markDirty)
    }

    public var model: CPUModel { base.model }

    /// Makes the hart of `vcpu`. - Parameters:
    ///   - number: `mhartid`.
    ///   - wake: makes the vCPU look at its interrupts soon; called from any thread.
    @discardableResult
    public func makeHart(_ vcpu: VCPU, number: Int, timebase: Timebase, wake: @escaping @Sendable () -> Void) -> Hart {
        let hart = Hart(vcpu, number: number, model: model, configuration: configuration, timebase: timebase, wake: wake)
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
        case 0: MMUIndex.user
        case 1: MMUIndex.supervisor
        default: MMUIndex.machine
        }
    }

    public func translate(_ address: UInt64, _ kind: AccessKind, bytes: Int, mmuIndex: Int, of vcpu: VCPU, memory: AddressSpace) -> PageTranslation? {
        Hart.of(vcpu.state)?.translate(address, kind, bytes: bytes, index: mmuIndex, memory: memory)
    }

    public func recordBusError(_ address: UInt64, _ kind: AccessKind, mmuIndex: Int, of vcpu: VCPU) {
        Hart.of(vcpu.state)?.accessFault(address, kind)
    }

    public func deliver(_ reason: ExitReason, to vcpu: VCPU) {
        guard let hart = Hart.of(vcpu.state) else { return }
        switch reason {
        case .systemCall:
            let cause: ExceptionCause = hart.privilege == .user ? .userCall : hart.privilege == .supervisor ? .supervisorCall : .machineCall
            hart.trap(cause.rawValue, isInterrupt: false, value: 0)
        case .breakpoint: hart.trap(ExceptionCause.breakpoint.rawValue, isInterrupt: false, value: vcpu.pc)
        case .illegalInstruction: hart.trap(ExceptionCause.illegalInstruction.rawValue, isInterrupt: false, value: encoding(at: vcpu.pc, hart))
        case .misaligned:
            let isStore = vcpu[UInt32.self, StateHeader.faultCode] == UInt32(AccessKind.store.rawValue)
            hart.trap((isStore ? ExceptionCause.misalignedStore : .misalignedLoad).rawValue, isInterrupt: false,
                      value: vcpu[UInt64.self, StateHeader.faultAddress])
        case .memoryFault, .fetchFault: hart.trap(hart.recordedCause.rawValue, isInterrupt: false, value: hart.recordedValue)
        case .guestException:
            switch hart.action {
            case .exception: hart.trap(hart.recordedCause.rawValue, isInterrupt: false, value: hart.recordedValue)
            case .machineReturn: hart.returnFrom(.machine)
            case .supervisorReturn: hart.returnFrom(.supervisor)
            }
        case .interrupted, .instructionFence, .idle, .waitForInterrupt: break
        }
    }

    /// The instruction that the trap is about.
    private func encoding(at pc: UInt64, _ hart: Hart) -> UInt64 {
        guard let mmu = SoftMMU.of(hart.vcpu.state) else { return 0 }
        let index = fetchIndex(context: hart.vcpu.context)
        guard let low = mmu.load(pc, bytes: 2, mmuIndex: index, kind: .fetch) else { return 0 }
        guard low & 3 == 3 else { return low }
        guard let high = mmu.load(pc &+ 2, bytes: 2, mmuIndex: index, kind: .fetch) else { return low }
        return low | high << 16
    }

    public func takeInterrupt(_ vcpu: VCPU) -> Bool {
        guard let hart = Hart.of(vcpu.state), let (number, _) = hart.pendingInterrupt() else { return false }
        hart.trap(number, isInterrupt: true, value: 0)
        return true
    }

    public func hasWakeUp(_ vcpu: VCPU) -> Bool {
        guard let hart = Hart.of(vcpu.state) else { return true }
        return hart.mip & hart.mie != 0
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
