/// An ELF program as its headers describe it, every value checked: System V ABI, chapters 4 and 5 (gABI, ELF header and
/// program loading). Both classes and byte orders. Sections are not looked at.
package struct ELFImage: Sendable, Equatable {
    /// What `e_ident` says: enough to choose a guest.
    package struct Identity: Sendable, Equatable {
        package var wordSize: Int
        package var bigEndian: Bool
        package var machine: UInt16
        package var flags: UInt32
        package init(wordSize: Int, bigEndian: Bool, machine: UInt16, flags: UInt32 = 0) {
            self.wordSize = wordSize
            self.bigEndian = bigEndian
            self.machine = machine
            self.flags = flags
        }
    }

    /// A PT_LOAD segment. `fileSize <= memorySize`; the addresses do not wrap; the file part lies inside the file.
    package struct Segment: Sendable, Equatable {
        /// Its place in the program header table, for messages.
        package var index: Int
        package var offset: UInt64
        package var address: UInt64
        package var fileSize: UInt64
        package var memorySize: UInt64
        /// PF_X 1, PF_W 2, PF_R 4.
        package var flags: UInt32
        package var end: UInt64 { address &+ memorySize }
    }

    package var identity: Identity
    /// ET_DYN: its addresses are relative.
    package var isPositionIndependent: Bool
    package var entry: UInt64
    package var segments: [Segment] = []
    /// PT_INTERP's path without its NUL.
    package var interpreter: [UInt8]?
    /// PT_GNU_STACK with PF_X.
    package var executableStack = false
    package var programHeaderCount: Int
    package var programHeaderSize: Int
    /// Where the program headers are in memory, relative to the load bias: PT_PHDR, or the segment that holds them.
    package var programHeaderAddress: UInt64 = 0
    /// The pages that all segments span, and the largest alignment asked for.
    package var low: UInt64 = 0
    package var high: UInt64 = 0
    package var alignment: UInt64 = 4096

    private static let load: UInt32 = 1, interp: UInt32 = 3, phdr: UInt32 = 6, gnuStack: UInt32 = 0x6474_e551
    private static let page: UInt64 = 4096
    /// As Linux: the table must fit in 64 KiB.
    private static let tableLimit = 65536

    /// Reads the first 20 bytes or so of a file: class, byte order, machine.
    package static func identify(_ header: [UInt8]) throws(ELFError) -> Identity {
        guard header.count >= 4, header[0] == 0x7f, header[1] == 0x45, header[2] == 0x4c, header[3] == 0x46 else {
            throw .notELF
        }
        guard header.count >= 20 else { throw .truncatedHeader }
        guard header[4] == 1 || header[4] == 2 else { throw .unsupportedClass(header[4]) }
        guard header[5] == 1 || header[5] == 2 else { throw .unsupportedByteOrder(header[5]) }
        guard header[6] == 1 else { throw .unsupportedVersion }
        let wide = header[4] == 2
        let reader = ByteReader(header, bigEndian: header[5] == 2)
        guard let machine = reader.u16(18), let flags = reader.u32(wide ? 48 : 36) else { throw .truncatedHeader }
        return Identity(wordSize: wide ? 8 : 4, bigEndian: header[5] == 2, machine: machine, flags: flags)
    }

    /// Reads and checks the headers.
    /// - Parameters:
    ///   - header: the file's first bytes, as many as there are up to 64 or more.
    ///   - fileSize: the file's length.
    ///   - limit: the first address programs cannot use.
    ///   - fetch: `count` bytes of the file from an offset, or nil if they are not there.
    package init(header: [UInt8], fileSize: UInt64, limit: UInt64,
                 fetch: (_ offset: UInt64, _ count: Int) -> [UInt8]?) throws(ELFError) {
        identity = try ELFImage.identify(header)
        let wide = identity.wordSize == 8
        let word = identity.wordSize
        let reader = ByteReader(header, bigEndian: identity.bigEndian)
        guard header.count >= (wide ? 64 : 52),
              let type = reader.u16(16), let version = reader.u32(20), let entry = reader.integer(24, word),
              let tableOffset = reader.integer(24 &+ word, word),
              let entrySize = reader.u16(wide ? 54 : 42), let count = reader.u16(wide ? 56 : 44)
        else { throw .truncatedHeader }
        guard version == 1 else { throw .unsupportedVersion }
        guard type == 2 || type == 3 else { throw .notExecutable(type: type) }
        isPositionIndependent = type == 3
        self.entry = entry
        guard count > 0 else { throw .noProgramHeaders }
        guard entrySize == (wide ? 56 : 32) else { throw .programHeaderSize(entrySize) }
        programHeaderCount = Int(count)
        programHeaderSize = Int(entrySize)
        let tableSize = programHeaderCount &* programHeaderSize
        guard tableSize <= ELFImage.tableLimit else { throw .tooManyProgramHeaders(programHeaderCount) }
        guard tableOffset <= fileSize, UInt64(tableSize) <= fileSize &- tableOffset,
              let table = fetch(tableOffset, tableSize), table.count == tableSize
        else { throw .programHeadersOutsideFile }

        let rows = ByteReader(table, bigEndian: identity.bigEndian)
        var headerAddress: UInt64?
        for index in 0..<programHeaderCount {
            guard let row = Row(rows, index &* programHeaderSize, wide: wide) else { throw .programHeadersOutsideFile }
            switch row.type {
            case ELFImage.load:
                guard let segment = try ELFImage.segment(row, index, fileSize: fileSize, limit: limit) else { continue }
                segments.append(segment)
                if row.alignment > alignment { alignment = row.alignment }
                if headerAddress == nil, row.offset <= tableOffset, tableOffset &- row.offset <= row.fileSize,
                   row.fileSize &- (tableOffset &- row.offset) >= UInt64(tableSize) {
                    headerAddress = row.address &+ (tableOffset &- row.offset)
                }
            case ELFImage.interp:
                guard interpreter == nil else { throw .severalInterpreters }
                interpreter = try ELFImage.interpreterName(row, fileSize: fileSize, fetch: fetch)
            case ELFImage.phdr: programHeaderAddress = row.address
            case ELFImage.gnuStack: executableStack = row.flags & 1 != 0
            default: break
            }
        }
        if let headerAddress { programHeaderAddress = headerAddress }
        guard let first = segments.first else { throw .noLoadableSegment }
        low = first.address & ~(ELFImage.page &- 1)
        for segment in segments {
            low = min(low, segment.address & ~(ELFImage.page &- 1))
            high = max(high, (segment.end &+ ELFImage.page &- 1) & ~(ELFImage.page &- 1))
        }
        // The kernel would let it fault at its first instruction; a line of text says more.
        guard segments.contains(where: { entry >= $0.address && entry < $0.end }) || entry == 0 && isPositionIndependent else {
            throw .entryOutsideSegments
        }
    }

    /// One row of the program header table.
    private struct Row {
        var type: UInt32, flags: UInt32
        var offset: UInt64, address: UInt64, fileSize: UInt64, memorySize: UInt64, alignment: UInt64

        init?(_ rows: ByteReader, _ at: Int, wide: Bool) {
            let word = wide ? 8 : 4
            guard let type = rows.u32(at), let flags = rows.u32(at &+ (wide ? 4 : 24)),
                  let offset = rows.integer(at &+ (wide ? 8 : 4), word),
                  let address = rows.integer(at &+ (wide ? 16 : 8), word),
                  let fileSize = rows.integer(at &+ (wide ? 32 : 16), word),
                  let memorySize = rows.integer(at &+ (wide ? 40 : 20), word),
                  let alignment = rows.integer(at &+ (wide ? 48 : 28), word) else { return nil }
            self.type = type
            self.flags = flags
            self.offset = offset
            self.address = address
            self.fileSize = fileSize
            self.memorySize = memorySize
            self.alignment = alignment
        }
    }

    /// The checked segment of a PT_LOAD row; nil if it is empty.
    private static func segment(_ row: Row, _ index: Int, fileSize: UInt64, limit: UInt64) throws(ELFError) -> Segment? {
        guard row.fileSize <= row.memorySize else { throw .segmentSizes(index) }
        guard row.memorySize > 0 else { return nil }
        guard row.address < limit, row.memorySize <= limit &- row.address, limit &- row.address &- row.memorySize >= page else {
            throw .segmentAddress(index)
        }
        guard row.alignment & (row.alignment &- 1) == 0 || row.alignment == 0, row.alignment <= 1 << 30 else {
            throw .segmentAlignment(index)
        }
        if row.fileSize > 0 {
            guard row.offset <= fileSize, row.fileSize <= fileSize &- row.offset else { throw .segmentOutsideFile(index) }
            guard (row.offset ^ row.address) & (page &- 1) == 0 else { throw .segmentOffset(index) }
        }
        return Segment(index: index, offset: row.offset, address: row.address, fileSize: row.fileSize,
                       memorySize: row.memorySize, flags: row.flags)
    }

    private static func interpreterName(_ row: Row, fileSize: UInt64,
                                        fetch: (UInt64, Int) -> [UInt8]?) throws(ELFError) -> [UInt8] {
        guard row.fileSize >= 2, row.fileSize <= 4096, row.offset <= fileSize, row.fileSize <= fileSize &- row.offset,
              let name = fetch(row.offset, Int(row.fileSize)), name.count == Int(row.fileSize), name.last == 0,
              let end = name.firstIndex(of: 0), end > 0
        else { throw .interpreterName }
        return Array(name[..<end])
    }
}
