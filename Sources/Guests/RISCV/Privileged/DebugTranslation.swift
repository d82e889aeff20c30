// Address translation for debuggers: the tables of both stages are read, rights do not matter, nothing is changed or recorded.

import Core
import Translation

extension Hart {
    /// The physical address that data accesses at virtual `address` go to now; nil: nothing is mapped there.
    func physicalAddress(_ address: UInt64, memory: AddressSpace) -> UInt64? {
        let index = dataIndex
        let address = address & xlen.mask
        guard MMUIndex.mode(index) != .machine else { return address }
        let isVirtual = MMUIndex.isVirtual(index)
        let register = AddressTranslationRegister(bits: isVirtual ? hypervisor.vsatp : satp, xlen: xlen)
        var physical = address
        if let format = TableFormat(xlen, register.mode, isVirtual ? .virtual : .supervisor) {
            if xlen == .rv64 {
                let sign = Int64(bitPattern: address) >> Int64(format.addressBits - 1)
                guard sign == 0 || sign == -1 else { return nil }
            }
            guard let found = look(address, format, root: register.root, memory, table: { isVirtual ? guestPhysical($0, memory) : $0 }) else { return nil }
            physical = found
        }
        return isVirtual ? guestPhysical(physical, memory) : physical
    }

    private func guestPhysical(_ address: UInt64, _ memory: AddressSpace) -> UInt64? {
        let register = AddressTranslationRegister(bits: hypervisor.hgatp, xlen: xlen)
        guard let format = TableFormat(xlen, register.mode, .guest) else { return address }
        guard address >> format.addressBits == 0 else { return nil }
        return look(address, format, root: register.root & ~0x3fff, memory, table: { $0 })
    }

    private func look(_ address: UInt64, _ format: TableFormat, root: UInt64, _ memory: AddressSpace, table place: (UInt64) -> UInt64?) -> UInt64? {
        var table = root
        for level in (0 ..< format.levels).reversed() {
            let shift = 12 + format.indexBits * UInt64(level)
            let bits = format.indexBits + (level == format.levels - 1 ? format.rootExtraBits : 0)
            let slot = table &+ (address >> shift & (1 << bits - 1)) * UInt64(format.entryBytes)
            // Tables in devices are not read.
            guard let physical = place(slot), memory.memory(at: physical) != nil, let entry = memory.read(physical, width: format.entryBytes),
                  entry & PageTableEntry.valid != 0 else { return nil }
            let number = xlen == .rv32 ? entry >> 10 : entry >> 10 & 0xfff_ffff_ffff
            guard entry & (PageTableEntry.read | PageTableEntry.execute) != 0 else {
                table = number << 12
                continue
            }
            if xlen == .rv64, entry & PageTableEntry.contiguous != 0 { return (number >> 4) << 16 | address & 0xffff }
            let inside: UInt64 = 1 << shift - 1
            return (number << 12) & ~inside | address & inside
        }
        return nil
    }
}
