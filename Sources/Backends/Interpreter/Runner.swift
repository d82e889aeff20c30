// What one host thread needs while it interprets: the value array and a small direct-mapped cache of blocks, so that
// going from block to block takes no lock. Runners are pooled by the engine; a vCPU takes one for each `run`.
import CHost
import IR
import Synchronization
import Translation

/// Invariant of reclamation: a runner holds block pointers only of generations up to `seen`, and drops them all before
/// it publishes a newer one. A block forgotten in generation g is freed once every runner has seen g or is at rest.
final class Runner: @unchecked Sendable {
    typealias BlockPointer = UnsafeMutablePointer<Block>

    private struct Entry {
        var pc: UInt64
        var context: UInt64
        var page: UInt64
        var block: BlockPointer?
    }

    /// The generation that the runner has adopted; `atRest` while it runs nothing.
    let seen = Atomic<UInt64>(Runner.atRest)
    static let atRest = UInt64.max

    private static let entryCount = 4096
    private let entries: UnsafeMutablePointer<Entry>
    private var cached: UInt64 = 0
    private(set) var values: UnsafeMutablePointer<UInt64>
    private var valueCapacity: Int

    init() {
        entries = .allocate(capacity: Self.entryCount)
        entries.initialize(repeating: Entry(pc: 0, context: 0, page: 0, block: nil), count: Self.entryCount)
        valueCapacity = 1 << 12
        values = .allocate(capacity: valueCapacity &* 2)
        values.initialize(repeating: 0, count: valueCapacity &* 2)
    }

    deinit {
        entries.deallocate()
        values.deallocate()
    }

    /// Adopts `generation`, forgetting all blocks of earlier ones.
    func adopt(_ generation: UInt64) {
        if generation != cached {
            entries.update(repeating: Entry(pc: 0, context: 0, page: 0, block: nil), count: Self.entryCount)
            cached = generation
        }
        seen.store(generation, ordering: .sequentiallyConsistent)
    }

    func rest() { seen.store(Self.atRest, ordering: .sequentiallyConsistent) }

    @inline(__always)
    private func entry(_ pc: UInt64, _ context: UInt64) -> UnsafeMutablePointer<Entry> {
        let hash = pc &>> 1 ^ pc &>> 13 ^ context
        return entries + Int(truncatingIfNeeded: hash & UInt64(Self.entryCount - 1))
    }

    @inline(__always)
    func find(_ pc: UInt64, _ context: UInt64, _ page: UInt64 = 0) -> BlockPointer? {
        let entry = entry(pc, context)
        return entry.pointee.pc == pc && entry.pointee.context == context && entry.pointee.page == page ? entry.pointee.block : nil
    }

    func remember(_ block: BlockPointer) {
        let entry = entry(block.pointee.pc, block.pointee.context)
        // What may change under another page is looked up each time.
        guard block.pointee.second == 0 else { return }
        entry.pointee = Entry(pc: block.pointee.pc, context: block.pointee.context, page: block.pointee.page, block: block)
    }

    @inline(__always)
    func execute(_ block: BlockPointer, _ state: UnsafeMutableRawPointer) -> Int32 {
        if block.pointee.count > valueCapacity { grow(to: block.pointee.count) }
        return Execution(ops: block.pointee.ops, constants: block.pointee.constants,
                         marks: UnsafeBufferPointer(start: block.pointee.marks, count: block.pointee.instructions),
                         values: values, state: state).run()
    }

    private func grow(to count: Int) {
        values.deallocate()
        valueCapacity = count
        values = .allocate(capacity: count &* 2)
        values.initialize(repeating: 0, count: count &* 2)
    }
}

/// All runners of an engine, and those that no thread uses.
final class RunnerPool {
    var all: [Runner] = []
    var idle: [Runner] = []
}
