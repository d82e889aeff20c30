// A server of 9P2000.L: takes one message at a time and answers it. Used by one thread at a time.
//
// As in QEMU, locks are the guest's own: Tlock always succeeds, nothing is locked on the host. There is no authentication.

import Core
import Glibc

final class Plan9Server {
    let folder: SharedFolder
    var fids: Plan9Fids
    /// The largest message, as negotiated.
    private(set) var messageBytes = Plan9.minimumMessage
    /// Numbers of the file systems that were met, so that files of two do not look the same.
    private var fileSystems: [UInt64: UInt64] = [:]

    /// - Parameter maximumOpen: files and folders that may be open at a time.
    init(_ folder: SharedFolder, maximumOpen: Int) {
        self.folder = folder
        fids = Plan9Fids(maximumOpen: maximumOpen)
    }

    /// A client has attached.
    var isInUse: Bool { !fids.isEmpty }

    func reset() {
        fids.removeAll()
        messageBytes = Plan9.minimumMessage
    }

    // MARK: one message

    /// Answers the message in `request`. - Returns: the bytes written to `room`; nil: that is no message, or there is no room.
    func answer(_ request: GuestPieces, _ room: GuestPieces) -> Int? {
        let header = request.bytes(0, Plan9.headerBytes)
        guard header.count == Plan9.headerBytes, room.count >= Plan9.headerBytes + 4 else { return nil }
        let size = Int(header.number(0, as: UInt32.self)), kind = header[4], tag: UInt16 = header.number(5)
        guard size >= Plan9.headerBytes, size <= request.count else { return nil }
        do throws(FileError) {
            guard size <= max(messageBytes, Plan9.minimumMessage) else { throw FileError(EMSGSIZE) }
            guard let type = Plan9Request(rawValue: kind) else { throw FileError(EOPNOTSUPP) }
            if type == .read { return try read(request, room, size, tag) }
            if type == .write { return try write(request, room, size, tag) }
            var reader = Plan9Reader(request.bytes(Plan9.headerBytes, size - Plan9.headerBytes)), writer = Plan9Writer()
            try perform(type, &reader, &writer, room: min(room.count, messageBytes) - Plan9.headerBytes)
            return try send(kind &+ 1, tag, writer.bytes, room)
        } catch {
            let body = withUnsafeBytes(of: UInt32(bitPattern: error.number).littleEndian) { Array($0) }
            return room.fill(0, bytes: Plan9Writer.header(Plan9.errorType, tag: tag, body: 4) + body)
        }
    }

    func send(_ type: UInt8, _ tag: UInt16, _ body: [UInt8], _ room: GuestPieces) throws(FileError) -> Int {
        guard Plan9.headerBytes + body.count <= room.count else { throw FileError(EMSGSIZE) }
        return room.fill(0, bytes: Plan9Writer.header(type, tag: tag, body: body.count) + body)
    }

    private func perform(_ type: Plan9Request, _ reader: inout Plan9Reader, _ writer: inout Plan9Writer, room: Int) throws(FileError) {
        switch type {
        case .version: try negotiate(&reader, &writer)
        case .authenticate: throw FileError(EOPNOTSUPP)
        case .attach: try attach(&reader, &writer)
        case .walk: try walk(&reader, &writer)
        // Messages are answered in their order: what is to be flushed has its answer.
        case .flush: _ = try reader.number(UInt16.self)
        case .clunk: try clunk(&reader)
        case .remove: try remove(&reader)
        case .open: try open(&reader, &writer)
        case .create: try create(&reader, &writer)
        case .readFolder: try readFolder(&reader, &writer, room: room)
        case .synchronise: try synchronise(&reader)
        case .statistics: try statistics(&reader, &writer)
        case .attributes: try attributes(&reader, &writer)
        case .setAttributes: try setAttributes(&reader)
        case .readLink: try readLink(&reader, &writer)
        case .symbolicLink: try makeLink(&reader, &writer)
        case .node: try makeNode(&reader, &writer)
        case .folder: try makeFolder(&reader, &writer)
        case .link: try link(&reader)
        case .rename: try rename(&reader)
        case .renameAt: try renameAt(&reader)
        case .unlinkAt: try unlinkAt(&reader)
        case .lock: try lock(&reader, &writer)
        case .getLock: try getLock(&reader, &writer)
        case .walkAttribute: try walkAttribute(&reader, &writer)
        case .createAttribute: try createAttribute(&reader)
        case .read, .write: throw FileError(EOPNOTSUPP)
        }
    }

    // MARK: sessions

    private func negotiate(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let size: UInt32 = try reader.number(), version = try reader.string()
        // A new session: whatever was open is not any more.
        reset()
        guard version == Array("9P2000.L".utf8) else {
            writer.add(size)
            return writer.add(string: Array("unknown".utf8))
        }
        guard size >= UInt32(Plan9.minimumMessage) else { throw FileError(EMSGSIZE) }
        messageBytes = min(Int(size), Plan9.maximumMessage)
        writer.add(UInt32(messageBytes))
        writer.add(string: version)
    }

    private func attach(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let number: UInt32 = try reader.number()
        _ = try reader.number(UInt32.self)
        _ = try reader.string()
        _ = try reader.string()
        let user: UInt32 = try reader.number()
        let info = try folder.status(.top)
        try fids.add(number, Plan9Fid(.top, user: user))
        writer.add(identity(info))
    }

    private func walk(_ reader: inout Plan9Reader, _ writer: inout Plan9Writer) throws(FileError) {
        let number: UInt32 = try reader.number(), new: UInt32 = try reader.number()
        let count = Int(try reader.number(UInt16.self))
        guard count <= Plan9.maximumWalk else { throw FileError(EINVAL) }
        let fid = try fids.find(number)
        var names: [[UInt8]] = []
        for _ in 0 ..< count { names.append(try reader.string()) }
        guard new == number || fids[new] == nil else { throw FileError(EBADF) }
        // An open file is not somewhere else all of a sudden.
        if new == number { guard case .path = fid.content else { throw FileError(EINVAL) } }
        var path = fid.path, found: [Plan9Identity] = []
        for name in names {
            do throws(FileError) {
                path = try step(path, name)
                found.append(identity(try folder.status(path)))
            } catch {
                // Names that lead somewhere are told, and the fid stays where it is.
                guard !found.isEmpty else { throw error }
                break
            }
        }
        if found.count == names.count {
            if new == number { fids.move(fid, to: path) } else { try fids.add(new, Plan9Fid(path, user: fid.user)) }
        }
        writer.add(UInt16(found.count))
        for identity in found { writer.add(identity) }
    }

    /// One name further. Only folders have names in them.
    private func step(_ path: SharedPath, _ name: [UInt8]) throws(FileError) -> SharedPath {
        if name == [0x2e, 0x2e] { return path.parent }
        guard !name.isEmpty, !name.contains(UInt8(ascii: "/")), name != [0x2e], !folder.isHidden(name) else { throw FileError(ENOENT) }
        guard name.count <= Plan9.nameBytes else { throw FileError(ENAMETOOLONG) }
        return try path.appending(name)
    }

    private func clunk(_ reader: inout Plan9Reader) throws(FileError) {
        let fid = try fids.remove(try reader.number())
        guard case .attributeWrite(let name, let flags, let size, let value) = fid.content else { return }
        guard value.count == size else { throw FileError(EINVAL) }
        try folder.setAttribute(fid.path, name, value, flags: flags)
    }

    // MARK: for the other files

    /// The name of a file to be made, or with another name.
    func newName(_ reader: inout Plan9Reader) throws(FileError) -> [UInt8] {
        let name = try reader.name()
        guard !folder.isHidden(name) else { throw FileError(EINVAL) }
        return name
    }

    func identity(_ info: stat) -> Plan9Identity {
        let kind: UInt8 = switch info.st_mode & S_IFMT { case S_IFDIR: 0x80; case S_IFLNK: 2; default: 0 }
        let version = UInt32(truncatingIfNeeded: info.st_mtim.tv_sec) ^ UInt32(truncatingIfNeeded: info.st_size << 8)
        return Plan9Identity(kind: kind, version: version, path: number(of: UInt64(info.st_ino), on: UInt64(info.st_dev)))
    }

    /// A file's number, with that of its file system in the high bits.
    func number(of file: UInt64, on device: UInt64) -> UInt64 {
        if let known = fileSystems[device] { return file ^ known << 48 }
        guard fileSystems.count < 1024 else { return file ^ device << 48 }
        let new = UInt64(fileSystems.count)
        fileSystems[device] = new
        return file ^ new << 48
    }

    /// Bytes that one Tread or Twrite should carry, a multiple of the file's blocks.
    func unit(_ info: stat) -> UInt32 {
        let room = messageBytes - Plan9.overheadBytes, block = Int(info.st_blksize)
        return UInt32(truncatingIfNeeded: block > 0 && block <= room ? room / block * block : room)
    }
}
