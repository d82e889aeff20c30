// Messages of 9P2000.L as bytes (intro(5) of Plan 9's manual, and the protocol description of diod): a size of four bytes, a
// type, a tag, and fields in little-endian order; strings with their length of two bytes in front.

import Glibc

/// What stands in the way of a request: a number of errno(3), which Rlerror carries.
struct FileError: Error, Equatable {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    /// What the host's last call said.
    static var last: FileError { FileError(errno) }
}

/// Types of requests; the type of the answer is one more.
enum Plan9Request: UInt8 {
    case statistics = 8, open = 12, create = 14, symbolicLink = 16, node = 18, rename = 20, readLink = 22, attributes = 24, setAttributes = 26
    case walkAttribute = 30, createAttribute = 32, readFolder = 40, synchronise = 50, lock = 52, getLock = 54
    case link = 70, folder = 72, renameAt = 74, unlinkAt = 76
    case version = 100, authenticate = 102, attach = 104, flush = 108, walk = 110, read = 116, write = 118, clunk = 120, remove = 122
}

enum Plan9 {
    /// Size, type and tag.
    static let headerBytes = 7
    /// In front of the bytes of Rread and Rreaddir.
    static let readHeaderBytes = 11
    /// In front of the bytes of Twrite.
    static let writeHeaderBytes = 23
    /// What a message may need beside file contents.
    static let overheadBytes = 24
    static let errorType: UInt8 = 7
    static let noFid: UInt32 = ~0
    static let maximumWalk = 16
    static let nameBytes = 255
    /// The largest message that is taken, and the smallest that a client may insist on.
    static let maximumMessage = 1 << 20, minimumMessage = 4096
}

/// The server's name of a file (13 bytes).
struct Plan9Identity: Equatable {
    var kind: UInt8
    var version: UInt32
    var path: UInt64
}

/// Takes a message apart. What is not there makes the request fail with EINVAL.
struct Plan9Reader {
    private let bytes: [UInt8]
    private var at: Int

    /// - Parameter bytes: the message without its header.
    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        at = 0
    }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(FileError) -> Number {
        let width = MemoryLayout<Number>.size
        guard width <= bytes.count - at else { throw FileError(EINVAL) }
        defer { at += width }
        return bytes.number(at)
    }

    /// A string without NUL.
    mutating func string() throws(FileError) -> [UInt8] {
        let count = Int(try number(UInt16.self))
        guard count <= bytes.count - at else { throw FileError(EINVAL) }
        defer { at += count }
        let string = Array(bytes[at ..< at + count])
        guard !string.contains(0) else { throw FileError(EINVAL) }
        return string
    }

    /// The name of one file in a folder: not empty, no slash, neither "." nor "..".
    mutating func name() throws(FileError) -> [UInt8] {
        let name = try string()
        guard !name.isEmpty, !name.contains(UInt8(ascii: "/")) else { throw FileError(ENOENT) }
        guard name != [0x2e], name != [0x2e, 0x2e] else { throw FileError(EEXIST) }
        guard name.count <= Plan9.nameBytes else { throw FileError(ENAMETOOLONG) }
        return name
    }
}

/// Builds the fields of an answer.
struct Plan9Writer {
    private(set) var fields = FieldWriter()
    var bytes: [UInt8] { fields.bytes }

    mutating func add<Number: FixedWidthInteger>(_ value: Number) { fields.add(value) }
    mutating func add(bytes: [UInt8]) { fields.add(bytes) }
    mutating func add(string: [UInt8]) {
        fields.add(UInt16(truncatingIfNeeded: min(string.count, 0xffff)))
        fields.add(Array(string.prefix(0xffff)))
    }
    mutating func add(_ identity: Plan9Identity) {
        fields.add(identity.kind)
        fields.add(identity.version)
        fields.add(identity.path)
    }

    /// The header of a message whose body has `count` bytes.
    static func header(_ type: UInt8, tag: UInt16, body count: Int) -> [UInt8] {
        var fields = FieldWriter()
        fields.add(UInt32(truncatingIfNeeded: Plan9.headerBytes + count))
        fields.add(type)
        fields.add(tag)
        return fields.bytes
    }
}
