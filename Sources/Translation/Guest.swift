import IR

/// What follows a translated guest instruction.
public enum Flow: Sendable, Equatable {
    /// The next instruction in memory, `length` bytes on. Conditional branches are this too: they emitted a `branch`
    /// for the taken side.
    case next
    /// Straight on at another address (an unconditional direct jump that emitted nothing): the trace may follow it,
    /// or the translator ends the trace with a `jump`.
    case jump(UInt64)
    /// The instruction emitted an op that ends the trace.
    case end
}

/// The bytes a guest decodes from: a window of guest code starting at the instruction.
public struct CodeWindow {
    /// `count` readable bytes of executable guest memory (a private copy, so the guest cannot change them meanwhile).
    public let bytes: UnsafeRawPointer
    /// Bytes available; fewer than an instruction's length means that the rest cannot be fetched.
    public let count: Int

    public init(bytes: UnsafeRawPointer, count: Int) {
        self.bytes = bytes
        self.count = count
    }
}

/// What a guest's translator reports of one instruction.
public struct DecodedInstruction: Sendable {
    /// Its length in bytes; 0 if the window held too few bytes (`bytesWanted` says how many are needed).
    public let length: Int
    public let flow: Flow

    public init(length: Int, flow: Flow) {
        self.length = length
        self.flow = flow
    }
}

/// A guest with instructions that make many accesses, which a back end may do all at once: it can tell how far such an
/// instruction comes one access at a time.
public protocol FaultCompleting: Guest {
    /// A data access of the instruction at the vCPU's pc has failed. Where accesses may have been done at once, executes the
    /// instruction step by step: true if it came to its end and pc is the next one; false if it faults, with the details in
    /// the state header as exact as the architecture wants them. False, too, for all other instructions.
    func completeFault(of vcpu: VCPU, code: any CodeSource) -> Bool
}

/// An instruction set as the translator sees it: it decodes one instruction at a time into IR and knows nothing of
/// caches, back ends or operating systems.
public protocol Guest: AnyObject, Sendable {
    /// The name used on the command line, e.g. `riscv64`.
    var name: String { get }
    var layout: StateLayout { get }
    /// The length in bytes of the shortest instruction, and of the longest.
    var minimumInstructionLength: Int { get }
    var maximumInstructionLength: Int { get }

    /// Appends the IR of the instruction at `pc`, without the `instruction` marker, which the translator has emitted.
    ///
    /// An undefined encoding emits `exit(.illegalInstruction)`. Order inside an instruction: everything that may fault
    /// comes before the first `put`.
    /// - Parameter context: the translation context of the block (see `StateHeader.context`).
    func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into builder: Builder) -> DecodedInstruction

    /// The assembler text and length of the instruction at `pc`.
    func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int)

    /// The registers of `vcpu` in the layout of QEMU's `-d cpu`.
    func describeState(of vcpu: VCPU) -> String
}
