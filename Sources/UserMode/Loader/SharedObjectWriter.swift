/// Writes a small ELF shared object that holds code and versioned function symbols: what a vDSO is. By the gABI
/// (ELF header, program header, dynamic section, hash table) and the LSB (symbol versions); either class and byte order.
///
/// Everything lies in one read-only executable segment at address 0, so that file offsets are addresses.
package struct SharedObjectWriter: Sendable {
    package struct Symbol: Sendable {
        package var name: String
        /// Offset and size in the code.
        package var offset: Int
        package var size: Int
        package init(name: String, offset: Int, size: Int) {
            self.name = name
            self.offset = offset
            self.size = size
        }
    }

    package var model: DataModel
    package var machine: UInt16
    package var flags: UInt32
    package var name: String
    /// The version of all symbols.
    package var version: String
    package var code: [UInt8]
    package var symbols: [Symbol]

    package init(model: DataModel, machine: UInt16, flags: UInt32, name: String, version: String, code: [UInt8],
                 symbols: [Symbol]) {
        self.model = model
        self.machine = machine
        self.flags = flags
        self.name = name
        self.version = version
        self.code = code
        self.symbols = symbols
    }

    private struct Section {
        var name: String
        var type: UInt32, flags: UInt64
        var offset: Int, size: Int
        var link: UInt32 = 0, info: UInt32 = 0
        var alignment: Int, entrySize: Int = 0
    }

    /// The file's bytes, and where the code begins in them.
    package func write() -> (bytes: [UInt8], codeOffset: Int) {
        let wide = model.wordSize == 8
        let headerSize = wide ? 64 : 52, programHeaderSize = wide ? 56 : 32, sectionHeaderSize = wide ? 64 : 40
        let symbolSize = wide ? 24 : 16, dynamicCount = 10

        var strings = StringTable()
        let soname = strings.add(name), versionName = strings.add(version)
        let names = symbols.map { strings.add($0.name) }

        // Sizes first, so that every offset is known before anything is written.
        var at = headerSize &+ 2 &* programHeaderSize
        func place(_ size: Int, _ alignment: Int) -> Int {
            at = (at &+ alignment &- 1) / alignment &* alignment
            defer { at = at &+ size }
            return at
        }
        let hashSize = 4 &* (2 &+ 1 &+ symbols.count &+ 1)
        let hash = place(hashSize, model.wordSize)
        let symbolTable = place(symbolSize &* (symbols.count &+ 1), model.wordSize)
        let stringTable = place(strings.bytes.count, 1)
        let versions = place(2 &* (symbols.count &+ 1), 2)
        let definitions = place(2 &* 28, 4)
        let dynamic = place(dynamicCount &* 2 &* model.wordSize, model.wordSize)
        let text = place(code.count, 16)

        var sectionNames = StringTable()
        let sections = [
            Section(name: "", type: 0, flags: 0, offset: 0, size: 0, alignment: 0),
            Section(name: ".hash", type: 5, flags: 2, offset: hash, size: hashSize, link: 2, alignment: model.wordSize, entrySize: 4),
            Section(name: ".dynsym", type: 11, flags: 2, offset: symbolTable, size: symbolSize &* (symbols.count &+ 1), link: 3,
                    info: 1, alignment: model.wordSize, entrySize: symbolSize),
            Section(name: ".dynstr", type: 3, flags: 2, offset: stringTable, size: strings.bytes.count, alignment: 1),
            Section(name: ".gnu.version", type: 0x6fff_ffff, flags: 2, offset: versions, size: 2 &* (symbols.count &+ 1), link: 2,
                    alignment: 2, entrySize: 2),
            Section(name: ".gnu.version_d", type: 0x6fff_fffd, flags: 2, offset: definitions, size: 56, link: 3, info: 2,
                    alignment: 4),
            Section(name: ".dynamic", type: 6, flags: 2, offset: dynamic, size: dynamicCount &* 2 &* model.wordSize, link: 3,
                    alignment: model.wordSize, entrySize: 2 &* model.wordSize),
            Section(name: ".text", type: 1, flags: 6, offset: text, size: code.count, alignment: 16),
        ]
        let indices = sections.map { sectionNames.add($0.name) } + [sectionNames.add(".shstrtab")]
        let loaded = text &+ code.count
        let namesOffset = loaded
        let sectionHeaders = (loaded &+ sectionNames.bytes.count &+ 7) & ~7

        var out = ByteWriter(bigEndian: model.bigEndian)
        func pad(to offset: Int) { while out.bytes.count < offset { out.u8(0) } }
        func word(_ value: Int) { out.append(UInt64(truncatingIfNeeded: value), size: model.wordSize) }

        out.append([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, model.bigEndian ? 2 : 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        out.u16(3)
        out.u16(machine)
        out.u32(1)
        word(0)
        word(headerSize)
        word(sectionHeaders)
        out.u32(flags)
        for value in [headerSize, programHeaderSize, 2, sectionHeaderSize, sections.count &+ 1, sections.count] {
            out.u16(UInt16(truncatingIfNeeded: value))
        }
        // PT_LOAD r-x, PT_DYNAMIC r--.
        let dynamicSize = dynamicCount &* 2 &* model.wordSize
        for (type, flags, offset, size, alignment) in [(1, 5, 0, loaded, 4096), (2, 4, dynamic, dynamicSize, model.wordSize)] {
            out.u32(UInt32(type))
            if wide { out.u32(UInt32(flags)) }
            word(offset); word(offset); word(offset); word(size); word(size)
            if !wide { out.u32(UInt32(flags)) }
            word(alignment)
        }
        // One bucket: the chain is the whole table.
        pad(to: hash)
        out.u32(1)
        out.u32(UInt32(truncatingIfNeeded: symbols.count &+ 1))
        out.u32(symbols.isEmpty ? 0 : 1)
        out.u32(0)
        for i in symbols.indices { out.u32(i == symbols.count &- 1 ? 0 : UInt32(truncatingIfNeeded: i &+ 2)) }
        pad(to: symbolTable &+ symbolSize)
        for (i, symbol) in symbols.enumerated() {
            // STB_GLOBAL, STT_FUNC, section 7 (.text).
            let address = text &+ symbol.offset
            out.u32(UInt32(truncatingIfNeeded: names[i]))
            if wide {
                out.u8(0x12); out.u8(0); out.u16(7)
                word(address); word(symbol.size)
            } else {
                word(address); word(symbol.size)
                out.u8(0x12); out.u8(0); out.u16(7)
            }
        }
        pad(to: stringTable)
        out.append(strings.bytes)
        pad(to: versions)
        out.u16(0)
        for _ in symbols { out.u16(2) }
        pad(to: definitions)
        for (index, name, text) in [(1, soname, self.name), (2, versionName, version)] {
            out.u16(1)
            out.u16(index == 1 ? 1 : 0)
            out.u16(UInt16(index))
            out.u16(1)
            out.u32(SharedObjectWriter.hash(text))
            out.u32(20)
            out.u32(index == 1 ? 28 : 0)
            out.u32(UInt32(truncatingIfNeeded: name))
            out.u32(0)
        }
        pad(to: dynamic)
        // SONAME, HASH, STRTAB, SYMTAB, STRSZ, SYMENT, VERSYM, VERDEF, VERDEFNUM, NULL
        let entries = [(14, soname), (4, hash), (5, stringTable), (6, symbolTable), (10, strings.bytes.count), (11, symbolSize),
                       (0x6fff_fff0, versions), (0x6fff_fffc, definitions), (0x6fff_fffd, 2), (0, 0)]
        for (tag, value) in entries { word(tag); word(value) }
        pad(to: text)
        out.append(code)

        out.append(sectionNames.bytes)
        pad(to: sectionHeaders)
        let last = Section(name: ".shstrtab", type: 3, flags: 0, offset: namesOffset, size: sectionNames.bytes.count, alignment: 1)
        for (i, section) in (sections + [last]).enumerated() {
            out.u32(UInt32(truncatingIfNeeded: indices[i]))
            out.u32(section.type)
            word(Int(section.flags))
            word(section.flags & 2 != 0 ? section.offset : 0)
            word(section.offset)
            word(section.size)
            out.u32(section.link)
            out.u32(section.info)
            word(section.alignment)
            word(section.entrySize)
        }
        return (out.bytes, text)
    }

    /// The gABI's symbol hash.
    package static func hash(_ name: String) -> UInt32 {
        var h: UInt32 = 0
        for byte in name.utf8 {
            h = (h &<< 4) &+ UInt32(byte)
            let high = h & 0xf000_0000
            h = (h ^ high &>> 24) & ~high
        }
        return h
    }

    private struct StringTable {
        var bytes: [UInt8] = [0]
        mutating func add(_ text: String) -> Int {
            if text.isEmpty { return 0 }
            defer { bytes += Array(text.utf8) + [0] }
            return bytes.count
        }
    }
}
