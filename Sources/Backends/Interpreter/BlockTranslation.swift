// From guest code to a block: the trace translator, the IR passes, and the compaction that leaves out dead ops.
import IR
import IRPasses
import Translation

/// The translating half of an engine; used under its lock.
final class BlockTranslation {
    private let translator: TraceTranslator
    private let optimize: Bool
    private var simplify: Simplify
    private let liveness: Liveness
    private let renumbering: UnsafeMutablePointer<Ref>

    init(guest: any Guest, source: any CodeSource, options: EngineOptions) {
        translator = TraceTranslator(guest: guest, source: source, options: options)
        optimize = options.optimize
        let capacity = translator.arena.pointee.capacity
        simplify = Simplify(capacity: capacity)
        liveness = Liveness(capacity: capacity)
        renumbering = .allocate(capacity: capacity)
    }

    deinit {
        simplify.deallocate()
        liveness.deallocate()
        renumbering.deallocate()
    }

    var arena: OpArena { translator.arena.pointee }
    var isFetchFault: Bool { translator.isFetchFault }
    var ranges: UnsafeBufferPointer<CodeRange> { translator.ranges }

    func translate(at pc: UInt64, context: UInt64, limit: Int = .max, log: BlockLog?) {
        translator.translate(at: pc, context: context, limit: limit)
        log?.didTranslate(translator)
        guard optimize else { return }
        simplify.run(&translator.arena.pointee)
        liveness.run(translator.arena.pointee)
        log?.didOptimize(translator)
    }

    /// A new block of the trace just translated: its constants first, then the live ops without `instruction`, whose
    /// addresses become marks.
    func block(_ pc: UInt64, _ context: UInt64, page: UInt64 = 0, second: UInt64 = 0) -> UnsafeMutablePointer<Block> {
        let arena = translator.arena.pointee
        let ops = UnsafeMutablePointer<Op>.allocate(capacity: max(arena.count, 1))
        let marks = UnsafeMutablePointer<InstructionMark>.allocate(capacity: max(translator.instructionCount, 1))
        var count = 0, markCount = 0
        for index in 0 ..< arena.count where arena.ops[index].code == .const && isLive(index, arena) {
            append(arena.ops[index], index, ops, &count)
        }
        let constants = count
        for index in 0 ..< arena.count where arena.ops[index].code != .const && isLive(index, arena) {
            let op = arena.ops[index]
            if op.code == .instruction {
                guard markCount < translator.instructionCount else { continue }
                (marks + markCount).initialize(to: InstructionMark(op: Int32(truncatingIfNeeded: count), pc: op.imm))
                markCount &+= 1
            } else {
                append(op, index, ops, &count)
            }
        }
        let block = UnsafeMutablePointer<Block>.allocate(capacity: 1)
        block.initialize(to: Block(pc: pc, context: context, page: page, second: second, ops: ops, count: count, constants: constants, marks: marks,
                                   instructions: markCount, isWritable: translator.isWritable,
                                   snapshot: translator.snapshot(), next: nil))
        return block
    }

    private func isLive(_ index: Int, _ arena: OpArena) -> Bool { !optimize || liveness.isLive(index, arena.ops) }

    /// Appends `op`, number `index` of the arena, with its operands renumbered.
    private func append(_ original: Op, _ index: Int, _ ops: UnsafeMutablePointer<Op>, _ count: inout Int) {
        renumbering[index] = Ref(truncatingIfNeeded: count)
        var op = original
        if op.a >= 0 { op.a = renumbering[Int(op.a)] }
        if op.b >= 0 { op.b = renumbering[Int(op.b)] }
        if op.c >= 0 { op.c = renumbering[Int(op.c)] }
        (ops + count).initialize(to: op)
        count &+= 1
    }
}
