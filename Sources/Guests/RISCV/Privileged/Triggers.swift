// "The RISC-V Debug Specification" 1.0, chapter "Sdtrig": triggers on addresses, whose action is a breakpoint exception before the
// instruction. Nothing is asked of accesses to other pages: translations of a page that an active trigger watches are not kept, so
// accesses to it are translated, and looked at here, one by one; code on it is executed instruction by instruction.

import Core
import Translation

/// The triggers of one hart.
struct Triggers {
    static let count = 4
    var selected = 0
    var all = [Trigger](repeating: Trigger(), count: Self.count)
    /// `mcontext`
    var context: UInt64 = 0
    /// Whether one of them may fire.
    private(set) var isActive = false

    fileprivate mutating func update() { isActive = all.contains(where: \.isActive) }

    /// Whether one of them may fire at fetches from the 4 KiB page of `address`, or at loads and stores there.
    func watches(_ kind: AccessKind, _ address: UInt64, _ xlen: XLEN) -> Bool {
        let wanted = kind == .fetch ? Trigger.execute : Trigger.load | Trigger.store
        return all.contains { $0.isActive && $0.data1 & wanted != 0 && $0.touches(page: address & ~0xfff & xlen.mask, xlen) }
    }
}

/// One trigger: `tdata1` without its type, `tdata2` and `tdata3`.
struct Trigger {
    enum Kind: UInt64 { case matchControl = 2, matchControl6 = 6, disabled = 15 }

    static let load: UInt64 = 1, store: UInt64 = 2, execute: UInt64 = 4, user: UInt64 = 1 << 3, supervisor: UInt64 = 1 << 4, machine: UInt64 = 1 << 6
    static let chain: UInt64 = 1 << 11, virtualUser: UInt64 = 1 << 23, virtualSupervisor: UInt64 = 1 << 24
    private static let hit: UInt64 = 1 << 20, hit6: UInt64 = 3 << 22
    static let supportedKinds: UInt64 = 1 << Kind.matchControl.rawValue | 1 << Kind.matchControl6.rawValue | 1 << Kind.disabled.rawValue

    var kind = Kind.disabled
    fileprivate(set) var data1: UInt64 = 0
    fileprivate(set) var data2: UInt64 = 0
    fileprivate(set) var data3: UInt64 = 0

    var isActive: Bool { kind != .disabled && data1 & (Self.load | Self.store | Self.execute) != 0 && data1 & (Self.machine | Self.supervisor | Self.user | Self.virtualSupervisor | Self.virtualUser) != 0 }

    /// `match` of both kinds.
    private var comparison: UInt64 { data1 >> 7 & 15 }
    private static let comparisons: Set<UInt64> = [0, 1, 2, 3, 4, 5, 8, 9, 12, 13]
    /// The size of accesses in the encoding of `mcontrol6`; 0: any.
    private var size: UInt64 { kind == .matchControl6 ? data1 >> 16 & 7 : data1 >> 16 & 3 | data1 >> 19 & 12 }

    // MARK: registers

    /// What is read as `tdata1`.
    func shown(_ xlen: XLEN) -> UInt64 {
        let top = UInt64(xlen.bits)
        // The largest naturally aligned range is half of all addresses.
        let largest = kind == .matchControl ? (top - 1) << (top - 11) : 0
        return kind.rawValue << (top - 4) | largest | data1
    }

    /// - Parameter isLast: there is no trigger behind it that a chain could end at.
    fileprivate mutating func write1(_ value: UInt64, _ hart: Hart, isLast: Bool) {
        kind = Kind(rawValue: value >> UInt64(hart.xlen.bits - 4) & 15) ?? .disabled
        guard kind != .disabled else { return data1 = 0 }
        var mask = Self.load | Self.store | Self.execute | Self.machine | (isLast ? 0 : Self.chain)
        if hart.configuration.hasSupervisor { mask |= Self.supervisor }
        if hart.configuration.hasUser { mask |= Self.user }
        if Self.comparisons.contains(value >> 7 & 15) { mask |= 15 << 7 }
        if kind == .matchControl6 {
            if hart.configuration.hasHypervisor { mask |= Self.virtualSupervisor | Self.virtualUser }
            if [1, 2, 3, 5].contains(value >> 16 & 7) { mask |= 7 << 16 }
            mask |= Self.hit6
        } else {
            let high: UInt64 = hart.xlen == .rv64 ? 3 << 21 : 0
            if [1, 2, 3, 5].contains(value >> 16 & 3 | (value & high) >> 19) { mask |= 3 << 16 | high }
            mask |= Self.hit
        }
        data1 = value & mask
        legalize(hart.xlen)
    }

    fileprivate mutating func write2(_ value: UInt64, _ xlen: XLEN) {
        data2 = value & xlen.mask
        legalize(xlen)
    }

    /// All addresses are no range: of all ones, the last but one becomes 0.
    private mutating func legalize(_ xlen: XLEN) {
        guard kind != .disabled, comparison & 7 == 1, data2 | 1 << UInt64(xlen.bits - 1) == xlen.mask else { return }
        data2 &= ~(1 << UInt64(xlen.bits - 2))
    }

    /// `textra32`, `textra64`: the context by `mhselect`, the address space by `sselect` 2.
    fileprivate mutating func write3(_ value: UInt64, _ hart: Hart) {
        let isWide = hart.xlen == .rv64
        var mask: UInt64 = isWide ? 0x1fff << 51 : 0x3f << 26
        let contextSelect = value >> (isWide ? 48 : 23) & 7
        if hart.configuration.hasHypervisor ? contextSelect & 3 != 3 : contextSelect & 3 == 0 { mask |= 7 << (isWide ? 48 : 23) }
        mask |= isWide ? 0xffff_ffff << 2 : 0xffff << 2
        if value & 3 == 2 { mask |= 3 }
        data3 = value & mask
    }

    // MARK: matching

    /// The bits that enable a trigger of this kind in a mode.
    func isEnabled(_ privilege: PrivilegeMode, isVirtual: Bool) -> Bool {
        switch (privilege, isVirtual) {
        case (.machine, _): data1 & Self.machine != 0
        case (.supervisor, false): data1 & Self.supervisor != 0
        case (.user, false): data1 & Self.user != 0
        case (.supervisor, true): kind == .matchControl6 && data1 & Self.virtualSupervisor != 0
        case (.user, true): kind == .matchControl6 && data1 & Self.virtualUser != 0
        }
    }

    /// Whether the contexts are those that `tdata3` wants.
    func isInContext(_ hart: Hart) -> Bool {
        let isWide = hart.xlen == .rv64, isVirtual = hart.hypervisor.isVirtual
        let select = data3 >> (isWide ? 48 : 23) & 7, value = data3 >> (isWide ? 51 : 26)
        switch select & 3 {
        case 0 where select == 0: break
        case 0: guard hart.triggers.context == value else { return false }
        case 1: guard hart.triggers.context == value << 1 | select >> 2 else { return false }
        default:
            let machine = AddressTranslationRegister(bits: hart.hypervisor.hgatp, xlen: hart.xlen).virtualMachine
            guard machine == value << 1 | select >> 2 else { return false }
        }
        guard data3 & 3 == 2 else { return true }
        let register = AddressTranslationRegister(bits: isVirtual ? hart.hypervisor.vsatp : hart.satp, xlen: hart.xlen)
        return register.addressSpace == data3 >> 2 & (isWide ? 0xffff : 0x1ff)
    }

    /// Whether an access of `bytes` bytes at `address` meets what `tdata2` says of its size and of one of its first `count` addresses.
    /// No size is that of a vector's stretch of elements.
    func matches(_ address: UInt64, bytes: Int, comparing count: Int, _ xlen: XLEN) -> Bool {
        if size != 0 {
            let encoded: UInt64? = switch bytes { case 1: 1; case 2: 2; case 4: 3; case 8: 5; default: nil }
            if let encoded, encoded != size { return false }
        }
        let isMet = (0 ..< UInt64(truncatingIfNeeded: count)).contains { meets((address &+ $0) & xlen.mask, comparison & 7, xlen) }
        return comparison & 8 == 0 ? isMet : !isMet
    }

    private func meets(_ value: UInt64, _ comparison: UInt64, _ xlen: XLEN) -> Bool {
        let half = UInt64(xlen.bits / 2), low: UInt64 = 1 << half - 1
        switch comparison {
        case 0: return value == data2
        case 1: return (value ^ data2) & ~ones == 0
        case 2: return value >= data2
        case 3: return value < data2
        case 4: return value & low & data2 >> half == data2 & low
        default: return value >> half & data2 >> half == data2 & low
        }
    }

    /// The bits of an address that a range by `match` 1 leaves open.
    private var ones: UInt64 { data2 ^ (data2 &+ 1) }

    /// Whether it may match anything on the 4 KiB page at `page`.
    fileprivate func touches(page: UInt64, _ xlen: XLEN) -> Bool {
        switch comparison {
        case 0: data2 & ~0xfff == page
        case 1: (page ^ data2) & ~(ones | 0xfff) & xlen.mask == 0
        case 2: page | 0xfff >= data2
        case 3: page < data2
        default: true
        }
    }

    fileprivate mutating func note() { data1 |= kind == .matchControl6 ? 1 << 22 : Self.hit }
}

extension Hart {
    /// "Native Triggers": none fires in a mode that its breakpoint exception would go to while the mode's interrupts are off.
    private var mayTrigger: Bool {
        let isDelegated = medeleg >> ExceptionCause.breakpoint.rawValue & 1 != 0
        switch (privilege, hypervisor.isVirtual) {
        case (.machine, _): return mstatus & MStatus.mie != 0
        case (.supervisor, false): return !isDelegated || mstatus & MStatus.sie != 0
        case (.supervisor, true): return !isDelegated || hypervisor.hedeleg >> ExceptionCause.breakpoint.rawValue & 1 == 0 || hypervisor.vsstatus & MStatus.sie != 0
        case (.user, _): return true
        }
    }

    /// The triggers that fire at an access: each ends a chain of which all match.
    private func firing(_ address: UInt64, _ rights: UInt64, bytes: Int, comparing count: Int) -> [Int] {
        guard mayTrigger else { return [] }
        var chain: [Int] = [], found: [Int] = [], isMet = true
        for (number, trigger) in triggers.all.enumerated() {
            chain.append(number)
            isMet = isMet && trigger.isActive && trigger.data1 & rights != 0 && trigger.isEnabled(privilege, isVirtual: hypervisor.isVirtual)
                && trigger.matches(address, bytes: bytes, comparing: count, xlen) && trigger.isInContext(self)
            if trigger.kind != .disabled, trigger.data1 & Trigger.chain != 0 { continue }
            if isMet { found += chain }
            (chain, isMet) = ([], true)
        }
        return found
    }

    /// `translate` while a trigger is active.
    func translateWatched(_ address: UInt64, _ kind: AccessKind, bytes: Int, index: Int, memory: AddressSpace) -> PageTranslation? {
        let known = kind == .fetch ? address & xlen.mask : transformed(address, index: index) & xlen.mask
        guard triggers.watches(kind, known, xlen) else { return translate(address, kind, bytes: bytes, index: index, memory: memory) }
        // Before the page tables are, or are changed by, an access that does not take place.
        if kind == .load, fires(known, Trigger.load, bytes, comparing: bytes) { return nil }
        if kind == .store, fires(known, SoftMMU.of(vcpu.state)?.isUpdate == true ? Trigger.load | Trigger.store : Trigger.store, bytes, comparing: bytes) { return nil }
        let page = translate(address, kind, bytes: bytes, index: index, memory: memory)
        // Neither the second half of an instruction, nor what a trap reads of it. Its length counts, where it can be fetched.
        if kind == .fetch, known == pc & xlen.mask, !isInTrap {
            let first = page.flatMap { memory.memory(at: $0.physical) }?.host.load(as: UInt8.self) ?? 0
            if fires(known, Trigger.execute, first & 3 == 3 ? 4 : 2, comparing: 1) { return nil }
        }
        // Not to be remembered.
        return page.map { PageTranslation(physical: $0.physical, size: 1, rights: $0.rights, isGlobal: $0.isGlobal) }
    }

    /// - Returns: whether a trigger fires: the exception is recorded.
    private func fires(_ address: UInt64, _ rights: UInt64, _ bytes: Int, comparing count: Int) -> Bool {
        let fired = firing(address, rights, bytes: bytes, comparing: count)
        guard !fired.isEmpty else { return false }
        for number in fired { triggers.all[number].note() }
        record(.breakpoint, address, isGuest: hypervisor.isVirtual)
        return true
    }

    fileprivate func changeTrigger(_ change: (inout Trigger) -> Void) {
        let was = triggers.isActive
        change(&triggers.all[triggers.selected])
        triggers.update()
        if was || triggers.isActive { SoftMMU.of(vcpu.state)?.flush() }
    }
}

extension ControlRegister {
    private static func register(_ number: UInt16, _ name: String, read: @escaping @Sendable (Hart) -> UInt64, write: (@Sendable (Hart, UInt64) -> Void)? = nil) -> ControlRegister {
        ControlRegister(number, name, exists: { $0.configuration.hasSdtrig }, read: read, write: write)
    }

    static let triggers: [ControlRegister] = [
        register(0x7a0, "tselect", read: { UInt64($0.triggers.selected) }, write: { hart, value in
            if value < Triggers.count { hart.triggers.selected = Int(value) }
        }),
        register(0x7a1, "tdata1", read: { $0.triggers.all[$0.triggers.selected].shown($0.xlen) }, write: { hart, value in
            let isLast = hart.triggers.selected == Triggers.count - 1
            hart.changeTrigger { $0.write1(value, hart, isLast: isLast) }
        }),
        register(0x7a2, "tdata2", read: { $0.triggers.all[$0.triggers.selected].data2 }, write: { hart, value in hart.changeTrigger { $0.write2(value, hart.xlen) } }),
        register(0x7a3, "tdata3", read: { $0.triggers.all[$0.triggers.selected].data3 }, write: { hart, value in hart.changeTrigger { $0.write3(value, hart) } }),
        // Version 1 of the extension.
        register(0x7a4, "tinfo", read: { _ in 1 << 24 | Trigger.supportedKinds }),
        register(0x7a8, "mcontext", read: { $0.triggers.context }, write: { hart, value in
            hart.triggers.context = value & (1 << ((hart.xlen == .rv64 ? 13 : 6) + (hart.configuration.hasHypervisor ? 1 : 0)) - 1)
        }),
    ]
}
