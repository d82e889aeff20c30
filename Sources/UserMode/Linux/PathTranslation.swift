import Glibc

/// Where a guest path is on the host (`-L`): an absolute path is looked up under the guest's root first and means the
/// host's own file if there is none there. Relative paths are the host's.
///
/// Only for paths that must exist (open, stat, execve, readlink…); what is made or removed is the host's. Links with
/// absolute targets at the end of a path are followed inside the guest's root, as the guest would.
public final class PathTranslation: Sendable {
    /// Without a slash at its end; empty: none.
    package let root: [UInt8]

    private static let slash = UInt8(ascii: "/")
    /// Trees that always are the host's: the guest's root holds at most their empty mount points.
    private static let hostTrees: [[UInt8]] = ["/proc", "/sys", "/dev", "/run"].map { Array($0.utf8) }

    package init(root: String?) {
        var bytes = Array((root ?? "").utf8)
        while bytes.count > 1, bytes.last == Self.slash { bytes.removeLast() }
        self.root = bytes == [Self.slash] ? [] : bytes
    }

    /// The host path of guest path `path` (no NUL in either).
    /// - Parameter follow: whether a symbolic link at its end is followed by what the path is used for.
    package func host(_ path: [UInt8], follow: Bool = true) -> [UInt8] {
        guard !root.isEmpty, path.first == Self.slash, !Self.isHostTree(path) else { return path }
        return lookUp(Self.belowRoot(path), follow: follow) ?? path
    }

    /// Without `..` at the beginning: the parent of the root is the root.
    private static func belowRoot(_ path: [UInt8]) -> [UInt8] {
        let dot = UInt8(ascii: ".")
        var rest = path[...]
        while true {
            let name = rest.drop { $0 == slash }
            let component = name.prefix { $0 != slash }
            guard component.elementsEqual([dot, dot]) || component.elementsEqual([dot]) else { break }
            rest = name.dropFirst(component.count)
        }
        if rest.count == path.count { return path }
        return rest.first == slash ? Array(rest) : [slash] + rest
    }

    /// The path under the guest's root, or nil if nothing is there.
    private func lookUp(_ path: [UInt8], follow: Bool) -> [UInt8]? {
        var current = path
        // Linux gives up after 40 links.
        for _ in 0..<40 {
            let candidate = root + current
            guard let mode = Self.mode(candidate) else { return nil }
            guard follow, mode & S_IFMT == S_IFLNK, let target = Self.link(candidate) else { return candidate }
            if target.first == Self.slash {
                if Self.isHostTree(target) { return target }
                current = target
            } else {
                guard let end = current.lastIndex(of: Self.slash) else { return candidate }
                current = Array(current[...end]) + target
            }
        }
        return nil
    }

    private static func isHostTree(_ path: [UInt8]) -> Bool {
        for tree in hostTrees where path.starts(with: tree) {
            if path.count == tree.count || path[tree.count] == slash { return true }
        }
        return false
    }

    private static func mode(_ path: [UInt8]) -> mode_t? {
        var status = stat()
        let result = (path + [0]).withUnsafeBufferPointer { buffer -> Int32 in
            buffer.withMemoryRebound(to: CChar.self) { chars in chars.baseAddress.map { lstat($0, &status) } ?? -1 }
        }
        return result == 0 ? status.st_mode : nil
    }

    private static func link(_ path: [UInt8]) -> [UInt8]? {
        let text = path.map { CChar(bitPattern: $0) } + [0]
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            let length = buffer.withMemoryRebound(to: CChar.self) { chars in
                chars.baseAddress.map { readlink(text, $0, 4096) } ?? -1
            }
            count = max(0, length)
        }
        return bytes.isEmpty ? nil : bytes
    }
}
