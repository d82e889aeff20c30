// The functions of an ELF file by address: its symbol table, or its dynamic one where that was stripped off.

struct FunctionSymbol: Sendable {
    var start: UInt64
    var size: UInt64
    var name: String
}

struct SymbolTable: Sendable {
    /// Sorted by address, as the file has them.
    private(set) var functions: [FunctionSymbol] = []
    /// File offset, address and size of what is loaded.
    private(set) var segments: [(offset: UInt64, address: UInt64, size: UInt64)] = []

    /// Largest table that is read.
    private static let limit = 64 << 20

    init?(path: String) {
        guard let file = try? ProgramFile(reading: Array(path.utf8)), file.head.count >= 64, let identity = try? ELFImage.identify(file.head) else { return nil }
        let wide = identity.wordSize == 8
        func reader(_ offset: UInt64, _ count: Int) -> ByteReader? {
            file.bytes(offset, count).map { ByteReader($0, bigEndian: identity.bigEndian) }
        }
        guard let header = reader(0, wide ? 64 : 52), let programs = wide ? header.u64(32) : header.u32(28).map({ UInt64($0) }),
              let programCount = header.u16(wide ? 56 : 44), let sections = wide ? header.u64(40) : header.u32(32).map({ UInt64($0) }),
              let sectionCount = header.u16(wide ? 60 : 48) else { return nil }
        if let table = reader(programs, Int(programCount) * (wide ? 56 : 32)) {
            for index in 0 ..< Int(programCount) {
                let at = index * (wide ? 56 : 32)
                guard table.u32(at) == 1 else { continue }
                func word(_ wideOffset: Int, _ narrowOffset: Int) -> UInt64 {
                    wide ? table.u64(at + wideOffset) ?? 0 : UInt64(table.u32(at + narrowOffset) ?? 0)
                }
                segments.append((word(8, 4), word(16, 8), word(32, 16)))
            }
        }
        guard let table = reader(sections, Int(sectionCount) * (wide ? 64 : 40)) else { return }
        struct Section { var type: UInt32, offset: UInt64, size: UInt64, link: UInt32 }
        let all: [Section] = (0 ..< Int(sectionCount)).map { index in
            let at = index * (wide ? 64 : 40)
            return wide ? Section(type: table.u32(at + 4) ?? 0, offset: table.u64(at + 24) ?? 0, size: table.u64(at + 32) ?? 0, link: table.u32(at + 40) ?? 0)
                : Section(type: table.u32(at + 4) ?? 0, offset: UInt64(table.u32(at + 16) ?? 0), size: UInt64(table.u32(at + 20) ?? 0),
                          link: table.u32(at + 24) ?? 0)
        }
        // SHT_SYMTAB, else SHT_DYNSYM.
        guard let symbols = all.first(where: { $0.type == 2 }) ?? all.first(where: { $0.type == 11 }), symbols.size <= UInt64(Self.limit),
              all.indices.contains(Int(symbols.link)), all[Int(symbols.link)].size <= UInt64(Self.limit),
              let entries = reader(symbols.offset, Int(symbols.size)),
              let names = file.bytes(all[Int(symbols.link)].offset, Int(all[Int(symbols.link)].size)) else { return }
        let entrySize = wide ? 24 : 16
        for index in 0 ..< Int(symbols.size) / entrySize {
            let at = index * entrySize
            guard let name = entries.u32(at), let info = entries.u8(wide ? at + 4 : at + 12), info & 15 == 2 || info & 15 == 10,
                  let value = wide ? entries.u64(at + 8) : entries.u32(at + 4).map({ UInt64($0) }), value != 0,
                  let size = wide ? entries.u64(at + 16) : entries.u32(at + 8).map({ UInt64($0) }), Int(name) < names.count else { continue }
            let text = String(decoding: names[Int(name)...].prefix { $0 != 0 }, as: UTF8.self)
            functions.append(FunctionSymbol(start: value, size: size, name: text))
        }
        functions.sort { ($0.start, $1.name) < ($1.start, $0.name) }
    }

    /// The address as the file has it of what stands at `offset` in the file.
    func address(ofOffset offset: UInt64) -> UInt64? {
        segments.first { offset >= $0.offset && offset &- $0.offset < $0.size }.map { offset &- $0.offset &+ $0.address }
    }

    /// The function around `address`. One without a size reaches to the next.
    func function(at address: UInt64) -> FunctionSymbol? {
        var low = 0, high = functions.count
        while low < high {
            let middle = (low &+ high) / 2
            if functions[middle].start <= address { low = middle &+ 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let found = functions[low &- 1]
        return found.size == 0 || address &- found.start < found.size ? found : nil
    }
}

/// The functions of all files that a program has mapped.
final class ProgramSymbols {
    private struct Mapping {
        var range: Range<UInt64>
        var offset: UInt64
        var path: String
    }

    private let memory: GuestMemory
    private var mappings: [Mapping] = []
    private var tables: [String: SymbolTable?] = [:]
    private var known: [UInt64: String] = [:]

    init(_ memory: GuestMemory) { self.memory = memory }

    /// Reads again what is mapped.
    func refresh() {
        mappings = MemoryMapText(memory).files().map { Mapping(range: $0.range, offset: $0.offset, path: $0.path) }
    }

    /// `function` (`offset`: `function+0x10`), `file+0x123` where the file does not say, or the address.
    func name(at address: UInt64, offset: Bool = false) -> String {
        if !offset, let known = known[address] { return known }
        var mapping = mappings.first { $0.range.contains(address) }
        if mapping == nil {
            refresh()
            mapping = mappings.first { $0.range.contains(address) }
        }
        let text = self.text(address, mapping, offset)
        if !offset { known[address] = text }
        return text
    }

    private func text(_ address: UInt64, _ mapping: Mapping?, _ offset: Bool) -> String {
        func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
        guard let mapping else { return hex(address) }
        if tables[mapping.path] == nil { tables[mapping.path] = SymbolTable(path: mapping.path) }
        let inFile = address &- mapping.range.lowerBound &+ mapping.offset
        let file = mapping.path.split(separator: "/").last.map(String.init) ?? mapping.path
        guard let table = tables[mapping.path] ?? nil, let own = table.address(ofOffset: inFile) else { return file + "+" + hex(inFile) }
        guard let function = table.function(at: own) else { return file + "+" + hex(own) }
        return offset && own != function.start ? function.name + "+" + hex(own &- function.start) : function.name
    }
}
