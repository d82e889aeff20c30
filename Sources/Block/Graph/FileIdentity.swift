// Which file a name stands for on the host: its kind, its identity, and whether it lies in a folder.

import Glibc

/// Device and inode number of a file.
public struct FileIdentity: Sendable, Equatable {
    let device: UInt64
    let inode: UInt64

    enum Kind { case regular, device, other, missing }

    /// Nil if there is no such file.
    init?(_ path: String) {
        var info = stat()
        guard stat(path, &info) == 0 else { return nil }
        device = UInt64(info.st_dev)
        inode = UInt64(info.st_ino)
    }

    /// What `path` is, symbolic links followed.
    static func kind(_ path: String) -> Kind {
        var info = stat()
        guard stat(path, &info) == 0 else { return .missing }
        switch info.st_mode & S_IFMT {
        case S_IFREG: return .regular
        case S_IFBLK, S_IFCHR: return .device
        default: return .other
        }
    }

    /// Whether `path` is a regular file, symbolic links followed.
    public static func isRegular(_ path: String) -> Bool { kind(path) == .regular }

    /// Whether `path`, links followed, lies in the folder of `base` or below.
    public static func isInside(_ path: String, folderOf base: String) -> Bool {
        guard let file = real(path) else { return true }   // a missing file is refused by opening it
        let folder = base.lastIndex(of: "/").map { String(base[..<$0]) } ?? "."
        guard let root = real(folder.isEmpty ? "/" : folder) else { return false }
        return file.hasPrefix(root.hasSuffix("/") ? root : root + "/")
    }

    private static func real(_ path: String) -> String? {
        guard let result = realpath(path, nil) else { return nil }
        defer { free(result) }
        return String(cString: result)
    }
}
