import Host

/// Where an engine gets guest code from. Implementations are called from any thread.
public protocol CodeSource: AnyObject, Sendable {
    /// Copies up to `count` bytes of executable guest memory at `pc`; never faults.
    /// - Returns: how many bytes could be read; 0 if the first is not executable.
    func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int
    /// Whether the guest can write to the page of `pc`: its translations must then be checked at instruction fences.
    func isWritable(_ pc: UInt64) -> Bool
}

/// Runs guest code: the X64 translator or the IR interpreter.
///
/// All vCPUs of one engine share one address space of code. Methods other than `run` may be called from any thread.
public protocol Engine: AnyObject, Sendable {
    var guest: any Guest { get }
    func makeVCPU() -> VCPU
    /// Runs `vcpu` from its pc until something needs attention. The calling thread must have been prepared by
    /// `HostFaults.prepareThread`.
    func run(_ vcpu: VCPU) -> ExitReason
    /// Forgets all translations of code in `range`, which was unmapped, remapped or changed its protection.
    func invalidate(_ range: Range<UInt64>)
    /// As `invalidate`, for code that the guest could write to when it was translated, and has now changed.
    func invalidateWritable(_ range: Range<UInt64>)
    /// The guest asks that fetches see its stores to `range`: translations whose source bytes changed are forgotten.
    func synchronize(_ range: Range<UInt64>)
    /// Brackets a fork of the host process: called before it, and after it in the parent and in the only thread of the
    /// child. The engine's own locks are held in between.
    func prepareToFork()
    func didForkInParent(childExists: Bool)
    func didForkInChild()
    var statistics: EngineStatistics { get }
}

/// Counters of an engine, for people and benchmarks.
public struct EngineStatistics: Sendable {
    public var blocks = 0
    public var guestInstructions = 0
    public var guestBytes = 0
    public var hostBytes = 0
    public var flushes = 0
    public init() {}
}

/// Settings of an engine.
public struct EngineOptions: Sendable {
    /// Run the IR passes.
    public var optimize = true
    /// Most guest instructions in one block; 1 for `-one-insn-per-tb`.
    public var maximumBlockInstructions = 64
    /// Bytes of host code before everything is flushed.
    public var codeCacheBytes = 128 << 20
    /// Added to guest addresses to make host addresses; page-aligned.
    public var memoryBase: UInt64 = 0
    /// Whether the engine runs machines: its guest is a `SystemGuest`, and each vCPU needs a `SoftMMU` before it runs.
    public var isMachine = false
    /// What executes the instructions of machines that translated code leaves to it: accesses to devices, for instance.
    public var makeStepper: (@Sendable (any SystemGuest) -> any SingleStepper)? = nil
    /// The places where text goes that `-d` asked for.
    public var log: TranslationLog? = nil
    public init() {}
}

/// What `-d` can ask the translator for.
public struct LogItems: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let inAsm = LogItems(rawValue: 1)
    public static let op = LogItems(rawValue: 2)
    public static let opOpt = LogItems(rawValue: 4)
    public static let outAsm = LogItems(rawValue: 8)
    public static let cpu = LogItems(rawValue: 16)
    public static let exec = LogItems(rawValue: 32)
    public static let page = LogItems(rawValue: 64)
    public static let strace = LogItems(rawValue: 128)
    /// Of machines: traps that are taken, translations of addresses, what guests do wrong.
    public static let interrupts = LogItems(rawValue: 256)
    public static let mmu = LogItems(rawValue: 512)
    public static let guestErrors = LogItems(rawValue: 1024)
}

/// A log that the translator writes whole lines to, from any thread.
public final class TranslationLog: Sendable {
    private let bits: AtomicInt
    public let write: @Sendable (String) -> Void
    public init(items: LogItems, write: @escaping @Sendable (String) -> Void) {
        bits = AtomicInt(Int(items.rawValue))
        self.write = write
    }
    /// Any thread may change them at any time.
    public var items: LogItems {
        get { LogItems(rawValue: UInt32(truncatingIfNeeded: bits.load())) }
        set { bits.store(Int(newValue.rawValue)) }
    }
}
