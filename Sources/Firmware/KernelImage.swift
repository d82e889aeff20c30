// Firmware and kernels as files: what form they are in and where their parts go. ELF executables, and flat images: plain,
// Linux's Image with its header (RISC-V: "Boot image header in RISC-V Linux"), gzip and the kernel's EFI zboot packing, both of
// which the caller unpacks.

import Core

/// A program laid out in memory.
public struct LoadedImage: Sendable {
    public struct Part: Sendable {
        public var address: UInt64
        public var bytes: ArraySlice<UInt8>
        /// Bytes in memory; those beyond `bytes` are 0.
        public var size: UInt64

        public init(address: UInt64, bytes: ArraySlice<UInt8>, size: UInt64) {
            self.address = address
            self.bytes = bytes
            self.size = size
        }
    }
    public var parts: [Part]
    public var entry: UInt64
    /// Whether it is ELF of 64 bits; nil: a flat image.
    public var is64Bit: Bool?

    public init(parts: [Part], entry: UInt64, is64Bit: Bool? = nil) {
        self.parts = parts
        self.entry = entry
        self.is64Bit = is64Bit
    }

    /// The address behind the last byte.
    public var end: UInt64 { parts.map { $0.address &+ $0.size }.max() ?? entry }
}

public struct ImageError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

public enum KernelImage {
    /// How a file is packed.
    public enum Packing: Equatable { case plain, gzip, zboot(offset: Int, size: Int, kind: String) }

    public static func packing(of bytes: [UInt8]) -> Packing {
        if bytes.count > 18, bytes[0] == 0x1f, bytes[1] == 0x8b { return .gzip }
        // EFI zboot: "MZ", then "zimg" at 4, payload offset and size at 8, the kind of compression at 24.
        if bytes.count > 64, bytes[0] == UInt8(ascii: "M"), bytes[1] == UInt8(ascii: "Z"), Array(bytes[4 ..< 8]) == Array("zimg".utf8) {
            let kind = String(decoding: bytes[24 ..< 56].prefix { $0 != 0 }, as: UTF8.self)
            return .zboot(offset: Int(little32(bytes, 8)), size: Int(little32(bytes, 12)), kind: kind)
        }
        return .plain
    }

    /// Lays out an unpacked file. - Parameters:
    ///   - address: where a flat image goes.
    ///   - machine: the ELF machine number that is expected.
    public static func load(_ bytes: [UInt8], at address: UInt64, machine: UInt16, name: String) throws(ImageError) -> LoadedImage {
        if bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) { return try loadELF(bytes, machine: machine, name: name) }
        guard !bytes.isEmpty else { throw ImageError("'\(name)' is empty") }
        var size = UInt64(bytes.count)
        // Linux's header says how much memory the image needs, with its zeroed data.
        if bytes.count >= 64, little32(bytes, 56) == 0x0543_5352 { size = max(size, min(little64(bytes, 16), 1 << 30)) }
        return LoadedImage(parts: [LoadedImage.Part(address: address, bytes: bytes[...], size: size)], entry: address)
    }

    private static func loadELF(_ bytes: [UInt8], machine: UInt16, name: String) throws(ImageError) -> LoadedImage {
        guard bytes.count >= 52, bytes[4] == 1 || bytes[4] == 2, bytes[5] == 1 else { throw ImageError("'\(name)': not a little-endian ELF file") }
        let is64 = bytes[4] == 2
        guard !is64 || bytes.count >= 64 else { throw ImageError("'\(name)': the ELF header is cut off") }
        guard little16(bytes, 18) == machine else { throw ImageError("'\(name)': ELF file for another machine (\(little16(bytes, 18)), expected \(machine))") }
        let entry = is64 ? little64(bytes, 24) : UInt64(little32(bytes, 24))
        let tableAt = is64 ? little64(bytes, 32) : UInt64(little32(bytes, 28))
        let entrySize = UInt64(little16(bytes, is64 ? 54 : 42)), count = UInt64(little16(bytes, is64 ? 56 : 44))
        guard entrySize >= (is64 ? 56 : 32), tableAt <= UInt64(bytes.count), count * entrySize <= UInt64(bytes.count) - tableAt else {
            throw ImageError("'\(name)': the ELF program headers are outside the file")
        }
        var parts: [LoadedImage.Part] = []
        for index in 0 ..< count {
            let at = Int(tableAt + index * entrySize)
            guard little32(bytes, at) == 1 else { continue }
            let offset = is64 ? little64(bytes, at + 8) : UInt64(little32(bytes, at + 4))
            let physical = is64 ? little64(bytes, at + 24) : UInt64(little32(bytes, at + 12))
            let fileSize = is64 ? little64(bytes, at + 32) : UInt64(little32(bytes, at + 16))
            let memorySize = is64 ? little64(bytes, at + 40) : UInt64(little32(bytes, at + 20))
            guard offset <= UInt64(bytes.count), fileSize <= UInt64(bytes.count) - offset, fileSize <= memorySize, memorySize < 1 << 40 else {
                throw ImageError("'\(name)': ELF segment \(index) is outside the file")
            }
            guard memorySize > 0 else { continue }
            parts.append(LoadedImage.Part(address: physical, bytes: bytes[Int(offset) ..< Int(offset + fileSize)], size: memorySize))
        }
        guard !parts.isEmpty else { throw ImageError("'\(name)': the ELF file has nothing to load") }
        // An entry is a virtual address; where the segments say how it maps, it is used as a physical one.
        var physicalEntry = entry
        for index in 0 ..< count {
            let at = Int(tableAt + index * entrySize)
            guard little32(bytes, at) == 1 else { continue }
            let virtual = is64 ? little64(bytes, at + 16) : UInt64(little32(bytes, at + 8))
            let physical = is64 ? little64(bytes, at + 24) : UInt64(little32(bytes, at + 12))
            let size = is64 ? little64(bytes, at + 40) : UInt64(little32(bytes, at + 20))
            if entry &- virtual < size { physicalEntry = entry &- virtual &+ physical }
        }
        return LoadedImage(parts: parts, entry: physicalEntry, is64Bit: is64)
    }

    static func little16(_ bytes: [UInt8], _ at: Int) -> UInt16 { UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8 }
    static func little32(_ bytes: [UInt8], _ at: Int) -> UInt32 { UInt32(little16(bytes, at)) | UInt32(little16(bytes, at + 2)) << 16 }
    static func little64(_ bytes: [UInt8], _ at: Int) -> UInt64 { UInt64(little32(bytes, at)) | UInt64(little32(bytes, at + 4)) << 32 }
}

extension LoadedImage {
    /// Copies all parts into `memory`. - Throws: if a part is not in RAM.
    public func place(in memory: AddressSpace, name: String) throws(ImageError) {
        for part in parts {
            let isThere = part.bytes.withUnsafeBytes { memory.write(part.address, from: $0) }
            guard isThere, zero(part.address &+ UInt64(part.bytes.count), part.size - UInt64(part.bytes.count), memory) else {
                throw ImageError("'\(name)': \(part.size) bytes at 0x\(String(part.address, radix: 16)) are not in the machine's memory")
            }
        }
    }

    private func zero(_ address: UInt64, _ count: UInt64, _ memory: AddressSpace) -> Bool {
        let zeros = [UInt8](repeating: 0, count: Int(min(count, 1 << 20)))
        var done: UInt64 = 0
        while done < count {
            let part = min(count - done, UInt64(zeros.count))
            guard zeros.withUnsafeBytes({ memory.write(address &+ done, from: UnsafeRawBufferPointer(rebasing: $0[..<Int(part)])) }) else { return false }
            done += part
        }
        return true
    }
}
