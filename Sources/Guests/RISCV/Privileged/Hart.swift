// The privileged state of one hart, by "The RISC-V Instruction Set Manual, Volume II: Privileged Architecture": what is not in the
// vCPU's state block. Used by the vCPU's own thread, but for the interrupt wires.

import CHost
import Core
import Host
import Translation

/// A privilege mode, numbered as in `mstatus.MPP`.
package enum PrivilegeMode: UInt64, Sendable {
    case user = 0, supervisor = 1, machine = 3
}

/// An interrupt of a hart, numbered as in `mip`.
public enum HartInterrupt: UInt32, Sendable {
    case supervisorSoftware = 1, virtualSoftware = 2, machineSoftware = 3, supervisorTimer = 5, virtualTimer = 6, machineTimer = 7
    case supervisorExternal = 9, virtualExternal = 10, guestExternal = 12
    case machineExternal = 11, counterOverflow = 13

    var bit: UInt64 { 1 << UInt64(rawValue) }
}

/// An exception, numbered as in `mcause`.
enum ExceptionCause: UInt64 {
    case misalignedFetch = 0, fetchAccess = 1, illegalInstruction = 2, breakpoint = 3, misalignedLoad = 4, loadAccess = 5
    case misalignedStore = 6, storeAccess = 7, userCall = 8, supervisorCall = 9, machineCall = 11
    case virtualSupervisorCall = 10, fetchPage = 12, loadPage = 13, storePage = 15
    case fetchGuestPage = 20, loadGuestPage = 21, virtualInstruction = 22, storeGuestPage = 23
}

/// What a CPU model chooses of the privileged architecture.
public struct PrivilegedConfiguration: Sendable {
    public var hasSupervisor = true
    public var hasUser = true
    /// The largest page-table format: 32, 39, 48 or 57; 0: none.
    public var addressBits = 57
    public var pmpEntries = 16
    public var hasSmaia = false
    public var hasSsaia = false
    public var hasSmepmp = false
    public var hasSmstateen = false
    public var hasSscofpmf = false
    public var hasSstc = true
    public var hasSvadu = true
    public var hasSvnapot = false
    public var hasSvpbmt = false
    public var hasSvinval = false
    /// Pointer masking for machine mode, for the next mode below it, and for those below supervisor mode.
    public var hasSmmpm = false
    public var hasSmnpm = false
    public var hasSsnpm = false
    public var hasSmrnmi = false
    public var hasSdtrig = true
    /// Where resumable non-maskable interrupts go, and exceptions of machine mode while one of them is handled.
    public var nmiVector: UInt64 = 0, nmiExceptionVector: UInt64 = 0
    var masksPointers: Bool { hasSmmpm || hasSmnpm || hasSsnpm }
    public var hasHypervisor = true
    /// GEILEN: guest external interrupts of a hart.
    public var guestExternalInterrupts = 0
    public var hartCounters = 16

    public init() {}

    /// The extensions that add instructions.
    var instructions: Extensions { Extensions(hasSvinval ? [.svinval] : []).union(hasHypervisor ? [.h] : []) }
}

public final class Hart: @unchecked Sendable {
    unowned(unsafe) let vcpu: VCPU
    let xlen: XLEN
    let extensions: Extensions
    public let number: Int
    public let configuration: PrivilegedConfiguration
    let timebase: Timebase
    private let wake: @Sendable () -> Void
    let state: UnsafeMutableRawPointer
    /// Where traps, translations and wrong accesses are told of that `-d` asks for.
    public let log: TranslationLog?

    // MARK: state

    var privilege = PrivilegeMode.machine
    /// All 64 bits; RV32 shows the upper half as `mstatush`.
    var mstatus: UInt64 = 0
    var medeleg: UInt64 = 0, mideleg: UInt64 = 0, mie: UInt64 = 0
    var mtvec: UInt64 = 0, stvec: UInt64 = 0
    var mcounteren: UInt64 = 0, scounteren: UInt64 = 0, mcountinhibit: UInt64 = 0
    var menvcfg: UInt64 = 0, senvcfg: UInt64 = 0, mseccfg: UInt64 = 0
    var satp: UInt64 = 0
    var stimecmp: UInt64 = .max
    var counters = PerformanceCounters()
    let pmp: PhysicalMemoryProtection
    var hypervisor = HypervisorState()
    var stateEnable = StateEnable()
    var advanced = AdvancedInterrupts()
    var nmi = ResumableNMI()
    var triggers = Triggers()
    /// An exception is being taken: what is read of the instruction is no fetch.
    var isInTrap = false
    /// The hart's IMSIC, where the machine has one; set before it runs.
    public var interruptFiles: HartInterruptFiles?

    /// The exception that a walk or a helper has recorded.
    var recorded = RecordedException()
    /// Pieces of large pages are remembered by themselves, as PMP differs inside them: a fence of one address is one of all.
    var splitsPages = false
    /// What `ExitReason.guestException` stands for.
    enum Action { case exception, machineReturn, supervisorReturn, nmiReturn }
    var action = Action.exception

    /// Where page tables mostly are.
    lazy var nearMemory: UnsafeMutablePointer<NearMemory>? = SoftMMU.of(state)?.nearMemory

    let lines: InterruptLines
    /// `mip`'s bits that wires and timers drive, and those that software does; both atomic.
    private var wires: UnsafeMutablePointer<UInt32> { lines.cells }
    private let software: UnsafeMutablePointer<UInt32>
    private var supervisorTimer: CompareTimer?, virtualTimer: CompareTimer?
    /// When the next counter overflows.
    private(set) var overflowTimer: MachineTimer?
    /// `hgeip`, atomic: two words.
    private let guestExternal: UnsafeMutablePointer<UInt32>

    /// - Parameter wake: makes the vCPU look at its interrupts soon; called from any thread.
    init(_ vcpu: VCPU, number: Int, model: CPUModel, configuration: PrivilegedConfiguration, timebase: Timebase, log: TranslationLog?, wake: @escaping @Sendable () -> Void) {
        self.vcpu = vcpu
        self.log = log
        state = vcpu.state
        self.number = number
        xlen = model.xlen
        extensions = model.extensions
        self.configuration = configuration
        self.timebase = timebase
        self.wake = wake
        pmp = PhysicalMemoryProtection(entries: configuration.pmpEntries)
        let lines = InterruptLines(wake)
        self.lines = lines
        software = lines.cells + 1
        guestExternal = lines.cells + 2
        vcpu[UInt64.self, RISCVState.hart] = UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))
        supervisorTimer = CompareTimer(timebase) { lines.set(.supervisorTimer, $0) }
        virtualTimer = CompareTimer(timebase) { lines.set(.virtualTimer, $0) }
        if configuration.hasSscofpmf { overflowTimer = timebase.clock.timer { lines.noteOverflow() } }
        reset()
    }

    deinit {
        vcpu[UInt64.self, RISCVState.hart] = 0
    }

    /// The hart whose vCPU has state pointer `state`.
    @inline(__always)
    static func of(_ state: UnsafeMutableRawPointer) -> Hart? { uncounted(state)?.takeUnretainedValue() }

    /// The same, for hot paths: its vCPU keeps it.
    @inline(__always)
    static func uncounted(_ state: UnsafeMutableRawPointer) -> Unmanaged<Hart>? {
        guard let pointer = UnsafeRawPointer(bitPattern: UInt(state.load(fromByteOffset: Int(RISCVState.hart), as: UInt64.self))) else { return nil }
        return Unmanaged<Hart>.fromOpaque(pointer)
    }

    func reset() {
        privilege = .machine
        mstatus = xlen == .rv64 ? MStatus.widths64(configuration) : 0
        (medeleg, mideleg, mie, mtvec, mepc, mcause, mtval, mscratch) = (0, 0, 0, 0, 0, 0, 0, 0)
        (stvec, sepc, scause, stval, sscratch) = (0, 0, 0, 0, 0)
        (mcounteren, scounteren, mcountinhibit, senvcfg, mseccfg, satp) = (0, 0, 0, 0, 0, 0)
        menvcfg = (configuration.hasSvpbmt ? EnvironmentConfiguration.pageTypes : 0) | (configuration.hasSvadu ? EnvironmentConfiguration.updates : 0)
        stimecmp = .max
        hypervisor = HypervisorState()
        if configuration.hasHypervisor {
            mideleg = VirtualInterrupts.delegated
            hypervisor.vsstatus = mstatus & MStatus.uxl
        }
        pmp.reset()
        stateEnable = StateEnable()
        advanced = AdvancedInterrupts()
        nmi = ResumableNMI()
        if triggers.isActive { SoftMMU.of(state)?.flush() }
        triggers = Triggers()
        _ = lines.takeNMI()
        counters = PerformanceCounters()
        overflowTimer?.cancel()
        _ = apus_atomic_and_u32(software, 0)
        updateTimers()
        updateContext()
    }

    // MARK: interrupts

    /// The level of an interrupt wire. From any thread.
    public func setInterrupt(_ interrupt: HartInterrupt, _ isHigh: Bool) {
        lines.set(interrupt, isHigh)
    }

    var wireBits: UInt64 { UInt64(apus_atomic_or_u32(wires, 0)) }
    var softwareBits: UInt64 { UInt64(apus_atomic_or_u32(software, 0)) }
    /// `mip`
    var mip: UInt64 {
        // SEIP of software is apart where machine mode filters external interrupts.
        var bits = wireBits | softwareBits & ~(advanced.mvien & 1 << 9)
        if configuration.guestExternalInterrupts > 0 {
            let guests = guestInterrupts
            if guests & hypervisor.hgeie != 0 { bits |= VirtualInterrupts.guestExternal }
            let number = hypervisor.hstatus >> HStatus.vgeinShift & 0x3f
            if number != 0, guests >> number & 1 != 0 { bits |= VirtualInterrupts.external }
        }
        return bits
    }

    /// `hgeip`
    var guestInterrupts: UInt64 { UInt64(apus_atomic_or_u32(guestExternal, 0)) | UInt64(apus_atomic_or_u32(guestExternal + 1, 0)) << 32 }

    /// The level of the wire of guest external interrupt `number` (1 to GEILEN). From any thread.
    public func setGuestInterrupt(_ number: Int, _ isHigh: Bool) {
        guard number >= 1, number <= min(configuration.guestExternalInterrupts, 63) else { return }
        let cell = guestExternal + number / 32, bit = UInt32(1) << UInt32(number % 32)
        let old = isHigh ? apus_atomic_or_u32(cell, bit) : apus_atomic_and_u32(cell, ~bit)
        if isHigh, old & bit == 0 { wake() }
    }

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
    var usesVirtualTimer: Bool { usesStimecmp && configuration.hasHypervisor && hypervisor.henvcfg & EnvironmentConfiguration.supervisorTimer != 0 }

    /// Counters that have overflowed since this was last asked.
    func takeOverflows() {
        guard configuration.hasSscofpmf, apus_atomic_and_u32(lines.cells + 4, 0) != 0 else { return }
        collectOverflows(timebase.clock.now)
    }

    /// Something that the comparators of `stimecmp` and `vstimecmp` go by has changed.
    func updateTimers() {
        supervisorTimer?.set(isEnabled: usesStimecmp, compare: stimecmp)
        virtualTimer?.set(isEnabled: usesVirtualTimer, compare: hypervisor.vstimecmp, delta: hypervisor.htimedelta)
    }

    /// `time` as the current mode reads it.
    var time: UInt64 { timebase.ticks &+ (hypervisor.isVirtual ? hypervisor.htimedelta : 0) }

    /// Makes the vCPU look at its interrupts soon.
    func wakeUp() { wake() }
}

/// The cells of a hart's interrupts: what timers hold, so that nobody holds the hart weakly. References to what is held so are
/// slow to count.
final class InterruptLines: @unchecked Sendable {
    let cells: UnsafeMutablePointer<UInt32>
    private let wake: @Sendable () -> Void

    init(_ wake: @escaping @Sendable () -> Void) {
        self.wake = wake
        cells = .allocate(capacity: 6)
        cells.initialize(repeating: 0, count: 6)
    }

    deinit { cells.deallocate() }

    /// A counter has overflowed by now.
    func noteOverflow() {
        _ = apus_atomic_or_u32(cells + 4, 1)
        wake()
    }

    /// A non-maskable interrupt waits until it is taken.
    func raiseNMI() {
        _ = apus_atomic_or_u32(cells + 5, 1)
        wake()
    }
    func takeNMI() -> Bool { apus_atomic_and_u32(cells + 5, 0) != 0 }
    var hasNMI: Bool { apus_atomic_or_u32(cells + 5, 0) != 0 }

    func set(_ interrupt: HartInterrupt, _ isHigh: Bool) {
        let bit = UInt32(1) << interrupt.rawValue
        let old = isHigh ? apus_atomic_or_u32(cells, bit) : apus_atomic_and_u32(cells, ~bit)
        if isHigh, old & bit == 0 { wake() }
    }
}

extension RISCVState {
    /// UInt64: the `Hart` of a vCPU of a machine.
    static let hart = StateHeader.guestControl + 8
    /// UInt64: what a CSR instruction has read.
    static let readValue = StateHeader.guestControl + 16
}
