import Translation

/// Byte order and sizes of a guest's C data types.
public struct DataModel: Sendable, Equatable {
    /// Size in bytes of `long` and pointers: 4 or 8.
    public let wordSize: Int
    public let bigEndian: Bool
    /// Alignment of 64-bit integers inside structures: 8, or 4 (i386).
    public let int64Alignment: Int
    public init(wordSize: Int, bigEndian: Bool, int64Alignment: Int = 8) {
        self.wordSize = wordSize
        self.bigEndian = bigEndian
        self.int64Alignment = int64Alignment
    }
}

/// What Linux needs to know of one guest architecture: one conforming type a guest, in `UserMode/ABI`.
public protocol GuestABI: AnyObject, Sendable {
    var guest: any Guest { get }
    /// `uname -m`
    var machine: String { get }
    var dataModel: DataModel { get }
    /// ELF `e_machine`, class and byte order of programs of this guest.
    var elfMachine: UInt16 { get }
    /// `AT_HWCAP`, `AT_HWCAP2`, `AT_PLATFORM`.
    var hardwareCapabilities: (UInt64, UInt64, String?) { get }
    /// System call numbers to names of the shared table.
    var systemCallNumbers: [Int: String] { get }
    /// The guest's vDSO image as an ELF shared object, relocatable to any page.
    var vdso: [UInt8]? { get }
    /// Offset in the vDSO of the code that calls `rt_sigreturn`.
    var vdsoSignalReturn: UInt64 { get }
    /// `AT_MINSIGSTKSZ`: the stack a signal frame takes, with room for a handler.
    var minimumSignalStack: UInt64 { get }
    /// The text of `/proc/cpuinfo` for `processors` processors.
    func cpuInfo(processors: Int) -> String

    /// Which variant of the kernel's user headers the guest's programs were built with.
    var flavour: KernelFlavour { get }
    /// Whether 64-bit arguments of a 32-bit guest begin in even registers.
    var alignsRegisterPairs: Bool { get }
    /// `riscv_hwprobe`: the value of `key`, or nil if the key is not known. Other architectures have none.
    func hardwareProbe(_ key: Int64) -> UInt64?

    /// A `prctl` option of this architecture alone: its result or negated errno; nil if the kernel has no such option here.
    /// `arguments` are those after the option.
    func processControl(_ option: Int32, _ arguments: [UInt64], _ vcpu: VCPU, memory: GuestMemory) -> Int64?
    /// `map_shadow_stack`: its result or negated errno; nil if the processor has no shadow stacks.
    func mapShadowStack(_ address: UInt64, _ length: UInt64, _ flags: UInt64, memory: GuestMemory) -> Int64?
    /// Does the instruction at pc, which translated code has left to the operating system's side.
    func emulate(_ vcpu: VCPU, memory: GuestMemory) -> EmulatedInstruction
    /// What a thread has beside its registers is made and given back; false if it cannot be made.
    func threadBegins(_ vcpu: VCPU, memory: GuestMemory) -> Bool
    func threadEnds(_ vcpu: VCPU, memory: GuestMemory)

    // Registers of a vCPU by role
    func systemCall(of vcpu: VCPU) -> (number: Int, arguments: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64))
    /// Stores a result (or negated errno) and moves pc past the system call instruction.
    func finishSystemCall(_ vcpu: VCPU, result: Int64)
    func stackPointer(of vcpu: VCPU) -> UInt64
    /// Prepares a fresh vCPU to start at `entry` with stack pointer `stack`.
    func start(_ vcpu: VCPU, entry: UInt64, stack: UInt64)
    /// The child's side of `clone`: stack and TLS, if given; result 0; pc past the system call.
    func startChild(_ vcpu: VCPU, stack: UInt64?, tls: UInt64?)

    /// Whether the kernel's `struct sigaction` has a restorer.
    var signalActionHasRestorer: Bool { get }
    /// Whether `clone` takes the TLS address before the child's thread id address.
    var cloneTakesTLSBeforeChildTID: Bool { get }

    /// What a core file says of a thread.
    func coreRegisters(of vcpu: VCPU) -> CoreRegisters

    // Signal frames (implemented beside the rest of the guest's ABI)
    /// Pushes a frame for `signal` and points the vCPU at the handler. False if the stack cannot be written.
    func pushSignalFrame(_ vcpu: VCPU, memory: GuestMemory, frame: SignalFrameRequest) -> Bool
    /// Restores registers from the frame at the stack pointer; nil if it cannot be read.
    func popSignalFrame(_ vcpu: VCPU, memory: GuestMemory) -> RestoredSignalFrame?
}

public extension GuestABI {
    var flavour: KernelFlavour { .generic }
    var alignsRegisterPairs: Bool { false }
    func hardwareProbe(_ key: Int64) -> UInt64? { nil }
    func processControl(_ option: Int32, _ arguments: [UInt64], _ vcpu: VCPU, memory: GuestMemory) -> Int64? { nil }
    func mapShadowStack(_ address: UInt64, _ length: UInt64, _ flags: UInt64, memory: GuestMemory) -> Int64? { nil }
    // Only machines have what is left: a program that asks for it is refused.
    func emulate(_ vcpu: VCPU, memory: GuestMemory) -> EmulatedInstruction { .signal(4 /* SIGILL */, code: 1, address: vcpu.pc) }
    func threadBegins(_ vcpu: VCPU, memory: GuestMemory) -> Bool { true }
    func threadEnds(_ vcpu: VCPU, memory: GuestMemory) {}
    // As the newer architectures have it.
    var signalActionHasRestorer: Bool { false }
    var cloneTakesTLSBeforeChildTID: Bool { true }
}

/// What became of an instruction that the operating system's side did.
public enum EmulatedInstruction: Sendable {
    /// pc has moved on.
    case done
    case signal(Int32, code: Int32, address: UInt64)
}

/// What a signal handler's frame must carry.
public struct SignalFrameRequest: Sendable {
    public var signal: Int
    public var handler: UInt64
    /// `SA_RESTORER` address, or 0 to use the vDSO's.
    public var restorer: UInt64
    /// The guest `siginfo_t`, 128 bytes in the guest's layout.
    public var info: [UInt8]
    /// The mask to restore, bit n-1 for signal n.
    public var mask: UInt64
    /// The stack pointer below which the frame goes (the alternate stack's top or the current pointer).
    public var stack: UInt64
    /// `uc_stack`: address, size, flags.
    public var alternateStack: (UInt64, UInt64, UInt32)
    public init(signal: Int, handler: UInt64, restorer: UInt64, info: [UInt8], mask: UInt64, stack: UInt64, alternateStack: (UInt64, UInt64, UInt32)) {
        self.signal = signal
        self.handler = handler
        self.restorer = restorer
        self.info = info
        self.mask = mask
        self.stack = stack
        self.alternateStack = alternateStack
    }
}

/// What `rt_sigreturn` finds in a frame, beside the registers it restored.
public struct RestoredSignalFrame: Sendable {
    public var mask: UInt64
    public var alternateStack: (UInt64, UInt64, UInt32)
    public init(mask: UInt64, alternateStack: (UInt64, UInt64, UInt32)) {
        self.mask = mask
        self.alternateStack = alternateStack
    }
}
