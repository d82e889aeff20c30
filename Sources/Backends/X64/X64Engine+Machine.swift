import CHost
import Core
import Glibc
import Host
import IR
import IRPasses
import Translation

// Machines. A block is known by its address, its context and the page of guest memory that it was made from. Code on the
// same page goes to it directly; all other ways in (links across pages, jump caches, returns) lead to its check: a vCPU
// has a small table that says which mapping of code pages holds now, by number, and the block compares the one it was made
// for. So a change of mappings forgets nothing but that table. A block whose only instruction goes on on the next page
// checks both, always.
extension X64Engine {
    /// Which page is seen where, and by whom: what the number of a mapping stands for.
    struct FetchIdentity: Hashable {
        var virtual: UInt64
        var page: UInt64
        var index: Int
    }

    /// Mapping numbers begin here, so that they are never encoded short.
    static let firstIdentity: UInt32 = 0x1000_0000

    /// What the dispatcher goes on with.
    enum Next {
        case code(UInt64)
        /// The instruction at pc is not to be translated.
        case step
        /// Recorded.
        case fetchFault
    }

    func runMachine(_ vcpu: VCPU, _ companion: Companion, _ guest: any SystemGuest, _ mmu: SoftMMU) -> ExitReason {
        let state = vcpu.state
        apus_thread_set(1, state)
        vcpu[UInt32.self, BackendState.inCode] = 1
        defer { vcpu[UInt32.self, BackendState.inCode] = 0 }
        synchronizeContext(vcpu, companion)
        defer { publishFlags(vcpu) }
        var next = machineCode(vcpu, companion, guest, mmu)
        while true {
            if vcpu[UInt32.self, StateHeader.interruptRequest] != 0 { return .interrupted }
            let target: UInt64
            switch next {
            case .code(let address): target = address
            case .fetchFault: return .fetchFault
            case .step:
                if let reason = step(vcpu, companion) { return reason }
                next = machineCode(vcpu, companion, guest, mmu)
                continue
            }
            let code = enter(state, target)
            switch code & 0xFF {
            case Exit.reason:
                let reason = ExitReason(rawValue: UInt16(truncatingIfNeeded: code &>> 8)) ?? .illegalInstruction
                guard guest.deliversInside(reason) else { return reason }
                guest.deliver(reason, to: vcpu)
                synchronizeContext(vcpu, companion)
                next = knownCode(vcpu) ?? machineCode(vcpu, companion, guest, mmu)
            case Exit.link:
                let number = Int(truncatingIfNeeded: code &>> 8)
                vcpu.pc = halves[(number >> 24) & 1].links.base[number & 0xFF_FFFF].target
                next = machineCode(vcpu, companion, guest, mmu, link: number)
            case Exit.site:
                next = machineCode(vcpu, companion, guest, mmu, site: Int(truncatingIfNeeded: code &>> 8))
            case Exit.context:
                synchronizeContext(vcpu, companion)
                next = knownCode(vcpu) ?? machineCode(vcpu, companion, guest, mmu)
            case Exit.memory:
                let address = UInt(vcpu[UInt64.self, BackendState.slowReturn]) &- 1
                guard let pc = FaultRecovery.guestAddress(halves, address &- UInt(bitPattern: mapping.executable)) else { return .illegalInstruction }
                vcpu.pc = pc
                let status = vcpu[UInt32.self, BackendState.slowStatus]
                guard status == SlowMemory.step else {
                    let reason = ExitReason(rawValue: UInt16(truncatingIfNeeded: status &- 1)) ?? .illegalInstruction
                    guard guest.deliversInside(reason) else { return reason }
                    guest.deliver(reason, to: vcpu)
                    synchronizeContext(vcpu, companion)
                    next = knownCode(vcpu) ?? machineCode(vcpu, companion, guest, mmu)
                    continue
                }
                next = .step
            default:
                next = machineCode(vcpu, companion, guest, mmu)
            }
        }
    }

    /// The code for the vCPU's pc, if its jump cache has it: without a lock. The code looks at the mapping of its page itself.
    private func knownCode(_ vcpu: VCPU) -> Next? {
        guard isChaining, vcpu[UInt64.self, BackendState.generation] == generationNow,
              let cache = UnsafeRawPointer(bitPattern: UInt(vcpu[UInt64.self, BackendState.jumpCache])) else { return nil }
        let pc = vcpu.pc
        let entry = (cache + Int(truncatingIfNeeded: pc & UInt64(JumpCache.mask)) &* 8).assumingMemoryBound(to: UInt64.self)
        return entry[0] == pc ? .code(entry[1]) : nil
    }

    /// Executes the instruction at pc by its meaning alone.
    private func step(_ vcpu: VCPU, _ companion: Companion) -> ExitReason? {
        guard let stepper = companion.stepper else { return .illegalInstruction }
        publishFlags(vcpu)
        let reason = stepper.step(vcpu)
        synchronizeContext(vcpu, companion)
        return reason
    }

    /// The code for the vCPU's pc. - Parameters: the link or the indirect branch that it came by, which may now lead there.
    private func machineCode(_ vcpu: VCPU, _ companion: Companion, _ guest: any SystemGuest, _ mmu: SoftMMU, link: Int? = nil,
                             site: Int? = nil) -> Next {
        let pc = vcpu.pc, context = vcpu.context, index = guest.fetchIndex(context: context)
        // Page-table walks come before the lock: the guest's own writes to memory may have code forgotten.
        guard let page = mmu.fetchPage(pc, mmuIndex: index) else { return .fetchFault }
        guard page.isWhole else { return .step }
        var following: FetchPage?
        while true {
            pthread_mutex_lock(lock)
            if let log = options.log { self.log(vcpu, log) }
            acknowledge(vcpu, companion)
            let before = generation
            switch findOrTranslate(pc, context, page, following, index, vcpu, companion) {
            case .block(let number):
                if generation == before {
                    if let link { patchMachine(link, to: number, context) }
                    if let site { learnMachine(site, number, vcpu) }
                }
                let host = executableAddress(of: number)
                remember(pc, host, vcpu)
                pthread_mutex_unlock(lock)
                return .code(host)
            case .needsNext where following == nil:
                pthread_mutex_unlock(lock)
                guard let next = mmu.fetchPage(page.virtual &+ RAMBlock.pageBytes, mmuIndex: index) else { return .fetchFault }
                guard next.isWhole else { return .step }
                following = next
            case .needsNext, .failed:
                pthread_mutex_unlock(lock)
                return .step
            }
        }
    }

    private enum Found {
        case block(Int)
        /// The instruction does not end on its page.
        case needsNext
        case failed
    }

    /// Inside the lock. The vCPU's table of mappings knows the block's afterwards.
    private func findOrTranslate(_ pc: UInt64, _ context: UInt64, _ page: FetchPage, _ next: FetchPage?, _ index: Int, _ vcpu: VCPU,
                                 _ companion: Companion) -> Found {
        if let known = table.pointee.find(pc, context, page.number, second: next?.number) {
            let block = table.pointee.blocks.base[known]
            guard block.secondPage == 0 || next != nil else { return .needsNext }
            vcpu[UInt32.self, SoftTLB.fetchSlot(pc)] = block.identity
            if block.secondPage != 0 { vcpu[UInt32.self, SoftTLB.fetchSlot(pc &+ RAMBlock.pageBytes)] = block.secondIdentity }
            return .block(known)
        }
        var limit = next == nil ? Int.max : 1
        while true {
            if cursor + Self.blockReserve > siteKeys(Int(generation & 1)) || !table.pointee.hasRoom {
                switchHalves()
                acknowledge(vcpu, companion)
            }
            beginCode(page)
            if let next { beginCode(next) }
            window?.show(page, from: pc, next: next)
            let offset = vcpu.layout.beliefOffset
            translator.translate(at: pc, context: context, limit: limit, belief: offset < 0 ? 0 : vcpu[UInt64.self, offset])
            if translator.isFetchFault { return next == nil ? .needsNext : .failed }
            let first = Lowering.FetchCheck(slot: SoftTLB.fetchSlot(pc), identity: identity(page, index))
            let second = next.map { Lowering.FetchCheck(slot: SoftTLB.fetchSlot($0.virtual), identity: identity($0, index)) }
            lowering.pointee.firstCheck = first
            lowering.pointee.secondCheck = second
            if let number = emit(pc, context, page: page, next: next) {
                codePages.insert(number, page, translator.ranges)
                if let next { codePages.insert(number, next, translator.ranges) }
                vcpu[UInt32.self, first.slot] = first.identity
                if let second { vcpu[UInt32.self, second.slot] = second.identity }
                return .block(number)
            }
            guard translator.instructionCount > 1 else { return .failed }
            limit = max(translator.instructionCount / 2, 1)
        }
    }

    /// From now on stores to the page are told to `codeChanged`.
    private func beginCode(_ page: FetchPage) {
        guard codePages.begin(page) else { return }
        if page.block.codeWatcher == nil { page.block.codeWatcher = self }
        for state in vcpus.keys { SoftMMU.of(state)?.forgetStores(to: page.host) }
        apus_full_fence()
    }

    private func identity(_ page: FetchPage, _ index: Int) -> UInt32 {
        let key = FetchIdentity(virtual: page.virtual, page: page.number, index: index)
        if let known = identities[key] { return known }
        nextIdentity = nextIdentity == .max ? Self.firstIdentity : nextIdentity + 1
        identities[key] = nextIdentity
        return nextIdentity
    }

    // MARK: links

    private func patchMachine(_ number: Int, to block: Int, _ context: UInt64) {
        let half = (number >> 24) & 1, index = number & 0xFF_FFFF
        guard isChaining, half == Int(generation & 1), table.pointee.context(of: table.pointee.links.base[index]) == context else { return }
        patch(index, to: block)
    }

    /// An indirect branch has met its first target: links it.
    private func learnMachine(_ number: Int, _ block: Int, _ vcpu: VCPU) {
        let half = (number >> 24) & 1, index = number & 0xFF_FFFF
        guard isChaining, half == Int(generation & 1) else { return }
        let record = halves[half].sites.base + index, site = record.pointee, link = halves[half].links.base + Int(site.link)
        guard halves[half].context(of: link.pointee) == vcpu.context, link.pointee.target == Lowering.noTarget else { return }
        if !site.isWaiting, site.mayChange(vcpu.pc) {
            record.pointee.isWaiting = true
            return
        }
        link.pointee.target = vcpu.pc
        patch(Int(site.link), to: block)
        (mapping.writable + siteKeys(half) + index * 8).storeBytes(of: vcpu.pc, as: UInt64.self)
        setField(site.field, to: site.probe)
    }
}

// Stores to pages that code was translated from.
extension X64Engine: CodeWatcher {
    public func codeChanged(in memory: RAMBlock, _ range: Range<UInt64>) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        for number in codePages.remove(in: memory, range) where number < table.pointee.blocks.count && table.pointee.blocks.base[number].isAlive {
            let block = table.pointee.blocks.base[number]
            remove(number)
            for companion in vcpus.values { companion?.forgetKey(block.pc, block.context) }
        }
    }

    public func hasCode(in memory: RAMBlock, _ range: Range<UInt64>) -> Bool {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return codePages.hasCode(in: memory, range)
    }
}
