// The folder on the host: every file is looked up from its descriptor, without links and never outside (Host's Beneath), and
// what is replaced is replaced at once, by a rename.
//
// Unsafe code: names and buffers are handed to the C library for the length of a call.

import Block
import CHost
import Glibc
import Host

/// What the host says of one name.
struct HostEntry {
    let name: [UInt8]
    let isDirectory: Bool
    let size: UInt64
    let isReadOnly: Bool
    let modified: Int
}

final class HostFolder: Sendable {
    let name: String
    private let top: Int32

    /// - Throws: `cannotOpen`: it is no folder, or may not be read.
    init(_ path: String) throws(BlockError) {
        name = path
        top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard top >= 0 else { throw .host(errno, "Could not open the folder '\(path)'") }
    }
    deinit { close(top) }

    private func failure(_ number: Int32, _ path: [UInt8]) -> BlockError { .host(number, "'\(name)/\(String(decoding: path, as: UTF8.self))'") }

    private func folder(_ path: [UInt8]) throws(BlockError) -> Int32 {
        let opened = Beneath.open(top, path, O_RDONLY | O_DIRECTORY)
        guard opened >= 0 else { throw failure(-opened, path) }
        return opened
    }

    /// Files and folders, in the order of their names. Links, devices, sockets and pipes are left out.
    func list(_ path: [UInt8]) throws(BlockError) -> [HostEntry] {
        let opened = try folder(path)
        guard let stream = fdopendir(opened) else {
            let error = errno
            close(opened)
            throw failure(error, path)
        }
        defer { closedir(stream) }
        var entries: [HostEntry] = []
        while let found = readdir(stream) {
            let name = withUnsafePointer(to: &found.pointee.d_name) { field in
                field.withMemoryRebound(to: UInt8.self, capacity: 256) { Array(UnsafeBufferPointer(start: $0, count: strnlen(UnsafeRawPointer(field).assumingMemoryBound(to: CChar.self), 256))) }
            }
            if name == [0x2e] || name == [0x2e, 0x2e] { continue }
            var info = stat()
            guard Beneath.withName(name, { fstatat(opened, $0, &info, AT_SYMLINK_NOFOLLOW) }) == 0 else { continue }
            let kind = info.st_mode & S_IFMT
            guard kind == S_IFREG || kind == S_IFDIR else { continue }
            entries.append(HostEntry(name: name, isDirectory: kind == S_IFDIR, size: UInt64(max(0, info.st_size)), isReadOnly: info.st_mode & 0o200 == 0, modified: info.st_mtim.tv_sec))
        }
        return entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// Opens a regular file for reading. The caller closes it.
    func openFile(_ path: [UInt8]) throws(BlockError) -> Int32 {
        let opened = Beneath.open(top, path, O_RDONLY | O_NONBLOCK)
        guard opened >= 0 else { throw failure(-opened, path) }
        var info = stat()
        guard fstat(opened, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            close(opened)
            throw failure(EINVAL, path)
        }
        return opened
    }

    // MARK: changes

    func makeFolder(_ path: [UInt8]) throws(BlockError) {
        try inside(path) { folder, name in mkdirat(folder, name, 0o777) }
    }

    func removeFile(_ path: [UInt8]) throws(BlockError) {
        try inside(path) { folder, name in unlinkat(folder, name, 0) }
    }

    func removeFolder(_ path: [UInt8]) throws(BlockError) {
        try inside(path) { folder, name in unlinkat(folder, name, AT_REMOVEDIR) }
    }

    func setReadOnly(_ path: [UInt8], _ isReadOnly: Bool) throws(BlockError) {
        let opened = try openFile(path)
        defer { close(opened) }
        var info = stat()
        guard fstat(opened, &info) == 0, fchmod(opened, isReadOnly ? info.st_mode & 0o555 : info.st_mode & 0o777 | 0o200) == 0 else { throw failure(errno, path) }
    }

    /// A name for what is between two places.
    static func temporaryName() -> [UInt8] { Array(".apus-vvfat-\(UInt64.random(in: 0...UInt64.max))".utf8) }

    /// Renames. - Parameter replaces: a file has the new name, and goes; otherwise nothing may have it.
    func rename(_ old: [UInt8], to new: [UInt8], replaces: Bool) throws(BlockError) {
        let (oldParent, oldName) = Self.split(old), (newParent, newName) = Self.split(new)
        let from = try folder(oldParent)
        defer { close(from) }
        let to = try folder(newParent)
        defer { close(to) }
        let error = replaces ? Self.renameOver(from, oldName, to, newName) : Self.renameAnew(from, oldName, to, newName)
        guard error == 0 else { throw failure(error, new) }
    }

    /// Writes a file beside its place and puts it there when it is whole.
    /// - Parameters: `replaces`: there is such a file now; otherwise nothing may have the name. `size`: bytes. `piece`: fills
    ///   a buffer from an offset of the file.
    func write(_ path: [UInt8], replaces: Bool, isReadOnly: Bool, modified: Int?, size: UInt64, piece: (UInt64, BlockBuffer) throws(BlockError) -> Void) throws(BlockError) {
        let (parent, name) = Self.split(path)
        let folder = try folder(parent)
        defer { close(folder) }
        var mode: mode_t = 0o666
        if replaces {
            var info = stat()
            guard Beneath.withName(name, { fstatat(folder, $0, &info, AT_SYMLINK_NOFOLLOW) }) == 0 else { throw failure(errno, path) }
            guard info.st_mode & S_IFMT == S_IFREG else { throw failure(EEXIST, path) }
            mode = info.st_mode & 0o777
        }
        let temporary = Self.temporaryName()
        let file = Beneath.withName(temporary) { openat(folder, $0, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode) }
        guard file >= 0 else { throw failure(errno, path) }
        var isPlaced = false
        defer {
            close(file)
            if !isPlaced { _ = Beneath.withName(temporary) { unlinkat(folder, $0, 0) } }
        }
        try fill(file, path, size, piece)
        var info = stat()
        guard fstat(file, &info) == 0 else { throw failure(errno, path) }
        if replaces || isReadOnly { _ = fchmod(file, (replaces ? mode : info.st_mode & 0o777) & (isReadOnly ? 0o555 : 0o777) | (isReadOnly ? 0 : 0o200)) }
        if let modified {
            let times = [timespec(tv_sec: modified, tv_nsec: 0), timespec(tv_sec: modified, tv_nsec: 0)]
            _ = futimens(file, times)
        }
        guard fsync(file) == 0 else { throw failure(errno, path) }
        let error = replaces ? Self.renameOver(folder, temporary, folder, name) : Self.renameAnew(folder, temporary, folder, name)
        guard error == 0 else { throw failure(error, path) }
        isPlaced = true
    }

    private func fill(_ file: Int32, _ path: [UInt8], _ size: UInt64, _ piece: (UInt64, BlockBuffer) throws(BlockError) -> Void) throws(BlockError) {
        let owned = try OwnedBuffer(Int(min(max(size, 1), 1 << 20)))
        defer { withExtendedLifetime(owned) {} }
        var position: UInt64 = 0
        while position < size {
            let part = owned.buffer.slice(0, size - position)
            try piece(position, part)
            var done = 0
            while done < part.count {
                let count = pwrite(file, part.base + done, part.count - done, Int(position) + done)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw failure(count == 0 ? ENOSPC : errno, path) }
                done += count
            }
            position += UInt64(part.count)
        }
    }

    private func inside(_ path: [UInt8], _ body: (Int32, UnsafePointer<CChar>) -> Int32) throws(BlockError) {
        let (parent, name) = Self.split(path)
        let folder = try folder(parent)
        defer { close(folder) }
        guard Beneath.withName(name, { body(folder, $0) }) == 0 else { throw failure(errno, path) }
    }

    /// renameat2(2) that replaces nothing. - Returns: the error's number, or 0.
    private static func renameAnew(_ from: Int32, _ old: [UInt8], _ to: Int32, _ new: [UInt8]) -> Int32 {
        let doNotReplace = 1
        let result = Beneath.withName(old) { old in
            Beneath.withName(new) { apus_syscall(Int(SYS_renameat2), Int(from), Int(bitPattern: old), Int(to), Int(bitPattern: $0), doNotReplace, 0) }
        }
        // Some file systems (network, FUSE) do not know the flag.
        guard result == -Int(EINVAL) || result == -Int(ENOSYS) else { return Int32(truncatingIfNeeded: -result) }
        var info = stat()
        guard Beneath.withName(new, { fstatat(to, $0, &info, AT_SYMLINK_NOFOLLOW) }) != 0 else { return EEXIST }
        return renameOver(from, old, to, new)
    }

    private static func renameOver(_ from: Int32, _ old: [UInt8], _ to: Int32, _ new: [UInt8]) -> Int32 {
        Beneath.withName(old) { old in Beneath.withName(new) { renameat(from, old, to, $0) } } == 0 ? 0 : errno
    }

    private static func split(_ path: [UInt8]) -> (parent: [UInt8], name: [UInt8]) {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return ([], path) }
        return (Array(path[..<slash]), Array(path[(slash + 1)...]))
    }
}
