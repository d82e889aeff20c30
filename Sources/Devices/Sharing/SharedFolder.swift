// A folder of the host that a guest sees. Every path is looked up from the folder's own descriptor with openat2(2), which
// refuses symbolic links and whatever leads outside; where the host has no openat2, name by name with O_NOFOLLOW. So neither
// links, nor "..", nor a folder that is renamed meanwhile lead outside. Only files and folders are opened, never devices,
// pipes or sockets.
//
// Unsafe code: names are handed to the C library for the length of a call.

import CHost
import Core
import Glibc
import Host

/// How the guest's owners and modes are kept (QEMU's `security_model`).
public enum SecurityModel: String, Sendable, CaseIterable {
    /// As the host's own.
    case passthrough
    /// The same; that the host does not let us give a new file away is no error.
    case none
    /// In extended attributes `user.virtfs.*`.
    case mappedAttributes = "mapped-xattr"
    /// In files of folders `.virtfs_metadata`.
    case mappedFile = "mapped-file"

    var isMapped: Bool { self == .mappedAttributes || self == .mappedFile }
}

/// Who makes a file, and its mode as the guest wants it.
struct FileOwner: Equatable {
    var user: UInt32
    var group: UInt32
    var mode: UInt32
}

public final class SharedFolder: Sendable {
    public let security: SecurityModel
    public let isReadOnly: Bool
    /// Has what was written go to the disk at once (`writeout=immediate`).
    let writesAtOnce: Bool
    /// Modes of new files and folders on the host where the guest's are kept elsewhere.
    let fileMode: mode_t, folderMode: mode_t
    let top: Int32
    static let pathOnly = Beneath.pathOnly

    /// - Throws: the folder cannot be opened.
    public init(path: String, security: SecurityModel, isReadOnly: Bool = false, writesAtOnce: Bool = false, fileMode: UInt32 = 0o600, folderMode: UInt32 = 0o700) throws(ConfigurationError) {
        top = Glibc.open(path, Self.pathOnly | O_DIRECTORY | O_CLOEXEC)
        guard top >= 0 else { throw ConfigurationError("'\(path)': \(String(cString: strerror(errno)))") }
        self.security = security
        self.isReadOnly = isReadOnly
        self.writesAtOnce = writesAtOnce
        self.fileMode = fileMode & 0o777
        self.folderMode = folderMode & 0o777
    }
    deinit { close(top) }

    // MARK: finding files

    /// Opens what is there; `flags` create nothing. The caller closes the descriptor.
    private func find(_ path: SharedPath, _ flags: Int32) throws(FileError) -> Int32 {
        let result = Beneath.open(top, path.isTop ? [] : path.bytes, flags)
        guard result >= 0 else { throw FileError(-result) }
        return result
    }

    /// A file as calls with a folder's descriptor name it.
    struct Place {
        let folder: Int32
        let name: [UInt8]
        /// The same for calls that take paths only: through the descriptor, so that nothing is looked up but the name.
        var viaDescriptor: [UInt8] { Array("/proc/self/fd/\(folder)/".utf8) + name }
        func call<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result { SharedFolder.call(name, body) }
    }

    static func call<Result>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result { Beneath.withName(name, body) }

    /// Runs `body` with the folder that holds the file; the top is "." in itself.
    func at<Result>(_ path: SharedPath, _ body: (Place) throws(FileError) -> Result) throws(FileError) -> Result {
        guard !path.isTop else { return try body(Place(folder: top, name: [0x2e])) }
        let parent = path.parent
        guard !parent.isTop else { return try body(Place(folder: top, name: path.name)) }
        let folder = try find(parent, Self.pathOnly | O_DIRECTORY)
        defer { close(folder) }
        return try body(Place(folder: folder, name: path.name))
    }

    static func check(_ result: Int32) throws(FileError) { if result < 0 { throw .last } }

    func mayWrite() throws(FileError) { if isReadOnly { throw FileError(EROFS) } }

    // MARK: looking

    /// The host's view of a file.
    static func hostStatus(_ place: Place) throws(FileError) -> stat {
        var info = stat()
        try check(place.call { fstatat(place.folder, $0, &info, AT_SYMLINK_NOFOLLOW) })
        return info
    }

    /// The guest's view.
    func status(_ path: SharedPath) throws(FileError) -> stat {
        try at(path) { (place) throws(FileError) in
            var info = try Self.hostStatus(place)
            if security.isMapped { mapping(place).apply(to: &info) }
            return info
        }
    }

    /// The guest's view of an open file, which may not have a name any more.
    func status(open descriptor: Int32, _ path: SharedPath) throws(FileError) -> stat {
        var info = stat()
        try Self.check(fstat(descriptor, &info))
        guard security.isMapped else { return info }
        if security == .mappedAttributes {
            OwnerMapping.attributes(Array("/proc/self/fd/\(descriptor)".utf8), follows: true).apply(to: &info)
        } else {
            try? at(path) { (place) throws(FileError) in mapping(place).apply(to: &info) }
        }
        return info
    }

    func fileSystemStatus(_ path: SharedPath) throws(FileError) -> statvfs {
        let descriptor = try find(path, Self.pathOnly)
        defer { close(descriptor) }
        var info = statvfs()
        try Self.check(fstatvfs(descriptor, &info))
        return info
    }

    /// Where a symbolic link points to.
    func target(_ path: SharedPath) throws(FileError) -> [UInt8] {
        try at(path) { (place) throws(FileError) in
            var info = try Self.hostStatus(place)
            var bytes = [UInt8](repeating: 0, count: 4096)
            if info.st_mode & S_IFMT == S_IFLNK {
                let count = bytes.withUnsafeMutableBytes { buffer in
                    buffer.withMemoryRebound(to: CChar.self) { text in
                        place.call { name in text.baseAddress.map { Int32(truncatingIfNeeded: readlinkat(place.folder, name, $0, text.count)) } ?? -1 }
                    }
                }
                try Self.check(count)
                return Array(bytes.prefix(Int(count)))
            }
            if security.isMapped { mapping(place).apply(to: &info) }
            guard info.st_mode & S_IFMT == S_IFLNK else { throw FileError(EINVAL) }
            // A mapped link is a file that holds its target.
            let descriptor = try openChecked(path, O_RDONLY, isMapped: false)
            defer { close(descriptor) }
            let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
            guard count >= 0 else { throw .last }
            return Array(bytes.prefix(count))
        }
    }

    // MARK: opening

    /// Flags that a guest may ask for. Nothing waits, and links are not followed.
    private static let openFlags = O_ACCMODE | O_TRUNC | O_APPEND | O_DSYNC | O_SYNC | O_DIRECTORY

    /// Opens a file or folder that is there, and nothing else.
    /// - Parameter isMapped: what is one for the guest; else what is one on the host.
    func openChecked(_ path: SharedPath, _ flags: Int32, isMapped: Bool = true) throws(FileError) -> Int32 {
        let access = flags & O_ACCMODE
        if access != O_RDONLY || flags & O_TRUNC != 0 { try mayWrite() }
        // Devices do things when they are opened: look first.
        let info = isMapped ? try status(path) : try at(path) { (place) throws(FileError) in try Self.hostStatus(place) }
        guard Self.isOpenable(info) else { throw FileError(info.st_mode & S_IFMT == S_IFLNK ? ELOOP : ENXIO) }
        let descriptor = try find(path, flags & Self.openFlags | O_NONBLOCK | O_NOCTTY)
        var now = stat()
        guard fstat(descriptor, &now) == 0, Self.isOpenable(now) else {
            close(descriptor)
            throw FileError(ENXIO)
        }
        return descriptor
    }

    private static func isOpenable(_ info: stat) -> Bool { info.st_mode & S_IFMT == S_IFREG || info.st_mode & S_IFMT == S_IFDIR }

    /// Makes and opens a file. - Parameter isExclusive: it must not be there.
    func create(_ path: SharedPath, _ flags: Int32, isExclusive: Bool, _ owner: FileOwner) throws(FileError) -> Int32 {
        try mayWrite()
        let flags = flags & Self.openFlags
        do {
            return try at(path) { (place) throws(FileError) in
                let descriptor = place.call { openat(place.folder, $0, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, security.isMapped ? fileMode : mode_t(owner.mode & 0o777)) }
                try Self.check(descriptor)
                do throws(FileError) { try own(place, owner, S_IFREG) } catch {
                    close(descriptor)
                    _ = place.call { unlinkat(place.folder, $0, 0) }
                    throw error
                }
                return descriptor
            }
        } catch {
            guard error.number == EEXIST, !isExclusive else { throw error }
            return try openChecked(path, flags)
        }
    }

    // MARK: making other things

    func makeFolder(_ path: SharedPath, _ owner: FileOwner) throws(FileError) {
        try make(path, owner, S_IFDIR) { place, name in mkdirat(place.folder, name, security.isMapped ? folderMode : mode_t(owner.mode & 0o777)) }
    }

    func makeLink(_ path: SharedPath, to target: [UInt8], _ owner: FileOwner) throws(FileError) {
        guard !target.isEmpty else { throw FileError(ENOENT) }
        guard target.count < 4096 else { throw FileError(ENAMETOOLONG) }
        if security.isMapped { return try makeFile(path, owner, S_IFLNK, device: 0, contents: target) }
        try make(path, owner, S_IFLNK) { place, name in Self.call(target) { symlinkat($0, place.folder, name) } }
    }

    /// A device, pipe, socket or file. - Parameter device: as the host's dev_t has it.
    func makeNode(_ path: SharedPath, device: UInt64, _ owner: FileOwner) throws(FileError) {
        let kind = mode_t(owner.mode) & S_IFMT
        guard [S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK].contains(kind) else { throw FileError(EINVAL) }
        if security.isMapped { return try makeFile(path, owner, kind, device: device, contents: []) }
        try make(path, owner, kind) { place, name in mknodat(place.folder, name, kind | mode_t(owner.mode & 0o777), dev_t(device)) }
    }

    /// What a mapped folder has instead of links and nodes: a file.
    private func makeFile(_ path: SharedPath, _ owner: FileOwner, _ kind: mode_t, device: UInt64, contents: [UInt8]) throws(FileError) {
        try make(path, owner, kind, device: device) { place, name in
            let descriptor = openat(place.folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, fileMode)
            guard descriptor >= 0 else { return -1 }
            defer { close(descriptor) }
            return write(descriptor, contents, contents.count) == contents.count ? 0 : -1
        }
    }

    private func make(_ path: SharedPath, _ owner: FileOwner, _ kind: mode_t, device: UInt64 = 0, _ body: (Place, UnsafePointer<CChar>) -> Int32) throws(FileError) {
        try mayWrite()
        try at(path) { (place) throws(FileError) in
            try Self.check(place.call { body(place, $0) })
            do throws(FileError) { try own(place, owner, kind, device: device) } catch {
                _ = place.call { unlinkat(place.folder, $0, kind == S_IFDIR ? AT_REMOVEDIR : 0) }
                throw error
            }
        }
    }

    /// Gives a new file to its owner.
    private func own(_ place: Place, _ owner: FileOwner, _ kind: mode_t, device: UInt64 = 0) throws(FileError) {
        let mode = mode_t(owner.mode & 0o7777)
        if security.isMapped {
            return try mapping(place).store(user: owner.user, group: owner.group, mode: UInt32(kind | mode), device: kind == S_IFCHR || kind == S_IFBLK ? device : nil)
        }
        let isGiven = place.call { fchownat(place.folder, $0, owner.user, owner.group, AT_SYMLINK_NOFOLLOW) } == 0
        if !isGiven, security == .passthrough { throw .last }
        guard kind != S_IFLNK else { return }
        let isSet = place.call { fchmodat(place.folder, $0, mode, AT_SYMLINK_NOFOLLOW) } == 0
        if !isSet, security == .passthrough { throw .last }
    }

    // MARK: names

    /// A second name for a file.
    func link(_ path: SharedPath, as new: SharedPath) throws(FileError) {
        try mayWrite()
        try at(path) { (old) throws(FileError) in
            try at(new) { (place) throws(FileError) in
                try Self.check(old.call { from in place.call { linkat(old.folder, from, place.folder, $0, 0) } })
                if security == .mappedFile { MetadataFile(old).link(to: MetadataFile(place)) }
            }
        }
    }

    func rename(_ path: SharedPath, to new: SharedPath) throws(FileError) {
        try mayWrite()
        guard !path.isTop, !new.isTop else { throw FileError(EBUSY) }
        try at(path) { (old) throws(FileError) in
            try at(new) { (place) throws(FileError) in
                try Self.check(old.call { from in place.call { renameat(old.folder, from, place.folder, $0) } })
                if security == .mappedFile { MetadataFile(old).rename(to: MetadataFile(place)) }
            }
        }
    }

    func remove(_ path: SharedPath, isFolder: Bool) throws(FileError) {
        try mayWrite()
        guard !path.isTop else { throw FileError(EBUSY) }
        try at(path) { (place) throws(FileError) in
            if security == .mappedFile, isFolder { MetadataFile.removeFolder(in: place) }
            try Self.check(place.call { unlinkat(place.folder, $0, isFolder ? AT_REMOVEDIR : 0) })
            if security == .mappedFile { MetadataFile(place).remove() }
        }
    }

    /// Names that the guest neither sees nor makes.
    func isHidden(_ name: [UInt8]) -> Bool { security == .mappedFile && (name == MetadataFile.folder || name == MetadataFile.topFile) }

    func mapping(_ place: Place) -> OwnerMapping { security == .mappedFile ? .file(MetadataFile(place)) : .attributes(place.viaDescriptor, follows: false) }
}
