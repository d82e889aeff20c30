// The engine that interprets IR: portable to every host that Swift runs on, and the check on the others. Blocks are
// translated once, shared by all vCPUs, and run by `Execution`.
import CHost
import IR
import Core
import IRPasses
import Synchronization
import Translation

/// Runs guest code by interpreting its IR.
public final class InterpreterEngine: Engine, @unchecked Sendable {
    public let guest: any Guest
    private let source: any CodeSource
    let options: EngineOptions
    let log: BlockLog?

    /// In machines: the guest, and the source.
    private let system: (any SystemGuest)?
    let window: FetchWindow?

    // Invariant: everything mutable below is only touched inside `lock`, except `generation`, which is atomic.
    let lock = SpinLock()
    var table = BlockTable()
    var translation: BlockTranslation
    private var forgotten: UnsafeMutablePointer<Block>?
    private var pool = RunnerPool()
    var counters = EngineStatistics()
    var codePages = CodePages()
    /// The states of the vCPUs of a machine.
    var states: Set<UnsafeMutableRawPointer> = []
    /// Grows whenever blocks are forgotten: runners then drop their caches at the next block boundary.
    let generation = Atomic<UInt64>(1)

    /// An engine for machines.
    public convenience init(guest: any SystemGuest, options: EngineOptions) {
        var options = options
        options.isMachine = true
        self.init(guest: guest, source: FetchWindow(), options: options)
    }

    public init(guest: any Guest, source: any CodeSource, options: EngineOptions) {
        self.guest = guest
        system = options.isMachine ? guest as? any SystemGuest : nil
        window = source as? FetchWindow
        self.source = source
        self.options = options
        translation = BlockTranslation(guest: guest, source: source, options: options)
        log = options.log.map { BlockLog(log: $0, guest: guest) }
    }

    deinit {
        freeList(table.remove { _ in true })
        freeList(forgotten)
        table.deallocate()
    }

    public func makeVCPU() -> VCPU {
        guard let system else { return VCPU(layout: guest.layout) }
        let vcpu = VCPU(layout: guest.layout, engineData: InterpreterStepper(guest: system), isMachine: true) { state in
            self.lock.withLock { _ = self.states.remove(state) }
        }
        lock.withLock { _ = states.insert(vcpu.state) }
        return vcpu
    }

    // MARK: running

    public func run(_ vcpu: VCPU) -> ExitReason {
        let runner = lock.withLock { takeRunner() }
        let raw = if let system, let mmu = SoftMMU.of(vcpu.state) { runMachine(vcpu, runner, system, mmu) } else { runLoop(vcpu, runner) }
        runner.rest()
        lock.withLock { pool.idle.append(runner) }
        vcpu[UInt32.self, StateHeader.exitReason] = UInt32(bitPattern: raw)
        return ExitReason(rawValue: UInt16(truncatingIfNeeded: raw)) ?? .illegalInstruction
    }

    private func runLoop(_ vcpu: VCPU, _ runner: Runner) -> Int32 {
        let state = vcpu.state
        let request = (state + Int(StateHeader.interruptRequest)).assumingMemoryBound(to: Atomic<UInt32>.self)
        var current: UInt64 = 0
        while true {
            if request.pointee.load(ordering: .relaxed) != 0 { return Int32(ExitReason.interrupted.rawValue) }
            let generation = generation.load(ordering: .acquiring)
            if generation != current {
                current = generation
                runner.adopt(generation)
                // A block forgotten between the load and the store is of a newer generation, which is looked at first.
                continue
            }
            let pc = state.load(fromByteOffset: Int(StateHeader.pc), as: UInt64.self)
            let context = state.load(fromByteOffset: Int(StateHeader.context), as: UInt64.self)
            guard let block = runner.find(pc, context) ?? lookUp(pc, context, runner) else {
                // Only a block that cannot be fetched is not kept.
                return fetchFault(pc, context, vcpu)
            }
            log?.willRun(block, vcpu)
            let result = runner.execute(block, state)
            if result != Execution.goesOn { return result }
        }
    }

    /// Runs the trace in `arena` on `vcpu`, whatever its pc: for tests.
    /// - Returns: the reason of the exit, or nil if the trace went on to another one, at the vCPU's pc.
    package static func execute(_ arena: OpArena, on vcpu: VCPU) -> ExitReason? {
        let raw = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: max(arena.count, 1) &* 2) { values in
            guard let base = values.baseAddress, arena.count > 0 else { return Execution.goesOn }
            return Execution(ops: arena.ops, values: base, state: vcpu.state).run()
        }
        return raw == Execution.goesOn ? nil : ExitReason(rawValue: UInt16(truncatingIfNeeded: raw))
    }

    private func fetchFault(_ pc: UInt64, _ context: UInt64, _ vcpu: VCPU) -> Int32 {
        lock.withLock {
            translation.translate(at: pc, context: context, log: nil)
            // If the code can be fetched by now, the caller's next run will find it.
            guard translation.isFetchFault else { return Int32(ExitReason.interrupted.rawValue) }
            return InterpreterEngine.execute(translation.arena, on: vcpu).map { Int32($0.rawValue) }
                ?? Int32(ExitReason.fetchFault.rawValue)
        }
    }

    // MARK: translating

    private func lookUp(_ pc: UInt64, _ context: UInt64, _ runner: Runner) -> UnsafeMutablePointer<Block>? {
        let block: UnsafeMutablePointer<Block>? = lock.withLock {
            if let known = table.find(pc, context) { return known }
            translation.translate(at: pc, context: context, log: log)
            guard !translation.isFetchFault else { return nil }
            let block = translation.block(pc, context)
            table.insert(block)
            counters.blocks &+= 1
            counters.guestInstructions &+= block.pointee.instructions
            counters.guestBytes &+= block.pointee.snapshot.byteCount
            counters.hostBytes &+= block.pointee.count &* MemoryLayout<Op>.stride
            if counters.hostBytes > options.codeCacheBytes { flush(keeping: block) }
            return block
        }
        if let block { runner.remember(block) }
        return block
    }

    func flush(keeping block: UnsafeMutablePointer<Block>) {
        forget(table.remove { $0 != block })
        counters.flushes &+= 1
        counters.hostBytes = block.pointee.count &* MemoryLayout<Op>.stride
    }

    // MARK: forgetting

    public func invalidate(_ range: Range<UInt64>) {
        lock.withLock {
            guard table.mayIntersect(range) else { return }
            forget(table.remove { $0.pointee.snapshot.intersects(range) })
        }
    }

    public func invalidateWritable(_ range: Range<UInt64>) { invalidate(range) }

    public func synchronize(_ range: Range<UInt64>) {
        lock.withLock {
            guard table.mayIntersect(range) else { return }
            // Code may be written through another mapping of a page that is not writable here: short ranges, which
            // the guest names because it changed them, are compared whatever the protection.
            let everything = range.upperBound &- range.lowerBound <= 1 << 20
            forget(table.remove { block in
                (everything || block.pointee.isWritable) && block.pointee.snapshot.intersects(range)
                    && !block.pointee.snapshot.isUnchanged(in: source)
            })
        }
    }

    /// Puts a list of unlinked blocks aside until no runner can hold them. Inside the lock.
    func forget(_ list: UnsafeMutablePointer<Block>?) {
        guard let list else { return }
        let new = generation.load(ordering: .relaxed) &+ 1
        var last = list
        while true {
            last.pointee.forgottenIn = new
            guard let next = last.pointee.next else { break }
            last = next
        }
        last.pointee.next = forgotten
        forgotten = list
        generation.store(new, ordering: .sequentiallyConsistent)
        reclaim()
    }

    /// Frees what no runner can hold any more. Inside the lock.
    private func reclaim() {
        var oldest = Runner.atRest
        for runner in pool.all { oldest = min(oldest, runner.seen.load(ordering: .sequentiallyConsistent)) }
        var kept: UnsafeMutablePointer<Block>?
        var block = forgotten
        while let current = block {
            block = current.pointee.next
            if current.pointee.forgottenIn <= oldest {
                Block.free(current)
            } else {
                current.pointee.next = kept
                kept = current
            }
        }
        forgotten = kept
    }

    private func freeList(_ list: UnsafeMutablePointer<Block>?) {
        var block = list
        while let current = block {
            block = current.pointee.next
            Block.free(current)
        }
    }

    // MARK: threads and processes

    /// Inside the lock. The runner counts as holding everything until it adopts a generation.
    private func takeRunner() -> Runner {
        let runner: Runner
        if let idle = pool.idle.popLast() {
            runner = idle
        } else {
            runner = Runner()
            pool.all.append(runner)
        }
        runner.adopt(generation.load(ordering: .relaxed))
        return runner
    }

    public func prepareToFork() { lock.lock() }

    public func didForkInParent(childExists: Bool) { lock.unlock() }

    public func didForkInChild() {
        // The other threads' runners are gone with their threads.
        pool = RunnerPool()
        lock.unlock()
    }

    public var statistics: EngineStatistics { lock.withLock { counters } }
}
