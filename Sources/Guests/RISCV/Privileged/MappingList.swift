// `info mem`: what the page tables of `satp` map, neighbours of like rights together, as QEMU prints it for RISC-V.

import Core
import Translation

extension RISCVMachineGuest {
    public func describeMappings(of vcpu: VCPU, memory: AddressSpace) -> String {
        guard let hart = Hart.of(vcpu.state) else { return "" }
        let register = AddressTranslationRegister(bits: hart.satp, xlen: hart.xlen)
        guard hart.configuration.addressBits > 0, let format = TableFormat(hart.xlen, register.mode, .supervisor) else { return "No translation or protection\n" }
        var list = MappingList(format: format, isWide: hart.xlen == .rv64, memory: memory)
        list.walk(register.root, level: format.levels - 1, virtual: 0)
        return list.finish()
    }
}

private struct MappingList {
    let format: TableFormat
    let isWide: Bool
    let memory: AddressSpace
    private var text: String
    private var run: (virtual: UInt64, physical: UInt64, size: UInt64, attributes: UInt64)?
    /// Tables of a guest may point at each other: the walk ends somewhere.
    private var budget = 1 << 20

    private static let letters: [(UInt64, String)] = [
        (PageTableEntry.read, "r"), (PageTableEntry.write, "w"), (PageTableEntry.execute, "x"), (PageTableEntry.user, "u"), (1 << 5, "g"), (PageTableEntry.accessed, "a"), (PageTableEntry.dirty, "d"),
    ]

    init(format: TableFormat, isWide: Bool, memory: AddressSpace) {
        (self.format, self.isWide, self.memory) = (format, isWide, memory)
        let dashes = String(repeating: "-", count: 16)
        text = isWide ? "vaddr            paddr            size             attr\n\(dashes) \(dashes) \(dashes) -------\n"
            : "vaddr    paddr            size     attr\n-------- \(dashes) -------- -------\n"
    }

    mutating func walk(_ table: UInt64, level: Int, virtual: UInt64) {
        guard level >= 0 else { return }
        let shift = 12 + format.indexBits * UInt64(level), count = 1 << Int(format.indexBits)
        for index in 0 ..< UInt64(count) {
            guard budget > 0 else { return }
            budget -= 1
            let place = table &+ index * UInt64(format.entryBytes)
            guard memory.memory(at: place) != nil, let entry = memory.read(place, width: format.entryBytes), entry & PageTableEntry.valid != 0 else { continue }
            let number = isWide ? entry >> 10 & 0xfff_ffff_ffff : entry >> 10
            var address = virtual | index << shift
            // Addresses above the middle are negative.
            if isWide, address >> (format.addressBits - 1) & 1 != 0 { address |= ~0 << format.addressBits }
            if entry & (PageTableEntry.read | PageTableEntry.write | PageTableEntry.execute) == 0 {
                walk(number << 12, level: level - 1, virtual: address)
            } else {
                add(address, number << 12, 1 << shift, entry & 0xff)
            }
        }
    }

    private mutating func add(_ virtual: UInt64, _ physical: UInt64, _ size: UInt64, _ attributes: UInt64) {
        if let last = run, last.attributes == attributes, virtual == last.virtual &+ last.size, physical == last.physical &+ last.size {
            run?.size &+= size
        } else {
            flush()
            run = (virtual, physical, size, attributes)
        }
    }

    private mutating func flush() {
        guard let last = run else { return }
        func hex(_ value: UInt64, _ digits: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        let width = isWide ? 16 : 8
        text += "\(hex(last.virtual, width)) \(hex(last.physical, 16)) \(hex(last.size, width)) " + Self.letters.map { last.attributes & $0.0 != 0 ? $0.1 : "-" }.joined() + "\n"
        run = nil
    }

    mutating func finish() -> String {
        flush()
        if budget == 0 { text += "(the tables have more entries than are shown)\n" }
        return text
    }
}
