// What goes wrong in the block layer: one type, because every layer passes the errors of the one below on.

import Glibc

/// An error that names the file, the offset and what was expected, as far as they are known where it arose.
public struct BlockError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What a caller may want to tell apart.
    public enum Kind: Sendable, Equatable {
        /// The file does not exist, or may not be opened.
        case cannotOpen
        /// Another process uses the file in a way that excludes this use.
        case inUse
        /// The contents break the format's rules.
        case corrupt
        /// Valid, but not something this Apus does.
        case unsupported
        /// A wrong option, name or size from the user.
        case invalid
        /// The host refused or failed a read, write or flush.
        case input
        /// No space is left, on the host or in the format's tables.
        case noSpace
        /// A write to something opened read-only.
        case readOnly
        /// A job was cancelled.
        case cancelled
    }

    public var kind: Kind
    /// The file at fault; layers above fill it in.
    public var file: String?
    /// Byte offset in that file.
    public var offset: UInt64?
    /// One line: what was found and what was expected.
    public var text: String
    /// The host's error number, 0 if it had no part in this.
    public var number: Int32

    public init(_ kind: Kind, _ text: String, file: String? = nil, offset: UInt64? = nil, number: Int32 = 0) {
        self.kind = kind
        self.text = text
        self.file = file
        self.offset = offset
        self.number = number
    }

    /// The contents of an image are not as its format demands.
    public static func corrupt(at offset: UInt64? = nil, _ text: String) -> BlockError { BlockError(.corrupt, text, offset: offset) }
    /// Something valid that is not done here.
    public static func unsupported(_ text: String, at offset: UInt64? = nil) -> BlockError { BlockError(.unsupported, text, offset: offset) }
    /// The user asked for something that cannot be.
    public static func invalid(_ text: String) -> BlockError { BlockError(.invalid, text) }

    /// The host's error `number`, met while doing what `text` says (left empty: only the host's words).
    public static func host(_ number: Int32, _ text: String = "", file: String? = nil, offset: UInt64? = nil) -> BlockError {
        let reason = String(cString: strerror(number))
        let kind: Kind = switch number {
        case ENOSPC, EDQUOT, EFBIG: .noSpace
        case ENOENT, EACCES, EPERM, EISDIR, ENOTDIR, ELOOP: .cannotOpen
        case EROFS, EBADF: .readOnly
        default: .input
        }
        return BlockError(kind, text.isEmpty ? reason : "\(text): \(reason)", file: file, offset: offset, number: number)
    }

    /// The same error with the file's name, if it had none.
    public func naming(_ name: String) -> BlockError {
        var copy = self
        if copy.file == nil { copy.file = name }
        return copy
    }

    /// `text` with the offset in front, without the file.
    public var place: String { offset.map { "at offset 0x\(String($0, radix: 16)): \(text)" } ?? text }
    public var description: String { (file.map { "\($0): " } ?? "") + place }
}
