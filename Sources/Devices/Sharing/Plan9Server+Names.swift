// Attributes of files, and all that makes, names and removes them.

import CHost
import Core
import Glibc

extension Plan9Server {
    // MARK: attributes

    /// Bits of what Tgetattr tells: mode to blocks.
    private static var basicAttributes: UInt64 { 0x7ff }

    func attributes(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number())
        _ = try reader.number(UInt64.self)
        let info = if let descriptor = fid.descriptor { try folder.status(open: descriptor, fid.path) } else { try folder.status(fid.path) }
        writer.add(Self.basicAttributes)
        writer.add(identity(info))
        writer.add(UInt32(info.st_mode))
        writer.add(info.st_uid)
        writer.add(info.st_gid)
        writer.add(UInt64(info.st_nlink))
        writer.add(UInt64(info.st_rdev))
        writer.add(UInt64(bitPattern: Int64(info.st_size)))
        writer.add(UInt64(unit(info)))
        writer.add(UInt64(bitPattern: Int64(info.st_blocks)))
        for time in [info.st_atim, info.st_mtim, info.st_ctim, timespec()] {
            writer.add(UInt64(bitPattern: Int64(time.tv_sec)))
            writer.add(UInt64(bitPattern: Int64(time.tv_nsec)))
        }
        writer.add(UInt64(0))
        writer.add(UInt64(0))
    }

    func setAttributes(_ reader: inout Plan9Reader) throws(FileError) {
        let fid = try fids.find(try reader.number())
        let valid: UInt32 = try reader.number()
        let mode: UInt32 = try reader.number(), user: UInt32 = try reader.number(), group: UInt32 = try reader.number(), size: UInt64 = try reader.number()
        var times: [UInt64] = []
        for _ in 0 ..< 4 { times.append(try reader.number()) }
        func has(_ bit: UInt32) -> Bool { valid & bit != 0 }
        func time(_ bit: UInt32, _ at: Int) throws(FileError) -> FileChanges.Time? {
            guard has(bit) else { return nil }
            guard has(bit << 3) else { return .now }
            guard times[at + 1] < 1_000_000_000 else { throw FileError(EINVAL) }
            return .at(timespec(tv_sec: Int(truncatingIfNeeded: times[at]), tv_nsec: Int(times[at + 1])))
        }
        var changes = FileChanges()
        if has(1) { changes.mode = mode }
        if has(2) { changes.user = user }
        if has(4) { changes.group = group }
        if has(8) { changes.size = size }
        changes.accessed = try time(0x10, 0)
        changes.modified = try time(0x20, 2)
        var descriptor: Int32?
        if case .file(let open, writes: true) = fid.content { descriptor = open }
        try folder.change(fid.path, changes, open: descriptor)
    }

    func walkAttribute(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number()), number: UInt32 = try reader.number(), name = try reader.string()
        let bytes = name.isEmpty ? try folder.attributeNames(fid.path) : try folder.attribute(fid.path, name)
        let new = Plan9Fid(fid.path, user: fid.user)
        new.content = .attributeRead(bytes)
        try fids.add(number, new)
        writer.add(UInt64(bytes.count))
    }

    func createAttribute(_ reader: inout Plan9Reader) throws(FileError) {
        let fid = try fids.find(try reader.number()), name = try reader.string()
        let size: UInt64 = try reader.number(), flags: UInt32 = try reader.number()
        guard case .path = fid.content, flags & ~3 == 0 else { throw FileError(EINVAL) }
        guard size <= UInt64(SharedFolder.maximumAttribute) else { throw FileError(ENOSPC) }
        try folder.mayWrite()
        try fids.set(fid, .attributeWrite(name: name, flags: Int32(flags), size: Int(size), value: []))
    }

    func statistics(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let info = try folder.fileSystemStatus(try fids.find(try reader.number()).path)
        // What Linux calls a 9P file system.
        writer.add(0x0102_1997 as UInt32)
        writer.add(UInt32(truncatingIfNeeded: info.f_bsize))
        for number in [info.f_blocks, info.f_bfree, info.f_bavail, info.f_files, info.f_ffree] { writer.add(UInt64(number)) }
        writer.add(UInt64(info.f_fsid))
        writer.add(UInt32(Plan9.nameBytes))
    }

    // MARK: links, folders, nodes

    func readLink(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        writer.add(string: try folder.target(try fids.find(try reader.number()).path))
    }

    func makeLink(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number()), name = try newName(&reader), target = try reader.string(), group: UInt32 = try reader.number()
        let path = try fid.path.appending(name)
        try folder.makeLink(path, to: target, FileOwner(user: fid.user, group: group, mode: 0o777))
        writer.add(identity(try folder.status(path)))
    }

    func makeNode(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number()), name = try newName(&reader)
        let mode: UInt32 = try reader.number(), major: UInt32 = try reader.number(), minor: UInt32 = try reader.number(), group: UInt32 = try reader.number()
        let path = try fid.path.appending(name)
        // As makedev(3) has it.
        let device = UInt64(major & 0xfff) << 8 | UInt64(major & ~0xfff) << 32 | UInt64(minor & 0xff) | UInt64(minor & ~0xff) << 12
        try folder.makeNode(path, device: device, FileOwner(user: fid.user, group: group, mode: mode))
        writer.add(identity(try folder.status(path)))
    }

    func makeFolder(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number()), name = try newName(&reader), mode: UInt32 = try reader.number(), group: UInt32 = try reader.number()
        let path = try fid.path.appending(name)
        try folder.makeFolder(path, FileOwner(user: fid.user, group: group, mode: mode))
        writer.add(identity(try folder.status(path)))
    }

    func link(_ reader: inout Plan9Reader) throws(FileError) {
        let folder = try fids.find(try reader.number()), fid = try fids.find(try reader.number()), name = try newName(&reader)
        try self.folder.link(fid.path, as: try folder.path.appending(name))
    }

    func rename(_ reader: inout Plan9Reader) throws(FileError) {
        let fid = try fids.find(try reader.number()), target = try fids.find(try reader.number()), name = try newName(&reader)
        try move(fid.path, to: try target.path.appending(name))
    }

    func renameAt(_ reader: inout Plan9Reader) throws(FileError) {
        let source = try fids.find(try reader.number()), old = try newName(&reader)
        let target = try fids.find(try reader.number()), new = try newName(&reader)
        try move(try source.path.appending(old), to: try target.path.appending(new))
    }

    private func move(_ old: SharedPath, to new: SharedPath) throws(FileError) {
        try folder.rename(old, to: new)
        fids.moved(from: old, to: new)
    }

    func unlinkAt(_ reader: inout Plan9Reader) throws(FileError) {
        let fid = try fids.find(try reader.number()), name = try newName(&reader), flags: UInt32 = try reader.number()
        guard flags & ~UInt32(AT_REMOVEDIR) == 0 else { throw FileError(EINVAL) }
        try folder.remove(try fid.path.appending(name), isFolder: flags != 0)
    }

    /// The fid goes, whether its file does or not.
    func remove(_ reader: inout Plan9Reader) throws(FileError) {
        let fid = try fids.remove(try reader.number())
        let info = try folder.status(fid.path)
        try folder.remove(fid.path, isFolder: info.st_mode & S_IFMT == S_IFDIR)
    }

    // MARK: locks

    func lock(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number())
        _ = try reader.number(UInt8.self)
        let flags: UInt32 = try reader.number()
        for _ in 0 ..< 2 { _ = try reader.number(UInt64.self) }
        _ = try reader.number(UInt32.self)
        _ = try reader.string()
        // The only flag says that the guest waits.
        guard flags & ~1 == 0, case .file = fid.content else { throw FileError(EINVAL) }
        writer.add(UInt8(0))
    }

    func getLock(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number())
        _ = try reader.number(UInt8.self)
        let start: UInt64 = try reader.number(), length: UInt64 = try reader.number(), process: UInt32 = try reader.number(), client = try reader.string()
        guard case .file = fid.content else { throw FileError(EINVAL) }
        // F_UNLCK: nothing is in the way.
        writer.add(UInt8(2))
        writer.add(start)
        writer.add(length)
        writer.add(process)
        writer.add(string: client)
    }
}
