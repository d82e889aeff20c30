// Machines: blocks are found by the page of guest memory that they were made from, and forgotten when it is written to.
import CHost
import Core
import IR
import Synchronization
import Translation

extension InterpreterEngine: CodeWatcher {
    func runMachine(_ vcpu: VCPU, _ runner: Runner, _ guest: any SystemGuest, _ mmu: SoftMMU) -> Int32 {
        let state = vcpu.state
        let request = (state + Int(StateHeader.interruptRequest)).assumingMemoryBound(to: Atomic<UInt32>.self)
        var current: UInt64 = 0
        while true {
            if request.pointee.load(ordering: .relaxed) != 0 { return Int32(ExitReason.interrupted.rawValue) }
            let generation = generation.load(ordering: .acquiring)
            if generation != current {
                current = generation
                runner.adopt(generation)
                continue
            }
            let pc = vcpu.pc, context = vcpu.context, index = guest.fetchIndex(context: context)
            guard let page = mmu.fetchPage(pc, mmuIndex: index) else { return Int32(ExitReason.fetchFault.rawValue) }
            guard page.isWhole else {
                // Only a part of the page can be fetched from: nothing of it is kept.
                guard let stepper = vcpu.engineData as? InterpreterStepper else { return Int32(ExitReason.fetchFault.rawValue) }
                if let reason = stepper.step(vcpu) { return Int32(reason.rawValue) }
                continue
            }
            if let known = runner.find(pc, context, page.number) {
                let result = run(known, vcpu, runner)
                if result != Execution.goesOn { return result }
                continue
            }
            guard let block = lookUp(pc, context, page, mmu, index, runner) else { return Int32(ExitReason.fetchFault.rawValue) }
            let result = run(block, vcpu, runner)
            if result != Execution.goesOn { return result }
        }
    }

    private func run(_ block: UnsafeMutablePointer<Block>, _ vcpu: VCPU, _ runner: Runner) -> Int32 {
        log?.willRun(block, vcpu)
        return runner.execute(block, vcpu.state)
    }

    /// The block at `pc` on `page`; nil if its first instruction goes on on a page that cannot be fetched from.
    private func lookUp(_ pc: UInt64, _ context: UInt64, _ page: FetchPage, _ mmu: SoftMMU, _ index: Int, _ runner: Runner) -> UnsafeMutablePointer<Block>? {
        if let block = lock.withLock({ findOrTranslate(pc, context, page, nil) }) {
            runner.remember(block)
            return block
        }
        // Translations of pages take locks of their own, and the guest's own writes come back here.
        guard let next = mmu.fetchPage(page.virtual &+ RAMBlock.pageBytes, mmuIndex: index) else { return nil }
        return lock.withLock { findOrTranslate(pc, context, page, next) }
    }

    /// Inside the lock. Nil if the instruction at `pc` does not end on `page` and `next` is not given.
    private func findOrTranslate(_ pc: UInt64, _ context: UInt64, _ page: FetchPage, _ next: FetchPage?) -> UnsafeMutablePointer<Block>? {
        let second = next?.number ?? 0
        if let known = table.find(pc, context, page.number, second) { return known }
        beginCode(page)
        if let next { beginCode(next) }
        window?.show(page, from: pc, next: next)
        translation.translate(at: pc, context: context, limit: next == nil ? .max : 1, log: log)
        guard !translation.isFetchFault else { return nil }
        let block = translation.block(pc, context, page: page.number, second: second)
        table.insert(block)
        codePages.insert(Int(bitPattern: block), page, translation.ranges)
        if let next { codePages.insert(Int(bitPattern: block), next, translation.ranges) }
        counters.blocks &+= 1
        counters.guestInstructions &+= block.pointee.instructions
        counters.guestBytes &+= block.pointee.snapshot.byteCount
        counters.hostBytes &+= block.pointee.count &* MemoryLayout<Op>.stride
        if counters.hostBytes > options.codeCacheBytes {
            flush(keeping: block)
            codePages.removeAll()
            for page in [page, next].compactMap({ $0 }) {
                beginCode(page)
                codePages.insert(Int(bitPattern: block), page, translation.ranges)
            }
        }
        return block
    }

    /// From now on stores to the page are told to `codeChanged`.
    private func beginCode(_ page: FetchPage) {
        guard codePages.begin(page) else { return }
        if page.block.codeWatcher == nil { page.block.codeWatcher = self }
        for state in states { SoftMMU.of(state)?.forgetStores(to: page.host) }
        apus_full_fence()
    }

    public func codeChanged(in memory: RAMBlock, _ range: Range<UInt64>) {
        lock.withLock {
            let gone = Set(codePages.remove(in: memory, range))
            guard !gone.isEmpty else { return }
            forget(table.remove { gone.contains(Int(bitPattern: $0)) })
        }
    }

    public func hasCode(in memory: RAMBlock, _ range: Range<UInt64>) -> Bool { lock.withLock { codePages.hasCode(in: memory, range) } }
}
