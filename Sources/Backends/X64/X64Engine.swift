import CHost
import Core
import Glibc
import Host
import IR
import IRPasses
import Translation

/// The translator for x86-64 hosts: tier 1 for all code, with direct links between blocks.
///
/// The code buffer holds the trampolines and two halves. Code goes into one half until it is full; then all links of
/// that half are undone, so that every vCPU soon comes to the dispatcher, and translation goes on in the other half.
/// A half is reused only when no vCPU can be inside it any more.
///
/// Changes to code and tables are made under one lock; translated code runs without any.
public final class X64Engine: Engine, @unchecked Sendable {
    public let guest: any Guest
    let source: any CodeSource
    /// In machines: the guest, and the source.
    private let system: (any SystemGuest)?
    let window: FetchWindow?
    let options: EngineOptions
    let registers: HostRegisters
    let mapping: DoubleMapping
    private let trampolines: Trampolines
    let halves: UnsafeMutablePointer<BlockTable>
    let lowering: UnsafeMutablePointer<Lowering>
    let translator: TraceTranslator
    private let simplify: UnsafeMutablePointer<Simplify>
    let lock: UnsafeMutablePointer<pthread_mutex_t>
    let enter: @convention(c) (UnsafeMutableRawPointer, UInt64) -> UInt64
    let isChaining: Bool
    /// A word shared with a forked child, which wakes the parent when it has its own copy of the code.
    private let forkGate: UnsafeMutablePointer<UInt32>

    // Below: guarded by `lock`.
    var generation: UInt64 = 0
    var cursor: Int
    private let firstByte: Int
    private let halfBytes: Int
    /// Each half ends with the keys of its indirect branches, 8 bytes each.
    private let siteCapacity: Int
    /// What there is beside each vCPU, by its state.
    var vcpus: [UnsafeMutableRawPointer: Companion?] = [:]
    private var writable = WritableBlocks()
    private var snapshots: [Int: CodeSnapshot] = [:]
    private var counters = EngineStatistics()
    var codePages = CodePages()
    var identities: [FetchIdentity: UInt32] = [:]
    var nextIdentity = X64Engine.firstIdentity


    private static let opCapacity = 6144
    /// The number of the futex system call on x86-64.
    private static let futex = 202
    /// The most host code that one block can need.
    static let blockReserve = 64 << 10

    /// An engine for machines.
    public convenience init?(guest: any SystemGuest, options: EngineOptions = EngineOptions(), problem: inout String) {
        var options = options
        options.isMachine = true
        self.init(guest: guest, source: FetchWindow(), options: options, problem: &problem)
    }

    /// - Returns: nil, with the reason in `problem`, if this host cannot run it.
    public init?(guest: any Guest, source: any CodeSource, options: EngineOptions = EngineOptions(), problem: inout String) {
        if let missing = CPUFeatures.missingBaseline {
            problem = "the x64 engine needs a processor with \(missing)"
            return nil
        }
        halfBytes = (max(options.codeCacheBytes, 4 << 20) / 2) & ~4095
        siteCapacity = halfBytes / 512
        let size = halfBytes * 2 + 65536
        guard let mapping = DoubleMapping(size: size), let first = BlockTable(siteCapacity: siteCapacity),
              let second = BlockTable(siteCapacity: siteCapacity),
              let gate = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), gate != MAP_FAILED else {
            problem = "no memory for \(size >> 20) MiB of translated code"
            return nil
        }
        self.guest = guest
        self.source = source
        self.options = options
        system = options.isMachine ? guest as? any SystemGuest : nil
        window = source as? FetchWindow
        self.mapping = mapping
        forkGate = gate.bindMemory(to: UInt32.self, capacity: 1)
        registers = HostRegisters(guest.layout)
        let delta = mapping.executable - mapping.writable
        let start = mapping.writable.assumingMemoryBound(to: UInt8.self)
        var writer = TrampolineWriter(a: Assembler(write: start, limit: start + 65536, executableDelta: delta), registers: registers,
                                      slowFloat: SlowFloat.entry)
        let (trampolines, constants) = writer.write()
        self.trampolines = trampolines
        firstByte = 65536
        cursor = firstByte
        halves = .allocate(capacity: 2)
        halves.initialize(to: first)
        (halves + 1).initialize(to: second)
        lowering = .allocate(capacity: 1)
        lowering.initialize(to: Lowering(capacity: Self.opCapacity, registers: registers, trampolines: trampolines, constants: constants,
                                       memoryBase: options.memoryBase, isMachine: options.isMachine))
        simplify = .allocate(capacity: 1)
        simplify.initialize(to: Simplify(capacity: Self.opCapacity))
        translator = TraceTranslator(guest: guest, source: source, options: options)
        lock = .allocate(capacity: 1)
        lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(lock, nil)
        guard let entry = UnsafeRawPointer(bitPattern: UInt(trampolines.enter)) else { return nil }
        enter = unsafeBitCast(entry, to: (@convention(c) (UnsafeMutableRawPointer, UInt64) -> UInt64).self)
        isChaining = options.log.map { $0.items.isDisjoint(with: [.exec, .cpu]) } ?? true
        let space = FaultRecovery.Space(base: UInt(bitPattern: mapping.executable), size: UInt(size), trampolines: trampolines, halves: halves)
        guard FaultRecovery.register(space) else {
            problem = "too many x64 engines in one process"
            return nil
        }
    }

    // MARK: vCPUs

    public func makeVCPU() -> VCPU {
        let companion = Companion(system.flatMap { options.makeStepper?($0) })
        let vcpu = VCPU(layout: guest.layout, engineData: companion, isMachine: options.isMachine) { state in
            pthread_mutex_lock(self.lock)
            self.vcpus[state] = nil
            pthread_mutex_unlock(self.lock)
        }
        vcpu[UInt32.self, BackendState.flagsArePublished] = 1
        vcpu[UInt64.self, StateHeader.memoryBase] = options.memoryBase
        if let companion {
            vcpu[UInt64.self, BackendState.shadowTop] = UInt64(UInt(bitPattern: companion.shadowTop))
            vcpu[UInt64.self, BackendState.shadowStack] = UInt64(UInt(bitPattern: companion.shadowTop))
        }
        pthread_mutex_lock(lock)
        vcpus[vcpu.state] = .some(companion)
        pthread_mutex_unlock(lock)
        return vcpu
    }

    public func run(_ vcpu: VCPU) -> ExitReason {
        // Without memory for a shadow stack nothing can run; the guest sees the failed fetch that this amounts to.
        guard let companion = vcpu.engineData as? Companion else { return .fetchFault }
        if let system {
            guard let mmu = SoftMMU.of(vcpu.state) else { return .fetchFault }
            return runMachine(vcpu, companion, system, mmu)
        }
        let state = vcpu.state
        apus_thread_set(1, state)
        vcpu[UInt32.self, BackendState.inCode] = 1
        defer { vcpu[UInt32.self, BackendState.inCode] = 0 }
        synchronizeContext(vcpu, companion)
        defer { publishFlags(vcpu) }
        var target = lookup(vcpu, companion)
        while true {
            if vcpu[UInt32.self, StateHeader.interruptRequest] != 0 { return .interrupted }
            guard target != 0 else { return .fetchFault }
            let code = enter(state, target)
            switch code & 0xFF {
            case Exit.reason:
                let reason = ExitReason(rawValue: UInt16(truncatingIfNeeded: code &>> 8)) ?? .illegalInstruction
                if reason == .memoryFault, let guest = guest as? any FaultCompleting, guest.completeFault(of: vcpu, code: source) {
                    target = lookup(vcpu, companion)
                    continue
                }
                return reason
            case Exit.link:
                target = follow(Int(truncatingIfNeeded: code &>> 8), vcpu, companion)
            case Exit.site:
                target = learn(Int(truncatingIfNeeded: code &>> 8), vcpu, companion)
            case Exit.context:
                synchronizeContext(vcpu, companion)
                target = lookup(vcpu, companion)
            default:
                target = lookup(vcpu, companion)
            }
        }
    }

    /// Brings MXCSR and the jump cache in line with the header's float state and context.
    func synchronizeContext(_ vcpu: VCPU, _ companion: Companion) {
        let rounding: UInt32 = switch vcpu[UInt32.self, StateHeader.floatRounding] { case 1: 0x6000; case 2: 0x2000; case 3: 0x4000; default: 0 }
        vcpu[UInt32.self, BackendState.residentRounding] = rounding
        // Flags that were raised since the last exit are in MXCSR only when the engine left for a context change.
        let raised = vcpu[UInt32.self, BackendState.guestMXCSR] & 0x3F
        let flags = vcpu[UInt32.self, BackendState.flagsArePublished] != 0
            ? UInt32(TrampolineWriter.mxcsr(fromFlags: UInt8(truncatingIfNeeded: vcpu[UInt32.self, StateHeader.floatFlags] & 31))) : raised
        vcpu[UInt32.self, BackendState.flagsArePublished] = 0
        vcpu[UInt32.self, BackendState.guestMXCSR] = 0x1F80 | rounding | flags
        if options.isMachine { companion.switchStack(vcpu) }
        if let cache = companion.cache(for: vcpu.context, lock) {
            vcpu[UInt64.self, BackendState.jumpCache] = UInt64(UInt(bitPattern: cache))
        }
    }

    func publishFlags(_ vcpu: VCPU) {
        let raised = UInt8(truncatingIfNeeded: vcpu[UInt32.self, BackendState.guestMXCSR] & 0x3F)
        vcpu[UInt32.self, StateHeader.floatFlags] = UInt32(TrampolineWriter.flags(fromMXCSR: raised))
        vcpu[UInt32.self, BackendState.flagsArePublished] = 1
    }

    // MARK: finding code

    /// The host address for the vCPU's pc, translating if need be; 0 if nothing can be fetched there.
    private func lookup(_ vcpu: VCPU, _ companion: Companion) -> UInt64 {
        let pc = vcpu.pc, context = vcpu.context
        if let log = options.log { self.log(vcpu, log) }
        if vcpu[UInt64.self, BackendState.generation] == generationNow, isChaining,
           let cache = UnsafeMutableRawPointer(bitPattern: UInt(vcpu[UInt64.self, BackendState.jumpCache])) {
            let entry = (cache + Int(truncatingIfNeeded: pc & UInt64(JumpCache.mask)) &* 8).assumingMemoryBound(to: UInt64.self)
            if entry[0] == pc { return entry[1] }
        }
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        acknowledge(vcpu, companion)
        guard let number = findOrTranslate(pc, context, vcpu, companion) else { return 0 }
        let host = executableAddress(of: number)
        remember(pc, host, vcpu)
        return host
    }

    var generationNow: UInt64 { UnsafeMutablePointer(mutating: generationCell).pointee }
    private let generationCell: UnsafeMutablePointer<UInt64> = {
        let cell = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        cell.initialize(to: 0)
        return cell
    }()

    func remember(_ pc: UInt64, _ host: UInt64, _ vcpu: VCPU) {
        guard isChaining, let cache = UnsafeMutableRawPointer(bitPattern: UInt(vcpu[UInt64.self, BackendState.jumpCache])) else { return }
        let entry = (cache + Int(truncatingIfNeeded: pc & UInt64(JumpCache.mask)) &* 8).assumingMemoryBound(to: UInt64.self)
        entry[1] = host
        entry[0] = pc
    }

    /// An exit through a link: finds the target and patches the link to go there by itself.
    private func follow(_ number: Int, _ vcpu: VCPU, _ companion: Companion) -> UInt64 {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        // The tables of a half that the vCPU has just been inside are intact: see `switchHalves`.
        let half = (number >> 24) & 1, index = number & 0xFF_FFFF
        let link = halves[half].links.base[index]
        vcpu.pc = link.target
        if let log = options.log { self.log(vcpu, log) }
        acknowledge(vcpu, companion)
        let before = generation
        guard let block = findOrTranslate(link.target, vcpu.context, vcpu, companion) else { return 0 }
        if isChaining, generation == before, half == Int(generation & 1), halves[half].context(of: link) == vcpu.context { patch(index, to: block) }
        let host = executableAddress(of: block)
        return host
    }

    /// An indirect branch has met its first target, the vCPU's pc: links it.
    private func learn(_ number: Int, _ vcpu: VCPU, _ companion: Companion) -> UInt64 {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        if let log = options.log { self.log(vcpu, log) }
        let half = (number >> 24) & 1, index = number & 0xFF_FFFF
        let record = halves[half].sites.base + index, site = record.pointee, link = halves[half].links.base + Int(site.link)
        acknowledge(vcpu, companion)
        let before = generation, pc = vcpu.pc
        guard let block = findOrTranslate(pc, vcpu.context, vcpu, companion) else { return 0 }
        if isChaining, generation == before, half == Int(generation & 1), halves[half].context(of: link.pointee) == vcpu.context,
           link.pointee.target == Lowering.noTarget {
            if !site.isWaiting, site.mayChange(pc) {
                record.pointee.isWaiting = true
                return executableAddress(of: block)
            }
            link.pointee.target = pc
            patch(Int(site.link), to: block)
            (mapping.writable + siteKeys(half) + index * 8).storeBytes(of: pc, as: UInt64.self)
            setField(site.field, to: site.probe)
        }
        let host = executableAddress(of: block)
        remember(pc, host, vcpu)
        return host
    }

    /// Where the keys of a half's indirect branches begin, as an offset into the code buffer.
    func siteKeys(_ half: Int) -> Int { firstByte + (half + 1) * halfBytes - siteCapacity * 8 }

    var table: UnsafeMutablePointer<BlockTable> { halves + Int(generation & 1) }

    func executableAddress(of block: Int) -> UInt64 {
        UInt64(UInt(bitPattern: mapping.executable)) &+ UInt64(table.pointee.blocks.base[block].hostStart)
    }

    private func findOrTranslate(_ pc: UInt64, _ context: UInt64, _ vcpu: VCPU, _ companion: Companion) -> Int? {
        if let known = table.pointee.find(pc, context) { return known }
        var limit = Int.max
        while true {
            if cursor + Self.blockReserve > siteKeys(Int(generation & 1)) || !table.pointee.hasRoom {
                switchHalves()
                acknowledge(vcpu, companion)
            }
            let offset = vcpu.layout.beliefOffset
            translator.translate(at: pc, context: context, limit: limit, belief: offset < 0 ? 0 : vcpu[UInt64.self, offset])
            if translator.isFetchFault {
                let end = translator.ranges.first.map { $0.start &+ UInt64(truncatingIfNeeded: $0.length &- 1) } ?? pc
                vcpu[UInt64.self, StateHeader.faultAddress] = end
                return nil
            }
            if let number = emit(pc, context) { return number }
            guard translator.instructionCount > 1 else { return nil }
            limit = max(translator.instructionCount / 2, 1)
        }
    }

    // MARK: translating

    /// Lowers the translator's trace into the code buffer; nil if it must be cut shorter.
    func emit(_ pc: UInt64, _ context: UInt64, page: FetchPage? = nil, next: FetchPage? = nil) -> Int? {
        let log = options.log
        if let log, !log.items.isDisjoint(with: [.inAsm, .op]) { logTrace(log, pc) }
        if options.optimize { simplify.pointee.run(&translator.arena.pointee) }
        if let log, log.items.contains(.opOpt) { log.write(IRPrinter.text(of: translator.arena.pointee) + "\n") }
        let base = mapping.writable.assumingMemoryBound(to: UInt8.self)
        cursor = (cursor + 15) & ~15
        let assembler = Assembler(write: base + cursor, limit: base + cursor + Self.blockReserve,
                                  executableDelta: mapping.executable - mapping.writable)
        let firstLink = table.pointee.links.count
        lowering.pointee.linkBase = firstLink | Int(generation & 1) << 24
        let site = table.pointee.sites.count, key = siteKeys(Int(generation & 1)) + site * 8
        lowering.pointee.siteNumber = site | Int(generation & 1) << 24
        lowering.pointee.siteKey = UInt64(UInt(bitPattern: mapping.executable + key))
        lowering.pointee.run(translator.arena.pointee, assembler)
        guard !lowering.pointee.failed, !lowering.pointee.a.overflowed, !lowering.pointee.a.outOfRange else { return nil }
        let end = lowering.pointee.a.cursor - base
        // Once a mebibyte.
        if end >> 20 != cursor >> 20 { mapping.settle(end) }
        let number = table.pointee.blocks.count
        let kept = UnsafeBufferPointer(start: lowering.pointee.boundaries.base, count: lowering.pointee.boundaries.count)
        guard let boundaries = table.pointee.keep(kept, of: pc) else { return nil }
        let ranges = translator.ranges
        let isSimple = ranges.count == 1
        var record = BlockRecord(pc: pc, context: context, hostStart: UInt32(cursor), hostEnd: UInt32(end),
                                 guestLength: isSimple ? UInt32(truncatingIfNeeded: ranges[0].length) : 0, boundaries: boundaries)
        if let page {
            record.page = page.number
            record.identity = lowering.pointee.firstCheck?.identity ?? 0
            record.secondPage = next?.number ?? 0
            record.secondIdentity = lowering.pointee.secondCheck?.identity ?? 0
            record.skip = next == nil ? UInt8(Lowering.fetchCheckBytes) : 0
        }
        _ = table.pointee.blocks.append(record)
        for index in 0 ..< lowering.pointee.links.count {
            let link = lowering.pointee.links.base[index]
            _ = table.pointee.links.append(LinkRecord(target: link.target, field: UInt32(link.field - base), stub: UInt32(link.stub - base),
                                                      source: Int32(truncatingIfNeeded: number), isOnPage: page != nil && next == nil && !link.isReturn))
        }
        if lowering.pointee.site.link >= 0, let field = lowering.pointee.site.field, let probe = lowering.pointee.site.probe {
            (mapping.writable + key).storeBytes(of: Lowering.noTarget, as: UInt64.self)
            _ = table.pointee.sites.append(SiteRecord(link: UInt32(firstLink + lowering.pointee.site.link), field: UInt32(field - base),
                                                      probe: UInt32(probe - base), pc: pc))
        }
        if page == nil, !isSimple || translator.isWritable {
            snapshots[number] = translator.snapshot()
            if translator.isWritable { writable.insert(number, translator.ranges) }
        }
        table.pointee.insert(number)
        if isChaining {
            for index in firstLink ..< table.pointee.links.count {
                let target = table.pointee.links.base[index].target
                if let page {
                    // Only what is on the same page is sure to be seen there.
                    guard next == nil, target &- page.virtual < RAMBlock.pageBytes,
                          let known = table.pointee.find(target, context, page.number, second: nil) else { continue }
                    patch(index, to: known)
                } else if let known = table.pointee.find(target, context) {
                    patch(index, to: known)
                }
            }
        }
        counters.blocks += 1
        counters.guestInstructions += translator.instructionCount
        counters.guestBytes += translator.byteCount
        counters.hostBytes += end - cursor
        if let log, log.items.contains(.outAsm) { logHostCode(log, record) }
        cursor = end
        return number
    }

    // MARK: links

    func patch(_ link: Int, to block: Int) {
        let record = table.pointee.links.base + link
        guard record.pointee.block < 0 else { return }
        let target = table.pointee.blocks.base[block], source = table.pointee.blocks.base[Int(record.pointee.source)]
        let isNear = record.pointee.isOnPage && target.page == source.page && (source.pc ^ record.pointee.target) &>> RAMBlock.pageBits == 0
        setField(record.pointee.field, to: target.hostStart &+ (isNear ? UInt32(target.skip) : 0))
        record.pointee.block = Int32(truncatingIfNeeded: block)
        record.pointee.nextIncoming = table.pointee.blocks.base[block].incoming
        table.pointee.blocks.base[block].incoming = Int32(truncatingIfNeeded: link)
    }

    func setField(_ field: UInt32, to target: UInt32) {
        Assembler.patchRel32(at: mapping.writable + Int(field),
                             executableAddress: UInt64(UInt(bitPattern: mapping.executable)) &+ UInt64(field),
                             target: UInt64(UInt(bitPattern: mapping.executable)) &+ UInt64(target))
    }

    /// Makes every link to `block` lead to its stub again.
    private func unlink(_ block: Int) {
        var link = table.pointee.blocks.base[block].incoming
        table.pointee.blocks.base[block].incoming = -1
        while link >= 0 {
            let record = table.pointee.links.base + Int(link)
            setField(record.pointee.field, to: record.pointee.stub)
            record.pointee.block = -1
            link = record.pointee.nextIncoming
            record.pointee.nextIncoming = -1
        }
    }

    // MARK: invalidation

    public func invalidate(_ range: Range<UInt64>) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        var any = false
        for number in 0 ..< table.pointee.blocks.count {
            let block = table.pointee.blocks.base[number]
            guard block.isAlive else { continue }
            let touches = block.guestLength != 0
                ? CodeRange(start: block.pc, length: Int(block.guestLength)).intersects(range)
                : snapshots[number].map { $0.intersects(range) } ?? true
            if touches {
                remove(number)
                any = true
            }
        }
        if any { purgeJumpCaches() }
    }

    public func invalidateWritable(_ range: Range<UInt64>) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        let changed = writable.blocks(in: range).filter { table.pointee.blocks.base[$0].isAlive }
        for number in changed { remove(number) }
        if !changed.isEmpty { purgeJumpCaches() }
    }

    public func synchronize(_ range: Range<UInt64>) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        var any = false
        for number in writable.blocks(in: range) {
            guard table.pointee.blocks.base[number].isAlive, let snapshot = snapshots[number] else { continue }
            if !snapshot.isUnchanged(in: source) {
                remove(number)
                any = true
            }
        }
        if any { purgeJumpCaches() }
    }

    func remove(_ number: Int) {
        table.pointee.blocks.base[number].isAlive = false
        table.pointee.remove(number)
        unlink(number)
        if let snapshot = snapshots.removeValue(forKey: number) {
            writable.remove(number, snapshot.ranges)
            snapshot.deallocate()
        }
    }

    private func purgeJumpCaches() {
        for companion in vcpus.values { companion?.forgetKeys() }
    }

    /// Begins to fill the other half. Waits until no vCPU can still be inside it.
    func switchHalves() {
        let current = generation
        while vcpus.keys.contains(where: { state in
            // A vCPU inside code of the generation before this one is bound to leave: all its links are undone. It may be
            // waiting for the lock.
            volatileLoad(state, BackendState.inCode) != 0 && state.load(fromByteOffset: Int(BackendState.generation), as: UInt64.self) < current
        }) {
            pthread_mutex_unlock(lock)
            usleep(100)
            pthread_mutex_lock(lock)
            // Another thread has switched meanwhile.
            if generation != current { return }
        }
        for number in 0 ..< table.pointee.blocks.count where table.pointee.blocks.base[number].isAlive { unlink(number) }
        purgeJumpCaches()
        codePages.removeAll()
        identities.removeAll()
        generation &+= 1
        generationCell.pointee = generation
        table.pointee.removeAll()
        for snapshot in snapshots.values { snapshot.deallocate() }
        snapshots.removeAll()
        writable = WritableBlocks()
        cursor = firstByte + Int(generation & 1) * halfBytes
        counters.flushes += 1
    }

    private func volatileLoad(_ state: UnsafeMutableRawPointer, _ offset: Int32) -> UInt32 {
        (state + Int(offset)).assumingMemoryBound(to: UInt32.self).pointee
    }

    /// The vCPU is in the dispatcher: what it holds of older code is dropped.
    func acknowledge(_ vcpu: VCPU, _ companion: Companion) {
        guard vcpu[UInt64.self, BackendState.generation] != generation else { return }
        vcpu[UInt64.self, BackendState.generation] = generation
        companion.clearAll()
        memset(companion.shadowTop, 0xFF, 256)
        for index in companion.stacks.indices {
            memset(companion.stacks[index].top, 0xFF, 256)
            companion.stacks[index].pointer = UInt64(UInt(bitPattern: companion.stacks[index].top))
        }
        vcpu[UInt64.self, BackendState.shadowStack] = vcpu[UInt64.self, BackendState.shadowTop]
    }

    // MARK: fork

    public func prepareToFork() {
        pthread_mutex_lock(lock)
        forkGate.pointee = 0
    }

    /// Waits until the child has its own copy of the code, which the parent would otherwise go on changing.
    public func didForkInParent(childExists: Bool) {
        var waited = 0
        while childExists, forkGate.pointee == 0, waited < 2000 {
            var timeout = timespec(tv_sec: 0, tv_nsec: 1_000_000)
            _ = withUnsafePointer(to: &timeout) {
                apus_syscall(Self.futex, Int(bitPattern: forkGate), 0, 0, Int(bitPattern: $0), 0, 0)
            }
            waited += 1
        }
        pthread_mutex_unlock(lock)
    }

    public func didForkInChild() {
        // The other threads, and so their vCPUs, do not exist here.
        for state in vcpus.keys { state.storeBytes(of: 0, toByteOffset: Int(BackendState.inCode), as: UInt32.self) }
        let isSmall = generation == 0 && cursor < 16 << 20
        let keys = siteKeys(0)
        let separated = mapping.separate(keeping: isSmall ? [0 ..< cursor, keys ..< keys + table.pointee.sites.count * 8] : [0 ..< firstByte])
        forkGate.pointee = 1
        _ = apus_syscall(Self.futex, Int(bitPattern: forkGate), 1, 1, 0, 0, 0)
        if let own = mmap(forkGate, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) { _ = own }
        if !separated {
            // Whatever ran now would run in the parent's code while the parent changes it.
            let text: StaticString = "apus: no memory for a forked child's translated code\n"
            write(2, text.utf8Start, text.utf8CodeUnitCount)
            kill(getpid(), SIGKILL)
        }
        if !isSmall { forgetEverything() }
        pthread_mutex_unlock(lock)
    }

    /// Starts over with empty tables; only one thread exists.
    private func forgetEverything() {
        generation &+= 2
        generationCell.pointee = generation
        halves[0].removeAll()
        halves[1].removeAll()
        for snapshot in snapshots.values { snapshot.deallocate() }
        snapshots.removeAll()
        writable = WritableBlocks()
        cursor = firstByte + Int(generation & 1) * halfBytes
    }

    public var statistics: EngineStatistics {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return counters
    }
}
