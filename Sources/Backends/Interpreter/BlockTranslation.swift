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

    func translate(at pc: UInt64, context: UInt64, log: BlockLog?) {
        translator.translate(at: pc, context: context)
        log?.didTranslate(translator)
        guard optimize else { return }
        simplify.run(&translator.arena.pointee)
        liveness.run(translator.arena.pointee)
        log?.didOptimize(translator)
    }

    /// A new block of the trace just translated.
    func block(_ pc: UInt64, _ context: UInt64) -> UnsafeMutablePointer<Block> {
        let arena = translator.arena.pointee
        let ops = UnsafeMutablePointer<Op>.allocate(capacity: max(arena.count, 1))
        var count = 0
        for index in 0 ..< arena.count {
            if optimize, !liveness.isLive(index, arena.ops) { continue }
            renumbering[index] = Ref(truncatingIfNeeded: count)
            var op = arena.ops[index]
            if op.a >= 0 { op.a = renumbering[Int(op.a)] }
            if op.b >= 0 { op.b = renumbering[Int(op.b)] }
            if op.c >= 0 { op.c = renumbering[Int(op.c)] }
            (ops + count).initialize(to: op)
            count &+= 1
        }
        let block = UnsafeMutablePointer<Block>.allocate(capacity: 1)
        block.initialize(to: Block(pc: pc, context: context, ops: ops, count: count,
                                   instructions: translator.instructionCount, isWritable: translator.isWritable,
                                   snapshot: translator.snapshot(), next: nil))
        return block
    }
}
