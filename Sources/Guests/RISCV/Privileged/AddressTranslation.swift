// "Supervisor-Level ISA": page-based virtual memory, Sv32, Sv39, Sv48 and Sv57, with Svadu or Svade, Svnapot and Svpbmt.

import Core
import Translation

extension Hart {
    /// How the tables of a mode are made.
    private struct Format {
        var levels: Int
        var entryBytes: Int
        var indexBits: UInt64
        /// Bits of a virtual address; those above must equal the top one.
        var addressBits: UInt64
    }

    private func format(_ mode: UInt64) -> Format? {
        switch (xlen, mode) {
        case (.rv32, 1): Format(levels: 2, entryBytes: 4, indexBits: 10, addressBits: 32)
        case (.rv64, 8): Format(levels: 3, entryBytes: 8, indexBits: 9, addressBits: 39)
        case (.rv64, 9): Format(levels: 4, entryBytes: 8, indexBits: 9, addressBits: 48)
        case (.rv64, 10): Format(levels: 5, entryBytes: 8, indexBits: 9, addressBits: 57)
        default: nil
        }
    }

    private enum Entry {
        static let valid: UInt64 = 1, read: UInt64 = 2, write: UInt64 = 4, execute: UInt64 = 8, user: UInt64 = 16
        static let accessed: UInt64 = 64, dirty: UInt64 = 128
        static let contiguous: UInt64 = 1 << 63, memoryType: UInt64 = 3 << 61, reserved: UInt64 = 0x7f << 54
    }

    func translate(_ address: UInt64, _ kind: AccessKind, bytes: Int, index: Int, memory: AddressSpace) -> PageTranslation? {
        let mode: PrivilegeMode = index == MMUIndex.machine ? .machine : index == MMUIndex.user ? .user : .supervisor
        let translation = AddressTranslationRegister(bits: satp, xlen: xlen)
        guard mode != .machine, let format = format(translation.mode) else {
            return checked(address & xlen.mask, address, kind, bytes, mode, rights: [.load, .store, .fetch], size: 1 << 30)
        }
        if xlen == .rv64 {
            let sign = Int64(bitPattern: address) >> Int64(format.addressBits - 1)
            guard sign == 0 || sign == -1 else { return pageFault(address, kind) }
        }
        return walk(address, kind, bytes, mode, sum: index == MMUIndex.supervisorUser, format, root: translation.root, memory)
    }

    private func walk(_ address: UInt64, _ kind: AccessKind, _ bytes: Int, _ mode: PrivilegeMode, sum: Bool, _ format: Format,
                      root: UInt64, _ memory: AddressSpace) -> PageTranslation? {
        var table = root
        var level = format.levels - 1
        while level >= 0 {
            let shift = 12 + format.indexBits * UInt64(level)
            let place = table &+ (address >> shift & (1 << format.indexBits - 1)) * UInt64(format.entryBytes)
            guard pmp.rights(place, bytes: format.entryBytes, mode: .supervisor).0.contains(.load),
                  let entry = memory.read(place, width: format.entryBytes) else { return accessFault(address, kind) }
            guard entry & Entry.valid != 0, entry & (Entry.read | Entry.write) != Entry.write, isWellFormed(entry) else { return pageFault(address, kind) }
            let number = xlen == .rv32 ? entry >> 10 : entry >> 10 & 0xfff_ffff_ffff
            guard entry & (Entry.read | Entry.execute) != 0 else {
                // A pointer to the next table.
                let reserved = Entry.accessed | Entry.dirty | Entry.user | (xlen == .rv64 ? Entry.contiguous | Entry.memoryType : 0)
                guard entry & reserved == 0 else { return pageFault(address, kind) }
                table = number << 12
                level -= 1
                continue
            }
            guard let rights = rights(entry, mode, sum: sum), rights.contains(kind.right) else { return pageFault(address, kind) }
            // A large page must be aligned; a contiguous one is 64 KiB.
            guard number & (1 << (format.indexBits * UInt64(level)) - 1) == 0 else { return pageFault(address, kind) }
            var size: UInt64 = 1 << shift, base = number << 12
            if xlen == .rv64, entry & Entry.contiguous != 0 {
                guard configuration.hasSvnapot, level == 0, number & 15 == 8 else { return pageFault(address, kind) }
                size = 65536
                base = number >> 4 << 16
            }
            var allowed = rights
            let wanted = Entry.accessed | (kind == .store ? Entry.dirty : 0)
            if entry & wanted != wanted {
                guard menvcfg & EnvironmentConfiguration.updates != 0 else { return pageFault(address, kind) }
                guard pmp.rights(place, bytes: format.entryBytes, mode: .supervisor).0.contains(.store) else { return accessFault(address, kind) }
                switch memory.compareAndSwap(place, entry, entry | wanted, width: format.entryBytes) {
                case nil: return accessFault(address, kind)
                case false: return walk(address, kind, bytes, mode, sum: sum, format, root: root, memory)
                default: break
                }
            }
            if (entry | wanted) & Entry.dirty == 0 { allowed.remove(.store) }
            return checked(base | address & (size - 1), address, kind, bytes, mode, rights: allowed, size: size)
        }
        return pageFault(address, kind)
    }

    /// Whether the bits above the page number are allowed to be as they are.
    private func isWellFormed(_ entry: UInt64) -> Bool {
        guard xlen == .rv64 else { return true }
        let type = entry & Entry.memoryType
        if type != 0 {
            guard configuration.hasSvpbmt, menvcfg & EnvironmentConfiguration.pageTypes != 0, type != Entry.memoryType else { return false }
        }
        return entry & Entry.reserved == 0 && (configuration.hasSvnapot || entry & Entry.contiguous == 0)
    }

    /// What `mode` may do with a leaf; nil: nothing at all.
    private func rights(_ entry: UInt64, _ mode: PrivilegeMode, sum: Bool) -> AccessRights? {
        var rights: AccessRights = []
        if entry & Entry.read != 0 || mstatus & MStatus.mxr != 0 && entry & Entry.execute != 0 { rights.insert(.load) }
        if entry & Entry.write != 0 { rights.insert(.store) }
        if entry & Entry.execute != 0 { rights.insert(.fetch) }
        if entry & Entry.user != 0 {
            if mode == .user { return rights }
            return sum ? rights.subtracting(.fetch) : nil
        }
        return mode == .user ? nil : rights
    }

    /// Physical memory protection, at the end of every translation.
    private func checked(_ physical: UInt64, _ address: UInt64, _ kind: AccessKind, _ bytes: Int, _ mode: PrivilegeMode,
                         rights: AccessRights, size: UInt64) -> PageTranslation? {
        let (allowed, isWholePage) = pmp.rights(physical, bytes: bytes, mode: mode)
        guard allowed.contains(kind.right) else { return accessFault(address, kind) }
        // What PMP allows may differ from page to page.
        return PageTranslation(physical: physical, size: isWholePage ? min(size, 4096) : 1, rights: rights.intersection(allowed))
    }

    private func pageFault(_ address: UInt64, _ kind: AccessKind) -> PageTranslation? {
        record(kind == .fetch ? .fetchPage : kind == .load ? .loadPage : .storePage, address)
        return nil
    }

    @discardableResult
    func accessFault(_ address: UInt64, _ kind: AccessKind) -> PageTranslation? {
        record(kind == .fetch ? .fetchAccess : kind == .load ? .loadAccess : .storeAccess, address)
        return nil
    }

    /// Records an exception for `deliver`.
    func record(_ cause: ExceptionCause, _ value: UInt64) {
        recordedCause = cause
        recordedValue = value
        action = .exception
        vcpu[UInt64.self, StateHeader.faultAddress] = value
    }
}

extension AccessKind {
    var right: AccessRights { self == .load ? .load : self == .store ? .store : .fetch }
}
