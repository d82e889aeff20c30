// Opening, reading and writing. Contents go between the host's file and guest memory without a copy.

import CHost
import Core
import Glibc

extension Plan9Server {
    // MARK: opening

    /// Flags of Tlopen and Tlcreate (the generic Linux ones), as the host has them.
    private static func hostFlags(_ flags: UInt32) -> Int32 {
        let pairs: [(UInt32, Int32)] = [(0o1000, O_TRUNC), (0o2000, O_APPEND), (0o10000, O_DSYNC), (0o200000, O_DIRECTORY), (0o4010000, O_SYNC)]
        return pairs.reduce(Int32(flags & 3)) { flags & $1.0 == $1.0 ? $0 | $1.1 : $0 }
    }

    func open(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number()), flags = Self.hostFlags(try reader.number())
        guard case .path = fid.content else { throw FileError(EINVAL) }
        guard flags & O_ACCMODE != O_ACCMODE else { throw FileError(EINVAL) }
        try fids.mayOpen()
        let descriptor = try folder.openChecked(fid.path, flags)
        let info = try keep(fid, descriptor, writes: flags & O_ACCMODE != O_RDONLY)
        writer.add(identity(info))
        writer.add(unit(info))
    }

    func create(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let fid = try fids.find(try reader.number()), name = try newName(&reader)
        let wanted: UInt32 = try reader.number(), mode: UInt32 = try reader.number(), group: UInt32 = try reader.number()
        guard case .path = fid.content else { throw FileError(EINVAL) }
        let flags = Self.hostFlags(wanted), path = try fid.path.appending(name)
        guard flags & O_ACCMODE != O_ACCMODE, flags & O_DIRECTORY == 0 else { throw FileError(EINVAL) }
        try fids.mayOpen()
        let descriptor = try folder.create(path, flags, isExclusive: wanted & 0o200 != 0, FileOwner(user: fid.user, group: group, mode: mode))
        let info = try keep(fid, descriptor, writes: flags & O_ACCMODE != O_RDONLY)
        // From now on the fid stands for the new file.
        fids.move(fid, to: path)
        writer.add(identity(info))
        writer.add(unit(info))
    }

    /// Hands an open descriptor to the fid.
    private func keep(_ fid: Plan9Fid, _ descriptor: Int32, writes: Bool) throws(FileError) -> stat {
        var info = stat()
        do throws(FileError) {
            try SharedFolder.check(fstat(descriptor, &info))
            try fids.set(fid, info.st_mode & S_IFMT == S_IFDIR ? .folder(descriptor) : .file(descriptor, writes: writes))
        } catch {
            close(descriptor)
            throw error
        }
        return info
    }

    func synchronise(_ reader: inout Plan9Reader) throws(FileError) {
        let fid = try fids.find(try reader.number())
        // Old clients leave the second field out.
        let onlyData = (try? reader.number(UInt32.self)) ?? 0
        guard let descriptor = fid.descriptor else { throw FileError(EINVAL) }
        try SharedFolder.check(onlyData != 0 ? fdatasync(descriptor) : fsync(descriptor))
    }

    // MARK: contents

    /// Tread: the answer's bytes go where they belong at once.
    func read(_ request: GuestPieces, _ room: GuestPieces, _ size: Int, _ tag: UInt16) throws(FileError) -> Int {
        var reader = Plan9Reader(request.bytes(Plan9.headerBytes, min(size - Plan9.headerBytes, 16)))
        let fid = try fids.find(try reader.number()), offset: UInt64 = try reader.number(), wanted: UInt32 = try reader.number()
        let space = min(room.count, messageBytes) - Plan9.readHeaderBytes
        guard space >= 0 else { throw FileError(EMSGSIZE) }
        let count = min(Int(wanted), space), target = room.slice(Plan9.readHeaderBytes, count)
        let done: Int
        switch fid.content {
        case .file(let descriptor, _): done = try Self.transfer(target, offset) { preadv(descriptor, $0, $1, $2) }
        case .attributeRead(let bytes):
            let start = Int(clamping: min(offset, UInt64(bytes.count)))
            done = target.fill(0, bytes: Array(bytes[start...].prefix(count)))
        default: throw FileError(EBADF)
        }
        var header = Plan9Writer()
        header.add(UInt32(done))
        return room.fill(0, bytes: Plan9Writer.header(Plan9Request.read.rawValue + 1, tag: tag, body: 4 + done) + header.bytes) + done
    }

    /// Twrite: from where the bytes are.
    func write(_ request: GuestPieces, _ room: GuestPieces, _ size: Int, _ tag: UInt16) throws(FileError) -> Int {
        var reader = Plan9Reader(request.bytes(Plan9.headerBytes, min(size - Plan9.headerBytes, 16)))
        let number: UInt32 = try reader.number(), offset: UInt64 = try reader.number(), wanted: UInt32 = try reader.number()
        let fid = try fids.find(number)
        guard Int(wanted) <= size - Plan9.writeHeaderBytes else { throw FileError(EINVAL) }
        let source = request.slice(Plan9.writeHeaderBytes, Int(wanted))
        let done: Int
        switch fid.content {
        case .file(let descriptor, writes: true):
            done = try Self.transfer(source, offset, isReading: false) { pwritev(descriptor, $0, $1, $2) }
            if folder.writesAtOnce, done > 0 { fdatasync(descriptor) }
        case .attributeWrite(let name, let flags, let total, var value):
            // The bytes come in their order.
            guard offset == UInt64(value.count), value.count + source.count <= total else { throw FileError(EINVAL) }
            value += source.bytes(0, source.count)
            fid.content = .attributeWrite(name: name, flags: flags, size: total, value: value)
            done = source.count
        default: throw FileError(EBADF)
        }
        var body = Plan9Writer()
        body.add(UInt32(done))
        return try send(Plan9Request.write.rawValue + 1, tag, body.bytes, room)
    }

    /// Moves bytes between a file at `offset` and guest memory. - Returns: how many; less at a file's end.
    private static func transfer(_ memory: GuestPieces, _ offset: UInt64, isReading: Bool = true, _ call: (UnsafePointer<iovec>, Int32, off_t) -> Int) throws(FileError) -> Int {
        guard let start = off_t(exactly: offset), !start.addingReportingOverflow(off_t(memory.count)).overflow else { throw FileError(EINVAL) }
        let maximumVectors = 1024
        var done = 0
        if isReading { memory.willWrite() }
        defer { if isReading { memory.willWrite() } }
        while done < memory.count {
            let vectors = memory.slice(done).pieces.prefix(maximumVectors).map { iovec(iov_base: $0.host, iov_len: $0.count) }
            let count = vectors.withUnsafeBufferPointer { buffer in buffer.baseAddress.map { call($0, Int32(buffer.count), start + off_t(done)) } ?? 0 }
            if count < 0 {
                if errno == EINTR { continue }
                // What was moved counts.
                if done > 0 { break }
                throw .last
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    // MARK: folders

    func readFolder(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer, room: Int) throws(FileError) {
        let fid = try fids.find(try reader.number()), offset: UInt64 = try reader.number(), wanted: UInt32 = try reader.number()
        guard case .folder(let descriptor) = fid.content else { throw FileError(ENOTDIR) }
        let space = min(Int(wanted), room - 4)
        guard space > 0, lseek(descriptor, off_t(truncatingIfNeeded: offset), SEEK_SET) >= 0 else { throw FileError(EINVAL) }
        var status = stat()
        try SharedFolder.check(fstat(descriptor, &status))
        var entries = Plan9Writer(), isFull = false
        while entries.bytes.isEmpty, !isFull {
            let list = try Self.entries(descriptor, min(space, 1 << 16))
            if list.isEmpty { break }
            for entry in list where !folder.isHidden(entry.name) {
                guard entries.bytes.count + 24 + entry.name.count <= space else { isFull = true; break }
                entries.add(identity(entry, isTop: fid.path.isTop, folder: status))
                entries.add(entry.next)
                // The kind that the guest sees of a mapped file is known by its attributes only.
                entries.add(folder.security.isMapped ? 0 : entry.kind)
                entries.add(string: entry.name)
            }
        }
        guard !entries.bytes.isEmpty || !isFull else { throw FileError(EINVAL) }
        writer.add(UInt32(entries.bytes.count))
        writer.add(bytes: entries.bytes)
    }

    private struct Entry {
        var file: UInt64
        /// Where to go on behind it.
        var next: UInt64
        /// As d_type of readdir(3).
        var kind: UInt8
        var name: [UInt8]
    }

    private func identity(_ entry: Entry, isTop: Bool, folder: stat) -> Plan9Identity {
        let kind: UInt8 = switch entry.kind { case 4: 0x80; case 10: 2; default: 0 }
        // Above the top there is the top.
        let file = isTop && entry.name == [0x2e, 0x2e] ? UInt64(folder.st_ino) : entry.file
        return Plan9Identity(kind: kind, version: 0, path: number(of: file, on: UInt64(folder.st_dev)))
    }

    /// The next entries of an open folder (getdents64(2)); none: its end.
    private static func entries(_ descriptor: Int32, _ size: Int) throws(FileError) -> [Entry] {
        let fixed = 19
        var bytes = [UInt8](repeating: 0, count: max(size, 1024))
        let count = bytes.withUnsafeMutableBytes { apus_syscall(Int(SYS_getdents64), Int(descriptor), Int(bitPattern: $0.baseAddress), $0.count, 0, 0, 0) }
        guard count >= 0 else { throw FileError(Int32(truncatingIfNeeded: -count)) }
        var entries: [Entry] = [], at = 0
        while at + fixed < count {
            let length = Int(bytes.number(at + 16, as: UInt16.self))
            guard length > fixed, at + length <= count else { break }
            entries.append(Entry(file: bytes.number(at), next: bytes.number(at + 8), kind: bytes[at + 18], name: Array(bytes[at + fixed ..< at + length].prefix { $0 != 0 })))
            at += length
        }
        return entries
    }
}
