// The privileged state of one hart, by "The RISC-V Instruction Set Manual, Volume II: Privileged Architecture": what is not in the
// vCPU's state block. Used by the vCPU's own thread, but for the interrupt wires.

import CHost
import Core
import Host
import Translation

/// A privilege mode, numbered as in `mstatus.MPP`.
enum PrivilegeMode: UInt64 {
    case user = 0, supervisor = 1, machine = 3
}

/// An interrupt of a hart, numbered as in `mip`.
public enum HartInterrupt: UInt32, Sendable {
    case supervisorSoftware = 1, machineSoftware = 3, supervisorTimer = 5, machineTimer = 7, supervisorExternal = 9
    case machineExternal = 11, counterOverflow = 13

    var bit: UInt64 { 1 << UInt64(rawValue) }
}

/// An exception, numbered as in `mcause`.
enum ExceptionCause: UInt64 {
    case misalignedFetch = 0, fetchAccess = 1, illegalInstruction = 2, breakpoint = 3, misalignedLoad = 4, loadAccess = 5
    case misalignedStore = 6, storeAccess = 7, userCall = 8, supervisorCall = 9, machineCall = 11
    case fetchPage = 12, loadPage = 13, storePage = 15
}

/// What a CPU model chooses of the privileged architecture.
public struct PrivilegedConfiguration: Sendable {
    public var hasSupervisor = true
    public var hasUser = true
    /// The largest page-table format: 32, 39, 48 or 57; 0: none.
    public var addressBits = 57
    public var pmpEntries = 16
    public var hasSstc = true
    public var hasSvadu = true
    public var hasSvnapot = false
    public var hasSvpbmt = false
    public var hasSvinval = false
    public var hartCounters = 16

    public init() {}
}

public final class Hart: @unchecked Sendable {
    unowned let vcpu: VCPU
    let xlen: XLEN
    let extensions: Extensions
    public let number: Int
    public let configuration: PrivilegedConfiguration
    let timebase: Timebase
    private let wake: @Sendable () -> Void

    // MARK: state

    var privilege = PrivilegeMode.machine
    /// All 64 bits; RV32 shows the upper half as `mstatush`.
    var mstatus: UInt64 = 0
    var medeleg: UInt64 = 0, mideleg: UInt64 = 0, mie: UInt64 = 0
    var mtvec: UInt64 = 0, mepc: UInt64 = 0, mcause: UInt64 = 0, mtval: UInt64 = 0, mscratch: UInt64 = 0
    var stvec: UInt64 = 0, sepc: UInt64 = 0, scause: UInt64 = 0, stval: UInt64 = 0, sscratch: UInt64 = 0
    var mcounteren: UInt64 = 0, scounteren: UInt64 = 0, mcountinhibit: UInt64 = 0
    var menvcfg: UInt64 = 0, senvcfg: UInt64 = 0, mseccfg: UInt64 = 0
    var satp: UInt64 = 0
    var stimecmp: UInt64 = .max
    var counters = [UInt64](repeating: 0, count: 32)
    var events = [UInt64](repeating: 0, count: 32)
    var pmp: PhysicalMemoryProtection

    /// The exception that a walk or a helper has recorded.
    var recordedCause = ExceptionCause.illegalInstruction
    var recordedValue: UInt64 = 0
    /// What `ExitReason.guestException` stands for.
    enum Action { case exception, machineReturn, supervisorReturn }
    var action = Action.exception

    /// `mip`'s bits that wires and timers drive, and those that software does; both atomic.
    private let wires: UnsafeMutablePointer<UInt32>
    private let software: UnsafeMutablePointer<UInt32>
    private var supervisorTimer: MachineTimer?

    /// - Parameter wake: makes the vCPU look at its interrupts soon; called from any thread.
    init(_ vcpu: VCPU, number: Int, model: CPUModel, configuration: PrivilegedConfiguration, timebase: Timebase, wake: @escaping @Sendable () -> Void) {
        self.vcpu = vcpu
        self.number = number
        xlen = model.xlen
        extensions = model.extensions
        self.configuration = configuration
        self.timebase = timebase
        self.wake = wake
        pmp = PhysicalMemoryProtection(entries: configuration.pmpEntries)
        wires = .allocate(capacity: 2)
        wires.initialize(repeating: 0, count: 2)
        software = wires + 1
        vcpu[UInt64.self, RISCVState.hart] = UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))
        supervisorTimer = timebase.clock.timer { [weak self] in self?.updateSupervisorTimer() }
        reset()
    }

    deinit {
        vcpu[UInt64.self, RISCVState.hart] = 0
        wires.deallocate()
    }

    /// The hart whose vCPU has state pointer `state`.
    @inline(__always)
    static func of(_ state: UnsafeMutableRawPointer) -> Hart? {
        guard let pointer = UnsafeRawPointer(bitPattern: UInt(state.load(fromByteOffset: Int(RISCVState.hart), as: UInt64.self))) else { return nil }
        return Unmanaged<Hart>.fromOpaque(pointer).takeUnretainedValue()
    }

    func reset() {
        privilege = .machine
        mstatus = xlen == .rv64 ? MStatus.widths64(configuration) : 0
        (medeleg, mideleg, mie, mtvec, mepc, mcause, mtval, mscratch) = (0, 0, 0, 0, 0, 0, 0, 0)
        (stvec, sepc, scause, stval, sscratch) = (0, 0, 0, 0, 0)
        (mcounteren, scounteren, mcountinhibit, senvcfg, mseccfg, satp) = (0, 0, 0, 0, 0, 0)
        menvcfg = (configuration.hasSvpbmt ? EnvironmentConfiguration.pageTypes : 0) | (configuration.hasSvadu ? EnvironmentConfiguration.updates : 0)
        stimecmp = .max
        pmp = PhysicalMemoryProtection(entries: configuration.pmpEntries)
        _ = apus_atomic_and_u32(software, 0)
        updateContext()
    }

    // MARK: interrupts

    /// The level of an interrupt wire. From any thread.
    public func setInterrupt(_ interrupt: HartInterrupt, _ isHigh: Bool) {
        let bit = UInt32(1) << interrupt.rawValue
        let old = isHigh ? apus_atomic_or_u32(wires, bit) : apus_atomic_and_u32(wires, ~bit)
        if isHigh, old & bit == 0 { wake() }
    }

    var wireBits: UInt64 { UInt64(apus_atomic_or_u32(wires, 0)) }
    var softwareBits: UInt64 { UInt64(apus_atomic_or_u32(software, 0)) }
    /// `mip`
    var mip: UInt64 { wireBits | softwareBits }

    /// Replaces the bits of `mask` that software drives.
    func setSoftwareBits(_ mask: UInt64, _ value: UInt64) {
        _ = apus_atomic_and_u32(software, UInt32(truncatingIfNeeded: ~mask | value))
        _ = apus_atomic_or_u32(software, UInt32(truncatingIfNeeded: mask & value))
        noteInterrupts()
    }

    /// Supervisor software interrupts that a device raises are cleared by software.
    public func raiseSupervisorSoftware() {
        _ = apus_atomic_or_u32(software, UInt32(HartInterrupt.supervisorSoftware.bit))
        wake()
    }

    var usesStimecmp: Bool { configuration.hasSstc && menvcfg & EnvironmentConfiguration.supervisorTimer != 0 }

    /// Compares `stimecmp` with the time. From any thread.
    func updateSupervisorTimer() {
        guard usesStimecmp else { return }
        let isDue = timebase.ticks >= stimecmp
        setInterrupt(.supervisorTimer, isDue)
        if isDue { supervisorTimer?.cancel() } else { supervisorTimer?.arm(at: timebase.time(ofTicks: stimecmp)) }
    }

    /// `stimecmp` is not used any more.
    func stopSupervisorTimer() {
        supervisorTimer?.cancel()
        setInterrupt(.supervisorTimer, false)
    }

    /// The interrupt that would be taken now, and the mode it is taken in.
    func pendingInterrupt() -> (number: UInt64, mode: PrivilegeMode)? {
        let pending = mip & mie
        guard pending != 0 else { return nil }
        if privilege != .machine || mstatus & MStatus.mie != 0, let number = Self.first(pending & ~mideleg) { return (number, .machine) }
        if privilege == .user || privilege == .supervisor && mstatus & MStatus.sie != 0, let number = Self.first(pending & mideleg) {
            return (number, .supervisor)
        }
        return nil
    }

    /// By "Machine Interrupt Registers": external before software before timer, machine before supervisor.
    private static func first(_ pending: UInt64) -> UInt64? {
        for number: UInt64 in [11, 3, 7, 9, 1, 5, 13] where pending & 1 << number != 0 { return number }
        return nil
    }

    /// Something of what decides on interrupts has changed on this thread.
    func noteInterrupts() { if pendingInterrupt() != nil { wake() } }

    // MARK: traps

    /// Takes a trap: `cause` has the top bit set for interrupts, `isDelegable` decides by the matching delegation register.
    func trap(_ number: UInt64, isInterrupt: Bool, value: UInt64) {
        let delegation = isInterrupt ? mideleg : medeleg
        let toSupervisor = privilege != .machine && number < 64 && delegation & 1 << number != 0
        let cause = number | (isInterrupt ? 1 << UInt64(xlen.bits - 1) : 0)
        let pc = vcpu.pc & xlen.mask
        let vector: UInt64
        if toSupervisor {
            (sepc, scause, stval) = (pc, cause, value & xlen.mask)
            mstatus = mstatus & ~(MStatus.spie | MStatus.spp) | (mstatus & MStatus.sie != 0 ? MStatus.spie : 0)
                | (privilege == .supervisor ? MStatus.spp : 0)
            mstatus &= ~MStatus.sie
            privilege = .supervisor
            vector = stvec
        } else {
            (mepc, mcause, mtval) = (pc, cause, value & xlen.mask)
            mstatus = mstatus & ~(MStatus.mpie | MStatus.mpp) | (mstatus & MStatus.mie != 0 ? MStatus.mpie : 0) | privilege.rawValue << MStatus.mppShift
            mstatus &= ~MStatus.mie
            privilege = .machine
            vector = mtvec
        }
        vcpu.pc = ((vector & ~3) &+ (isInterrupt && vector & 3 == 1 ? 4 * number : 0)) & xlen.mask
        updateContext()
    }

    /// MRET and SRET.
    func returnFrom(_ mode: PrivilegeMode) {
        if mode == .machine {
            privilege = PrivilegeMode(rawValue: mstatus >> MStatus.mppShift & 3) ?? .user
            mstatus = mstatus & ~MStatus.mie | (mstatus & MStatus.mpie != 0 ? MStatus.mie : 0) | MStatus.mpie
            mstatus = mstatus & ~MStatus.mpp | (configuration.hasUser ? 0 : PrivilegeMode.machine.rawValue << MStatus.mppShift)
            vcpu.pc = mepc & pcMask
        } else {
            privilege = mstatus & MStatus.spp != 0 ? .supervisor : .user
            mstatus = mstatus & ~MStatus.sie | (mstatus & MStatus.spie != 0 ? MStatus.sie : 0) | MStatus.spie
            mstatus &= ~MStatus.spp
            vcpu.pc = sepc & pcMask
        }
        if privilege != .machine { mstatus &= ~MStatus.mprv }
        updateContext()
        noteInterrupts()
    }

    var pcMask: UInt64 { extensions.contains(.zca) ? ~1 : ~3 }

    // MARK: the translation context

    /// Puts what code generation depends on into the context: see `MachineContext`.
    func updateContext() {
        var context = vcpu.context & MachineContext.unprivileged
        context |= privilege.rawValue << MachineContext.privilegeShift
        context |= UInt64(dataIndex) << MachineContext.indexShift
        context |= MachineContext.unitState(mstatus >> MStatus.fsShift & 3) << MachineContext.floatShift
        context |= MachineContext.unitState(mstatus >> MStatus.vsShift & 3) << MachineContext.vectorShift
        vcpu.context = context
    }

    /// The MMU index of loads and stores.
    var dataIndex: Int {
        var mode = privilege
        if mode == .machine, mstatus & MStatus.mprv != 0 { mode = PrivilegeMode(rawValue: mstatus >> MStatus.mppShift & 3) ?? .user }
        switch mode {
        case .user: return MMUIndex.user
        case .supervisor: return mstatus & MStatus.sum != 0 ? MMUIndex.supervisorUser : MMUIndex.supervisor
        case .machine: return MMUIndex.machine
        }
    }
}

/// The MMU indices of RISC-V harts.
enum MMUIndex {
    static let user = 0, supervisor = 1
    /// Supervisor mode with `SUM`.
    static let supervisorUser = 2
    static let machine = 3
    static let count = 4
    /// All that `satp` translates.
    static let translated: UInt16 = 0b0111
}

/// The bits of the translation context that a machine adds to `frm` and the state of `jvt`.
enum MachineContext {
    static let unprivileged: UInt64 = 0xffff
    static let privilegeShift: UInt64 = 16, indexShift: UInt64 = 18
    /// Two bits each: 0 the unit is off, 1 it is on, 2 its state is dirty.
    static let floatShift: UInt64 = 22, vectorShift: UInt64 = 24

    /// From a status field.
    static func unitState(_ field: UInt64) -> UInt64 { field == 0 ? 0 : field == 3 ? 2 : 1 }
}

extension RISCVState {
    /// UInt64: the `Hart` of a vCPU of a machine.
    static let hart = StateHeader.guestControl + 8
    /// UInt64: what a CSR instruction has read.
    static let readValue = StateHeader.guestControl + 16
}
