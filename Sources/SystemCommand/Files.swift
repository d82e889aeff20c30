// Files that a machine begins with: read whole, unpacked, or found by name in the usual folders.

import Compression
import Core
import Firmware
import Glibc
import Machines

enum StartFiles {
    /// The most bytes of one file: a kernel or an initial RAM disk.
    private static let limit = 1 << 30

    static func read(_ path: String, _ option: String) throws(ConfigurationError) -> BootFile {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ConfigurationError("\(option): '\(path)': \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw ConfigurationError("\(option): '\(path)' is not a file") }
        guard status.st_size <= limit else { throw ConfigurationError("\(option): '\(path)' is larger than \(limit >> 20) MiB") }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size)), done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done) }
            guard count > 0 else { throw ConfigurationError("\(option): '\(path)' cannot be read") }
            done += count
        }
        return BootFile(name: path, bytes: bytes, origin: FileOrigin(descriptor))
    }

    /// `file` as the machine needs it: kernels may be packed with gzip, or as EFI zboot.
    static func unpacked(_ file: BootFile, _ option: String) throws(ConfigurationError) -> BootFile {
        let payload: ArraySlice<UInt8>
        switch KernelImage.packing(of: file.bytes) {
        case .plain: return file
        case .gzip: payload = file.bytes[...]
        case .zboot(let offset, let size, let kind):
            guard kind == "gzip" else { throw ConfigurationError("\(option): '\(file.name)' is packed with \(kind), expected gzip") }
            guard offset >= 0, size >= 0, offset <= file.bytes.count, size <= file.bytes.count - offset else {
                throw ConfigurationError("\(option): '\(file.name)': the packed kernel is outside the file")
            }
            payload = file.bytes[offset ..< (offset + size)]
        }
        // The last word of gzip is the length of what was packed.
        let length = payload.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        guard payload.count > 18, length <= limit else { throw ConfigurationError("\(option): '\(file.name)' is damaged") }
        var bytes = [UInt8](repeating: 0, count: length)
        let count = payload.withUnsafeBytes { input in bytes.withUnsafeMutableBytes { Deflate.expand(input, into: $0, .gzip) } }
        guard count == length else { throw ConfigurationError("\(option): '\(file.name)' is damaged") }
        return BootFile(name: file.name, bytes: bytes)
    }

    struct BootFile {
        var name: String
        var bytes: [UInt8]
        /// The file whose contents `bytes` are as they are.
        var origin: FileOrigin?

        var loadable: BootFiles.File { .init(name: name, bytes: bytes, origin: origin) }
    }

    /// Where Debian's packages and QEMU put firmware.
    private static let folders = [
        "/usr/share/qemu", "/usr/lib/riscv64-linux-gnu/opensbi/generic", "/usr/lib/u-boot/qemu-riscv64_smode", "/usr/share/qemu-efi-riscv64",
    ]

    /// The file with the path or, in the folders `given` and the usual ones, the name `name`.
    static func find(_ name: String, _ option: String, _ given: [String], inFoldersOnly: Bool = false) throws(ConfigurationError) -> BootFile? {
        for path in (inFoldersOnly ? [] : [name]) + (given + folders).map({ $0 + "/" + name }) where access(path, R_OK) == 0 { return try read(path, option) }
        return nil
    }

    /// The firmware of `-bios`: nil for none.
    static func firmware(_ name: String, bits: Int, _ given: [String]) throws(ConfigurationError) -> BootFile? {
        if name == "none" { return nil }
        let isDefault = name == "default"
        let names = isDefault ? ["opensbi-riscv\(bits)-generic-fw_dynamic.bin"] + (bits == 64 ? ["fw_dynamic.bin"] : []) : [name]
        for name in names { if let file = try find(name, "-bios", given, inFoldersOnly: isDefault) { return file } }
        throw ConfigurationError(isDefault ? "-bios: OpenSBI for riscv\(bits) is not installed (Debian: apt install opensbi); '-bios none' starts without"
            : "-bios: '\(name)': there is no such file")
    }
}
