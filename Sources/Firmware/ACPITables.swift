// ACPI's tables in one piece (Advanced Configuration and Power Interface Specification 6.5, chapter 5), and the script by which
// firmware puts them into memory (QEMU's "fw_cfg" files etc/acpi/rsdp, etc/acpi/tables, etc/table-loader): addresses in tables are
// offsets until the script adds where their file came to lie; checksums are the script's, too.

/// Collects tables and the script.
public struct ACPITables {
    public private(set) var tables: [UInt8] = []
    public private(set) var root: [UInt8] = []
    /// Commands of the loader that come before and behind those for the tables.
    private var commands: [UInt8] = []
    private var offsets: [UInt64] = []
    private static let tableFile = "etc/acpi/tables", rootFile = "etc/acpi/rsdp"
    /// Room that firmware reserves, so that it does not depend on the machine.
    private static let tableRoom = 128 << 10
    private static let maker: [UInt8] = Array("BOCHS ".utf8)
    private static let zoneHigh: UInt8 = 1, zoneLow: UInt8 = 2

    public init() {
        commands += Self.allocate(Self.rootFile, alignment: 16, zone: Self.zoneLow)
        commands += Self.allocate(Self.tableFile, alignment: 64, zone: Self.zoneHigh)
    }

    /// Adds a table. - Parameters:
    ///   - pointers: places of its 64-bit addresses (offsets in the table), which hold offsets of other tables.
    ///   - isListed: the root table knows of it.
    /// - Returns: its offset.
    @discardableResult
    public mutating func add(_ signature: String, revision: UInt8, _ body: [UInt8], pointers: [Int] = [], isListed: Bool = true) -> UInt64 {
        let start = tables.count, size = 36 + body.count
        tables += Array(signature.utf8.prefix(4)) + AML.little(UInt32(truncatingIfNeeded: size)) + [revision, 0] + Self.maker + Array("BXPC    ".utf8)
        tables += AML.little(1 as UInt32) + Array("BXPC".utf8) + AML.little(1 as UInt32) + body
        for pointer in pointers { commands += Self.pointer(Self.tableFile, at: start + pointer) }
        commands += Self.checksum(Self.tableFile, at: start + 9, start, size)
        if isListed { offsets.append(UInt64(start)) }
        return UInt64(start)
    }

    /// The end: XSDT and RSDP. - Returns: the script; nil: there are more tables than fit.
    public mutating func finish() -> [UInt8]? {
        let list = add("XSDT", revision: 1, offsets.flatMap { AML.little($0) }, pointers: offsets.indices.map { 36 + $0 * 8 }, isListed: false)
        guard tables.count <= Self.tableRoom else { return nil }
        tables += [UInt8](repeating: 0, count: Self.tableRoom - tables.count)
        root = Array("RSD PTR ".utf8) + [0] + Self.maker + [2] + AML.little(0 as UInt32) + AML.little(36 as UInt32) + AML.little(list) + [0, 0, 0, 0]
        commands += Self.checksum(Self.rootFile, at: 8, 0, 20) + Self.pointer(Self.rootFile, at: 24) + Self.checksum(Self.rootFile, at: 32, 0, 36)
        return commands
    }

    // MARK: the loader's commands, 128 bytes each

    private static func padded(_ bytes: [UInt8], _ size: Int) -> [UInt8] { Array(bytes.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - bytes.count)) }
    private static func command(_ number: UInt32, _ file: String, _ rest: [UInt8]) -> [UInt8] { padded(AML.little(number) + padded(Array(file.utf8), 56) + rest, 128) }
    private static func allocate(_ file: String, alignment: UInt32, zone: UInt8) -> [UInt8] { command(1, file, AML.little(alignment) + [zone]) }
    /// Adds the address of the tables' file to 8 bytes.
    private static func pointer(_ file: String, at offset: Int) -> [UInt8] {
        command(2, file, padded(Array(tableFile.utf8), 56) + AML.little(UInt32(truncatingIfNeeded: offset)) + [8])
    }
    private static func checksum(_ file: String, at place: Int, _ start: Int, _ size: Int) -> [UInt8] {
        command(3, file, [place, start, size].flatMap { AML.little(UInt32(truncatingIfNeeded: $0)) })
    }
}
