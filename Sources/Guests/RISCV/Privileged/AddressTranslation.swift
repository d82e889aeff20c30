// "Supervisor-Level ISA" and "Two-Stage Address Translation": page-based virtual memory by Sv32, Sv39, Sv48 and Sv57, and by
// their wider forms for guest physical addresses; with Svadu or Svade, Svnapot and Svpbmt.

import Core
import Translation

/// An access on its way through the page tables.
private struct Access {
    let address: UInt64
    let kind: AccessKind
    let bytes: Int
    /// The rights it is made with.
    let mode: PrivilegeMode
    /// It is a virtual machine's: both stages apply.
    let isVirtual: Bool
    let sum: Bool
    /// HLVX: what it reads must be executable instead of readable.
    let needsExecute: Bool
}

/// Which tables a walk goes through: those of `satp`, of `vsatp`, of `hgatp`.
enum Stage { case supervisor, virtual, guest }

/// How the tables of a mode are made.
struct TableFormat {
    var levels: Int
    var entryBytes: Int
    var indexBits: UInt64
    /// Bits of an address that is translated.
    var addressBits: UInt64
    /// Bits by which the root table is larger than the others.
    var rootExtraBits: UInt64 = 0

    /// Nil: no translation.
    init?(_ xlen: XLEN, _ mode: UInt64, _ stage: Stage) {
        switch (xlen, mode) {
        case (.rv32, 1): (levels, entryBytes, indexBits, addressBits) = (2, 4, 10, 32)
        case (.rv64, 8): (levels, entryBytes, indexBits, addressBits) = (3, 8, 9, 39)
        case (.rv64, 9): (levels, entryBytes, indexBits, addressBits) = (4, 8, 9, 48)
        case (.rv64, 10): (levels, entryBytes, indexBits, addressBits) = (5, 8, 9, 57)
        default: return nil
        }
        if stage == .guest {
            rootExtraBits = 2
            addressBits += 2
        }
    }
}

enum PageTableEntry {
    static let valid: UInt64 = 1, read: UInt64 = 2, write: UInt64 = 4, execute: UInt64 = 8, user: UInt64 = 16, global: UInt64 = 32
    static let accessed: UInt64 = 64, dirty: UInt64 = 128
    static let contiguous: UInt64 = 1 << 63, memoryType: UInt64 = 3 << 61, reserved: UInt64 = 0x7f << 54
}

extension Hart {
    func translate(_ address: UInt64, _ kind: AccessKind, bytes: Int, index: Int, memory: AddressSpace, needsExecute: Bool = false) -> PageTranslation? {
        let address = kind == .fetch || needsExecute ? address : transformed(address, index: index)
        let access = Access(address: address & xlen.mask, kind: kind, bytes: bytes, mode: MMUIndex.mode(index), isVirtual: MMUIndex.isVirtual(index),
                            sum: MMUIndex.hasSUM(index), needsExecute: needsExecute)
        guard access.mode != .machine else {
            return checked(PageTranslation(physical: access.address, size: 1 << 30, rights: [.load, .store, .fetch]), access)
        }
        let stage: Stage = access.isVirtual ? .virtual : .supervisor
        let register = AddressTranslationRegister(bits: access.isVirtual ? hypervisor.vsatp : satp, xlen: xlen)
        var page = PageTranslation(physical: access.address, size: 1 << 30, rights: [.load, .store, .fetch])
        if let format = TableFormat(xlen, register.mode, stage) {
            if xlen == .rv64 {
                let sign = Int64(bitPattern: address) >> Int64(format.addressBits - 1)
                guard sign == 0 || sign == -1 else { return pageFault(access) }
            }
            guard let leaf = walk(access.address, kind, stage, format, root: register.root, access, memory) else { return nil }
            page = leaf
        }
        if access.isVirtual {
            guard let second = translateGuest(page.physical, kind, access, implicit: nil, memory) else { return nil }
            page = PageTranslation(physical: second.physical, size: min(page.size, second.size), rights: page.rights.intersection(second.rights))
        }
        return checked(page, access)
    }

    /// The second stage, from guest physical to physical addresses.
    /// - Parameter implicit: what `htinst` says of an access to a table of the first stage; nil: the access itself.
    private func translateGuest(_ address: UInt64, _ kind: AccessKind, _ access: Access, implicit: UInt64?, _ memory: AddressSpace) -> PageTranslation? {
        let register = AddressTranslationRegister(bits: hypervisor.hgatp, xlen: xlen)
        guard let format = TableFormat(xlen, register.mode, .guest) else {
            return PageTranslation(physical: address, size: 1 << 30, rights: [.load, .store, .fetch])
        }
        guard address >> format.addressBits == 0 else { return guestFault(access, address, implicit) }
        return walk(address, kind, .guest, format, root: register.root & ~0x3fff, access, memory, implicit: implicit)
    }

    private func walk(_ address: UInt64, _ kind: AccessKind, _ stage: Stage, _ format: TableFormat, root: UInt64, _ access: Access,
                      _ memory: AddressSpace, implicit: UInt64? = nil) -> PageTranslation? {
        func fault() -> PageTranslation? { stage == .guest ? guestFault(access, address, implicit) : pageFault(access) }
        let near = nearMemory
        let environment = stage == .virtual ? hypervisor.henvcfg & menvcfg : menvcfg
        // A table that changes under the walk is read again, but not for ever.
        retry: for _ in 0 ..< 64 {
            var table = root
            var level = format.levels - 1
            // What is below a global pointer is global.
            var isGlobal = false
            while level >= 0 {
                let shift = 12 + format.indexBits * UInt64(level)
                let bits = format.indexBits + (level == format.levels - 1 ? format.rootExtraBits : 0)
                let slot = table &+ (address >> shift & (1 << bits - 1)) * UInt64(format.entryBytes)
                var place = slot
                if stage == .virtual {
                    guard let page = translateGuest(slot, .load, access, implicit: Self.implicitRead(format), memory) else { return nil }
                    place = page.physical
                }
                guard pmp.rights(place, bytes: format.entryBytes, mode: .supervisor).0.contains(.load),
                      let entry = near?.pointee.entry(at: place, bytes: format.entryBytes) ?? memory.read(place, width: format.entryBytes) else { return accessFault(access) }
                guard entry & PageTableEntry.valid != 0, entry & (PageTableEntry.read | PageTableEntry.write) != PageTableEntry.write,
                      isWellFormed(entry, environment) else { return fault() }
                if entry & PageTableEntry.global != 0 { isGlobal = true }
                let number = xlen == .rv32 ? entry >> 10 : entry >> 10 & 0xfff_ffff_ffff
                guard entry & (PageTableEntry.read | PageTableEntry.execute) != 0 else {
                    // A pointer to the next table.
                    let reserved = PageTableEntry.accessed | PageTableEntry.dirty | PageTableEntry.user | (xlen == .rv64 ? PageTableEntry.contiguous | PageTableEntry.memoryType : 0)
                    guard entry & reserved == 0 else { return fault() }
                    table = number << 12
                    level -= 1
                    continue
                }
                let rights = rights(entry, stage, access, isImplicit: implicit != nil)
                guard rights.contains(kind.right) else { return fault() }
                // A large page must be aligned; a contiguous one is 64 KiB.
                guard number & (1 << (format.indexBits * UInt64(level)) - 1) == 0 else { return fault() }
                var size: UInt64 = 1 << shift, base = number << 12
                if xlen == .rv64, entry & PageTableEntry.contiguous != 0 {
                    guard level == 0, number & 15 == 8 else { return fault() }
                    size = 65536
                    base = (number >> 4) << 16
                }
                let wanted = PageTableEntry.accessed | (kind == .store ? PageTableEntry.dirty : 0)
                if entry & wanted != wanted {
                    guard environment & EnvironmentConfiguration.updates != 0 else { return fault() }
                    if stage == .virtual {
                        guard translateGuest(slot, .store, access, implicit: Self.implicitWrite(format), memory) != nil else { return nil }
                    }
                    guard pmp.rights(place, bytes: format.entryBytes, mode: .supervisor).0.contains(.store) else { return accessFault(access) }
                    switch memory.compareAndSwap(place, entry, entry | wanted, width: format.entryBytes) {
                    case nil: return accessFault(access)
                    case false: continue retry
                    default: break
                    }
                }
                var allowed = rights
                if (entry | wanted) & PageTableEntry.dirty == 0 { allowed.remove(.store) }
                return PageTranslation(physical: base | address & (size - 1), size: size, rights: allowed, isGlobal: isGlobal)
            }
            return fault()
        }
        return fault()
    }

    /// Whether the bits above the page number are allowed to be as they are.
    private func isWellFormed(_ entry: UInt64, _ environment: UInt64) -> Bool {
        guard xlen == .rv64 else { return true }
        let type = entry & PageTableEntry.memoryType
        if type != 0 {
            guard configuration.hasSvpbmt, environment & EnvironmentConfiguration.pageTypes != 0, type != PageTableEntry.memoryType else { return false }
        }
        return entry & PageTableEntry.reserved == 0 && (configuration.hasSvnapot || entry & PageTableEntry.contiguous == 0)
    }

    /// What an access may do with a leaf.
    private func rights(_ entry: UInt64, _ stage: Stage, _ access: Access, isImplicit: Bool) -> AccessRights {
        var rights: AccessRights = []
        // MXR of HS mode counts for both stages, that of VS mode for its own.
        let mxr = !isImplicit && (mstatus | (stage == .virtual ? hypervisor.vsstatus : 0)) & MStatus.mxr != 0
        let isExecutable = entry & PageTableEntry.execute != 0
        if access.needsExecute && !isImplicit ? isExecutable : entry & PageTableEntry.read != 0 || mxr && isExecutable { rights.insert(.load) }
        if entry & PageTableEntry.write != 0 { rights.insert(.store) }
        if isExecutable { rights.insert(.fetch) }
        let isUserPage = entry & PageTableEntry.user != 0
        // All of the second stage is checked as for user mode.
        if stage == .guest || access.mode == .user { return isUserPage ? rights : [] }
        return isUserPage ? (access.sum ? rights.subtracting(.fetch) : []) : rights
    }

    /// Physical memory protection, at the end of every translation.
    private func checked(_ page: PageTranslation, _ access: Access) -> PageTranslation? {
        let (allowed, isWholePage) = pmp.rights(page.physical, bytes: access.bytes, mode: access.mode)
        guard allowed.contains(access.kind.right) else { return accessFault(access) }
        var size: UInt64 = 1
        if isWholePage {
            size = page.size <= 4096 || pmp.isUniform(page.physical, size: page.size) ? page.size : 4096
            if size < page.size { splitsPages = true }
        }
        return PageTranslation(physical: page.physical, size: size, rights: page.rights.intersection(allowed), isGlobal: page.isGlobal)
    }

    // MARK: faults

    private func pageFault(_ access: Access) -> PageTranslation? {
        record(access.kind == .fetch ? .fetchPage : access.kind == .load ? .loadPage : .storePage, access.address, isGuest: access.isVirtual)
        return nil
    }

    private func accessFault(_ access: Access) -> PageTranslation? {
        record(access.kind == .fetch ? .fetchAccess : access.kind == .load ? .loadAccess : .storeAccess, access.address, isGuest: access.isVirtual)
        return nil
    }

    private func guestFault(_ access: Access, _ guestAddress: UInt64, _ implicit: UInt64?) -> PageTranslation? {
        record(access.kind == .fetch ? .fetchGuestPage : access.kind == .load ? .loadGuestPage : .storeGuestPage, access.address, isGuest: true)
        recorded.guestAddress = guestAddress >> 2
        recorded.instruction = implicit
        return nil
    }

    /// The pseudoinstructions by which `htinst` names accesses to tables of the first stage.
    private static func implicitRead(_ format: TableFormat) -> UInt64 { format.entryBytes == 8 ? 0x3000 : 0x2000 }
    private static func implicitWrite(_ format: TableFormat) -> UInt64 { implicitRead(format) | 0x20 }

    /// Nothing answered at the physical address.
    func busError(_ address: UInt64, _ kind: AccessKind, index: Int) {
        record(kind == .fetch ? .fetchAccess : kind == .load ? .loadAccess : .storeAccess, address & xlen.mask, isGuest: MMUIndex.isVirtual(index))
    }

    /// Records an exception for `deliver`.
    func record(_ cause: ExceptionCause, _ value: UInt64, isGuest: Bool = false) {
        recorded = RecordedException(cause: cause, value: value, isGuest: isGuest)
        action = .exception
        vcpu[UInt64.self, StateHeader.faultAddress] = value
    }
}

/// An exception that a walk or a helper has found.
struct RecordedException {
    var cause = ExceptionCause.illegalInstruction
    var value: UInt64 = 0
    /// `value` is an address of a virtual machine (GVA).
    var isGuest = false
    /// For `mtval2` and `htval`: the guest physical address, shifted right by 2.
    var guestAddress: UInt64 = 0
    /// For `mtinst` and `htinst`, where it is not the trapping instruction.
    var instruction: UInt64?
}

extension AccessKind {
    var right: AccessRights { self == .load ? .load : self == .store ? .store : .fetch }
}
