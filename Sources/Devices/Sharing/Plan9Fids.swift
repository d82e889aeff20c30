// The files that a client of 9P has names for: its fids, with what each is open for. Their number, their paths and their
// descriptors are bounded, because the client decides how many there are.

import Glibc

/// One fid.
final class Plan9Fid {
    /// What it is open as.
    enum Content {
        case path
        case file(Int32, writes: Bool)
        case folder(Int32)
        /// The bytes of an attribute, or names of attributes, to be read.
        case attributeRead([UInt8])
        /// An attribute that is set when the fid is clunked, once all its bytes have come.
        case attributeWrite(name: [UInt8], flags: Int32, size: Int, value: [UInt8])
    }

    var path: SharedPath
    /// Who attached.
    let user: UInt32
    var content = Content.path

    init(_ path: SharedPath, user: UInt32) {
        self.path = path
        self.user = user
    }

    deinit { if let descriptor { close(descriptor) } }

    var descriptor: Int32? {
        switch content {
        case .file(let descriptor, _), .folder(let descriptor): descriptor
        default: nil
        }
    }

    /// Memory that it holds for the client.
    fileprivate var weight: Int {
        switch content {
        case .attributeRead(let bytes): path.bytes.count + bytes.count + 128
        case .attributeWrite(let name, _, let size, _): path.bytes.count + name.count + size + 128
        default: path.bytes.count + 128
        }
    }
}

/// All fids of a client.
struct Plan9Fids {
    private var table: [UInt32: Plan9Fid] = [:]
    private var weight = 0
    private var open = 0
    private let maximumOpen: Int
    /// Bytes of memory that a client may hold.
    private static let maximumWeight = 64 << 20

    /// - Parameter maximumOpen: files and folders that may be open at a time.
    init(maximumOpen: Int) { self.maximumOpen = maximumOpen }

    var isEmpty: Bool { table.isEmpty }
    var count: Int { table.count }

    subscript(number: UInt32) -> Plan9Fid? { table[number] }

    func find(_ number: UInt32) throws(FileError) -> Plan9Fid {
        guard let fid = table[number] else { throw FileError(ENOENT) }
        return fid
    }

    /// A new fid; its number must not be in use.
    mutating func add(_ number: UInt32, _ fid: Plan9Fid) throws(FileError) {
        guard number != Plan9.noFid, table[number] == nil else { throw FileError(EBADF) }
        guard weight + fid.weight <= Self.maximumWeight else { throw FileError(ENOMEM) }
        weight += fid.weight
        table[number] = fid
    }

    /// Whether one more file may be opened.
    func mayOpen() throws(FileError) { if open >= maximumOpen { throw FileError(EMFILE) } }

    /// Opens a fid that is only a path so far.
    mutating func set(_ fid: Plan9Fid, _ content: Plan9Fid.Content) throws(FileError) {
        let before = fid.weight, old = fid.content
        fid.content = content
        guard weight + fid.weight - before <= Self.maximumWeight else {
            fid.content = old
            throw FileError(ENOMEM)
        }
        weight += fid.weight - before
        if fid.descriptor != nil { open += 1 }
    }

    mutating func move(_ fid: Plan9Fid, to path: SharedPath) {
        weight += path.bytes.count - fid.path.bytes.count
        fid.path = path
    }

    /// A file has another name now, and so has all within it.
    mutating func moved(from old: SharedPath, to new: SharedPath) {
        for fid in table.values where fid.path.isWithin(old) { move(fid, to: fid.path.moved(from: old, to: new)) }
    }

    @discardableResult
    mutating func remove(_ number: UInt32) throws(FileError) -> Plan9Fid {
        guard let fid = table.removeValue(forKey: number) else { throw FileError(ENOENT) }
        weight -= fid.weight
        if fid.descriptor != nil { open -= 1 }
        return fid
    }

    mutating func removeAll() {
        table = [:]
        weight = 0
        open = 0
    }
}
