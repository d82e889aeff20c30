// What changes about files beside their contents: owners, modes, sizes, times and extended attributes.

import CHost
import Glibc

/// What to change; nil stays.
struct FileChanges {
    enum Time { case now, at(timespec) }
    var mode: UInt32?
    var user: UInt32?
    var group: UInt32?
    var size: UInt64?
    var accessed: Time?
    var modified: Time?
}

extension SharedFolder {
    private static let nobody: UInt32 = ~0

    /// - Parameter descriptor: the file, if the guest has it open for writing.
    func change(_ path: SharedPath, _ changes: FileChanges, open descriptor: Int32?) throws(FileError) {
        try mayWrite()
        try at(path) { (place) throws(FileError) in
            if changes.user != nil || changes.group != nil { try changeOwner(place, changes.user, changes.group) }
            if let mode = changes.mode { try changeMode(place, mode) }
        }
        if let size = changes.size {
            guard let length = off_t(exactly: size) else { throw FileError(EFBIG) }
            if let descriptor, ftruncate(descriptor, length) == 0 {} else {
                let descriptor = try openChecked(path, O_WRONLY)
                defer { close(descriptor) }
                try Self.check(ftruncate(descriptor, length))
            }
        }
        guard changes.accessed != nil || changes.modified != nil else { return }
        func time(_ time: FileChanges.Time?) -> timespec {
            switch time {
            case nil: timespec(tv_sec: 0, tv_nsec: 0x3fff_fffe) // UTIME_OMIT
            case .now: timespec(tv_sec: 0, tv_nsec: 0x3fff_ffff) // UTIME_NOW
            case .at(let time): time
            }
        }
        let times = [time(changes.accessed), time(changes.modified)]
        try at(path) { (place) throws(FileError) in
            try Self.check(place.call { utimensat(place.folder, $0, times, AT_SYMLINK_NOFOLLOW) })
        }
    }

    private func changeOwner(_ place: Place, _ user: UInt32?, _ group: UInt32?) throws(FileError) {
        if security.isMapped { return try mapping(place).store(user: user, group: group) }
        try Self.check(place.call { fchownat(place.folder, $0, user ?? Self.nobody, group ?? Self.nobody, AT_SYMLINK_NOFOLLOW) })
    }

    private func changeMode(_ place: Place, _ mode: UInt32) throws(FileError) {
        guard security.isMapped else { return try Self.check(place.call { fchmodat(place.folder, $0, mode_t(mode & 0o7777), AT_SYMLINK_NOFOLLOW) }) }
        var info = try Self.hostStatus(place)
        mapping(place).apply(to: &info)
        try mapping(place).store(mode: UInt32(info.st_mode & S_IFMT) | mode & 0o7777)
    }

    // MARK: extended attributes

    /// No attribute is longer, nor a list of their names (xattr(7)).
    static let maximumAttribute = 65536
    private static let hiddenPrefix = Array("user.virtfs.".utf8), listPrefix = Array("system.posix_acl_".utf8)

    /// The host's name of the guest's attribute.
    private func hostName(_ name: [UInt8]) throws(FileError) -> [UInt8] {
        guard !name.isEmpty, name.count <= Plan9.nameBytes else { throw FileError(name.isEmpty ? EINVAL : ERANGE) }
        if name.starts(with: Self.hiddenPrefix) { throw FileError(security == .mappedAttributes ? ENODATA : EOPNOTSUPP) }
        if name.starts(with: Array("user.".utf8)) { return name }
        switch security {
        case .passthrough, .none: return name
        // Access control lists of the guest's owners do not hold on the host.
        case .mappedAttributes where name.starts(with: Self.listPrefix): return Self.hiddenPrefix + name
        case .mappedAttributes, .mappedFile: throw FileError(EOPNOTSUPP)
        }
    }

    /// The guest's name of the host's attribute; nil: it does not see it.
    private func guestName(_ name: [UInt8]) -> [UInt8]? {
        if name.starts(with: Self.hiddenPrefix) {
            let rest = Array(name.dropFirst(Self.hiddenPrefix.count))
            return security == .mappedAttributes && rest.starts(with: Self.listPrefix) ? rest : nil
        }
        return !security.isMapped || name.starts(with: Array("user.".utf8)) ? name : nil
    }

    func attribute(_ path: SharedPath, _ name: [UInt8]) throws(FileError) -> [UInt8] {
        let name = try hostName(name)
        return try at(path) { (place) throws(FileError) in try ExtendedAttributes.value(place.viaDescriptor, name, maximum: Self.maximumAttribute) }
    }

    /// The names, each with a NUL behind it.
    func attributeNames(_ path: SharedPath) throws(FileError) -> [UInt8] {
        let all = try at(path) { (place) throws(FileError) in try ExtendedAttributes.names(place.viaDescriptor, maximum: Self.maximumAttribute) }
        return all.split(separator: 0).compactMap { guestName(Array($0)) }.flatMap { $0 + [0] }
    }

    /// Sets an attribute; without a value it goes. - Parameter flags: XATTR_CREATE or XATTR_REPLACE.
    func setAttribute(_ path: SharedPath, _ name: [UInt8], _ value: [UInt8], flags: Int32) throws(FileError) {
        try mayWrite()
        let name = try hostName(name)
        try at(path) { (place) throws(FileError) in
            if value.isEmpty { try ExtendedAttributes.remove(place.viaDescriptor, name) } else { try ExtendedAttributes.set(place.viaDescriptor, name, value, flags: flags) }
        }
    }
}
