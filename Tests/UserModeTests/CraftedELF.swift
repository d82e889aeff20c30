import UserMode

/// ELF files made for tests: correct unless a test spoils them.
struct CraftedELF {
    struct Header {
        var type: UInt32 = 1
        var flags: UInt32 = 5
        var offset: UInt64 = 0
        var address: UInt64 = 0x10000
        var fileSize: UInt64 = 0x200
        var memorySize: UInt64 = 0x200
        var alignment: UInt64 = 0x1000
    }

    var wordSize = 8
    var bigEndian = false
    var type: UInt16 = 2
    var machine: UInt16 = 243
    var entry: UInt64 = 0x10100
    var headers = [Header()]
    /// What follows the headers, from offset 0x200 on.
    var body: [UInt8] = []
    var headerSize: UInt16?
    var headerCount: UInt16?
    var tableOffset: UInt64?

    var bytes: [UInt8] {
        let wide = wordSize == 8
        var out = ByteWriter(bigEndian: bigEndian)
        out.append([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, bigEndian ? 2 : 1, 1] + [UInt8](repeating: 0, count: 9))
        out.u16(type)
        out.u16(machine)
        out.u32(1)
        out.append(entry, size: wordSize)
        out.append(tableOffset ?? (wide ? 64 : 52), size: wordSize)
        out.append(0, size: wordSize)
        out.u32(5)
        out.u16(wide ? 64 : 52)
        out.u16(headerSize ?? (wide ? 56 : 32))
        out.u16(headerCount ?? UInt16(headers.count))
        out.u16(0)
        out.u16(0)
        out.u16(0)
        for header in headers {
            out.u32(header.type)
            if wide { out.u32(header.flags) }
            for value in [header.offset, header.address, header.address, header.fileSize, header.memorySize] {
                out.append(value, size: wordSize)
            }
            if !wide { out.u32(header.flags) }
            out.append(header.alignment, size: wordSize)
        }
        while out.bytes.count < 0x200 { out.u8(0) }
        return out.bytes + body
    }

    static let limit: UInt64 = 0x40_0000_0000

    /// What the parser makes of `bytes`.
    static func parse(_ bytes: [UInt8]) throws(ELFError) -> ELFImage {
        try ELFImage(header: Array(bytes.prefix(256)), fileSize: UInt64(bytes.count), limit: limit) { offset, count in
            guard count >= 0, offset <= UInt64(bytes.count), UInt64(count) <= UInt64(bytes.count) - offset else { return nil }
            return Array(bytes[Int(offset)..<Int(offset) + count])
        }
    }

    func error() -> ELFError? {
        do {
            _ = try CraftedELF.parse(bytes)
            return nil
        } catch { return error }
    }
}
