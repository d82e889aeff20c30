// Owners, modes and device numbers of a mapped folder: what the guest believes, kept beside files that all belong to whoever
// runs the machine. The forms are QEMU's, so that a folder can be shared by either.

import CHost
import Glibc

/// Where one file's are kept.
enum OwnerMapping {
    /// Extended attributes `user.virtfs.uid`, `.gid`, `.mode` (4 bytes) and `.rdev` (8 bytes), in little-endian order.
    case attributes(_ path: [UInt8], follows: Bool)
    /// Lines of a file.
    case file(MetadataFile)

    private static let names = ["uid", "gid", "mode", "rdev"]
    private static func attribute(_ name: String) -> [UInt8] { Array("user.virtfs.\(name)".utf8) }

    private func load() -> [String: UInt64] {
        switch self {
        case .file(let file): return file.load()
        case .attributes(let path, let follows):
            var values: [String: UInt64] = [:]
            for name in Self.names {
                guard let bytes = try? ExtendedAttributes.value(path, Self.attribute(name), maximum: 8, follows: follows) else { continue }
                switch bytes.count {
                case 4: values[name] = UInt64(bytes.number(0, as: UInt32.self))
                case 8: values[name] = bytes.number(0)
                default: break
                }
            }
            return values
        }
    }

    /// Replaces the host's by the guest's where there are any.
    func apply(to info: inout stat) {
        let values = load()
        if let user = values["uid"] { info.st_uid = uid_t(truncatingIfNeeded: user) }
        if let group = values["gid"] { info.st_gid = gid_t(truncatingIfNeeded: group) }
        if let mode = values["mode"] { info.st_mode = mode_t(truncatingIfNeeded: mode) }
        if let device = values["rdev"] { info.st_rdev = dev_t(device) }
    }

    /// Sets what is given.
    func store(user: UInt32? = nil, group: UInt32? = nil, mode: UInt32? = nil, device: UInt64? = nil) throws(FileError) {
        let given: [(String, UInt64?)] = [("uid", user.map(UInt64.init)), ("gid", group.map(UInt64.init)), ("mode", mode.map(UInt64.init)), ("rdev", device)]
        switch self {
        case .file(let file):
            var values = file.load()
            for (name, value) in given { if let value { values[name] = value } }
            try file.store(values)
        case .attributes(let path, _):
            for (name, value) in given {
                guard let value else { continue }
                let bytes = withUnsafeBytes(of: value.littleEndian) { Array($0.prefix(name == "rdev" ? 8 : 4)) }
                try ExtendedAttributes.set(path, Self.attribute(name), bytes)
            }
        }
    }
}

/// A file in the folder `.virtfs_metadata` beside the one it tells of; for the top of the shared folder, a file in it.
struct MetadataFile {
    static let folder = Array(".virtfs_metadata".utf8), topFile = Array(".virtfs_metadata_root".utf8)
    private static let prefix = "virtfs."
    private static let maximumBytes = 4096
    private let place: SharedFolder.Place
    private var isTop: Bool { place.name == [0x2e] }

    init(_ place: SharedFolder.Place) { self.place = place }

    /// Runs `body` with the folder that holds the file, and its name. The folder is made if it `isNeeded`.
    private func open<Result>(isNeeded: Bool, _ body: (Int32, UnsafePointer<CChar>) -> Result) -> Result? {
        if isTop { return SharedFolder.call(Self.topFile) { body(place.folder, $0) } }
        let folder = SharedFolder.call(Self.folder) { name -> Int32 in
            if isNeeded { mkdirat(place.folder, name, 0o700) }
            return openat(place.folder, name, SharedFolder.pathOnly | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
        guard folder >= 0 else { return nil }
        defer { close(folder) }
        return place.call { body(folder, $0) }
    }

    func load() -> [String: UInt64] {
        var bytes = [UInt8](repeating: 0, count: Self.maximumBytes)
        let count = open(isNeeded: false) { folder, name -> Int in
            let descriptor = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            guard descriptor >= 0 else { return 0 }
            defer { close(descriptor) }
            return bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        } ?? 0
        var values: [String: UInt64] = [:]
        for line in String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].hasPrefix(Self.prefix), let number = UInt64(parts[1]) else { continue }
            values[String(parts[0].dropFirst(Self.prefix.count))] = number
        }
        return values
    }

    func store(_ values: [String: UInt64]) throws(FileError) {
        let text = ["uid", "gid", "mode", "rdev"].compactMap { name in values[name].map { "\(Self.prefix)\(name)=\($0)\n" } }.joined()
        let bytes = Array(text.utf8)
        let error = open(isNeeded: true) { folder, name -> Int32 in
            let descriptor = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { return errno }
            defer { close(descriptor) }
            return write(descriptor, bytes, bytes.count) == bytes.count ? 0 : ENOSPC
        } ?? errno
        guard error == 0 else { throw FileError(error) }
    }

    // What follows keeps up with the file's own names; there may be nothing to keep.

    func remove() { _ = open(isNeeded: false) { unlinkat($0, $1, 0) } }

    func link(to new: MetadataFile) { _ = open(isNeeded: false) { from, name in new.open(isNeeded: true) { linkat(from, name, $0, $1, 0) } } }

    func rename(to new: MetadataFile) {
        let isMoved = open(isNeeded: false) { from, name in new.open(isNeeded: true) { renameat(from, name, $0, $1) == 0 } ?? false } ?? false
        if !isMoved { new.remove() }
    }

    /// The folder at `place` is about to go: what it kept goes first, if the folder is empty otherwise.
    static func removeFolder(in place: SharedFolder.Place) {
        let inside = place.call { openat(place.folder, $0, SharedFolder.pathOnly | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
        guard inside >= 0 else { return }
        defer { close(inside) }
        _ = SharedFolder.call(folder) { unlinkat(inside, $0, AT_REMOVEDIR) }
    }
}
