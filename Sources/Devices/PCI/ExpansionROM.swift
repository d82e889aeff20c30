// What firmware of a card lies in: PCI 3.0, 6.2.5.2 (the register) and 6.3 (what is in it, which is firmware's business).

import Core

/// The file behind the expansion ROM base address register of a function.
public struct ExpansionROM {
    /// As large as the register says: a power of two.
    let block: RAMBlock
    /// The most bytes that a file may have.
    private static let limit = 1 << 31

    /// What every function on a PCI bus takes.
    public static let properties = [
        Property("romfile", .text, "file of the expansion ROM; empty: none"),
        Property("romsize", .size, "size of the expansion ROM, a power of two; default: that of the file, rounded up"),
        Property("rombar", .integer, "0: the guest does not see the expansion ROM", default: "1"),
    ]

    /// - Parameter read: the bytes of a file, by its path or by its name in the folders of firmware.
    /// - Returns: nil where no ROM is asked for.
    public init?(_ properties: Properties, read: (String) throws(ConfigurationError) -> [UInt8]) throws(ConfigurationError) {
        let name = properties.text("romfile") ?? "", wanted = properties.size("romsize")
        if let wanted, wanted & (wanted &- 1) != 0 || wanted > UInt64(Self.limit) {
            throw ConfigurationError("\(properties.owner): romsize: \(wanted) is not a power of two up to 2 GiB")
        }
        guard !name.isEmpty else { return nil }
        let bytes = try read(name)
        guard !bytes.isEmpty else { throw ConfigurationError("\(properties.owner): romfile '\(name)' is empty") }
        guard bytes.count <= Self.limit else { throw ConfigurationError("\(properties.owner): romfile '\(name)' is larger than 2 GiB") }
        if let wanted, wanted != 0, UInt64(bytes.count) > wanted {
            throw ConfigurationError("\(properties.owner): romfile '\(name)' has \(bytes.count) bytes, more than romsize")
        }
        guard properties.integer("rombar") != 0 else { return nil }
        var size = max(RAMBlock.pageBytes, wanted ?? 0)
        while size < bytes.count { size <<= 1 }
        do throws(MemoryError) {
            block = try RAMBlock(name: "\(properties.owner).rom", size: size)
        } catch {
            throw ConfigurationError("\(properties.owner): romfile: \(error)")
        }
        bytes.withUnsafeBytes { source in
            if let first = source.baseAddress { block.host.copyMemory(from: first, byteCount: source.count) }
        }
    }
}
