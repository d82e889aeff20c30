// Lets any engine run a given trace through its front door: a guest whose instruction at each address of the trace
// decodes to exactly the ops that the trace has for it.
import IR
import Translation

/// The guest and the code source of one trace at a time. Not for several threads.
public final class TraceGuest: Guest, CodeSource, @unchecked Sendable {
    public let name = "trace"
    public let layout = TraceMachine.layout
    public let minimumInstructionLength = 4
    public let maximumInstructionLength = 4

    /// The trace that is offered; its `instruction` ops follow each other every four bytes from `start` on.
    public let arena: UnsafeMutablePointer<OpArena>
    /// The engine began a block in the middle of the trace, at an instruction that uses values of earlier ones: what
    /// happened then says nothing.
    public private(set) var wasSplit = false
    private var starts: [Int] = []
    private var start: UInt64 = 0

    public init(_ arena: UnsafeMutablePointer<OpArena>) { self.arena = arena }

    /// Must be called after every change of `arena`, with the engine's translations of the old trace invalidated.
    public func arenaChanged() {
        starts = []
        wasSplit = false
        for index in 0 ..< arena.pointee.count where arena.pointee.ops[index].code == .instruction {
            if starts.isEmpty { start = arena.pointee.ops[index].imm }
            starts.append(index)
        }
    }

    public var codeRange: Range<UInt64> { start ..< start &+ UInt64(starts.count * 4) }

    public func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int {
        guard codeRange.contains(pc) else { return 0 }
        let readable = min(count, Int(codeRange.upperBound - pc))
        buffer.initializeMemory(as: UInt8.self, repeating: 0, count: readable)
        return readable
    }

    public func isWritable(_ pc: UInt64) -> Bool { false }

    public func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into builder: Builder) -> DecodedInstruction {
        let number = Int((pc &- start) / 4)
        guard number < starts.count else { return DecodedInstruction(length: 0, flow: .end) }
        let end = number + 1 < starts.count ? starts[number + 1] : arena.pointee.count
        // Ops keep their distances, so references inside the instruction stay right when the trace begins later.
        let shift = Ref(builder.arena.pointee.count - starts[number] - 1)
        for index in starts[number] + 1 ..< end {
            var op = arena.pointee.ops[index]
            if op.a >= 0 { op.a += shift }
            if op.b >= 0 { op.b += shift }
            if op.c >= 0 { op.c += shift }
            let old = arena.pointee.ops[index]
            if old.a >= 0 && op.a < 0 || old.b >= 0 && op.b < 0 || old.c >= 0 && op.c < 0 {
                wasSplit = true
                builder.exit(ExitReason.illegalInstruction.rawValue, at: pc)
                return DecodedInstruction(length: 4, flow: .end)
            }
            builder.emit(op)
        }
        return DecodedInstruction(length: 4, flow: number + 1 == starts.count ? .end : .next)
    }

    public func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) { ("op", 4) }
    public func describeState(of vcpu: VCPU) -> String { "" }
}
