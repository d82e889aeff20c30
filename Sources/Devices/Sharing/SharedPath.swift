// Where a file is in a shared folder: names from its top, joined by slashes. There is no "." and no ".." in it, whatever the
// guest says, and no name of it is looked up through a symbolic link.

import Glibc

struct SharedPath: Hashable {
    /// Empty: the shared folder itself.
    let bytes: [UInt8]
    private static let slash = UInt8(ascii: "/")
    /// As long as the host takes.
    private static let maximumBytes = 4000

    static let top = SharedPath(bytes: [])
    private init(bytes: [UInt8]) { self.bytes = bytes }

    var isTop: Bool { bytes.isEmpty }

    /// The file `name` in this folder; the name has been checked (`Plan9Reader.name`).
    func appending(_ name: [UInt8]) throws(FileError) -> SharedPath {
        guard bytes.count + name.count < Self.maximumBytes else { throw FileError(ENAMETOOLONG) }
        return SharedPath(bytes: isTop ? name : bytes + [Self.slash] + name)
    }

    /// The folder it is in; above the top there is nothing.
    var parent: SharedPath { SharedPath(bytes: bytes.lastIndex(of: Self.slash).map { Array(bytes[..<$0]) } ?? []) }
    /// The last name; empty at the top.
    var name: [UInt8] { bytes.lastIndex(of: Self.slash).map { Array(bytes[($0 + 1)...]) } ?? bytes }

    /// Whether it is `folder` or in it.
    func isWithin(_ folder: SharedPath) -> Bool {
        folder.isTop || bytes == folder.bytes || (bytes.count > folder.bytes.count && bytes.starts(with: folder.bytes) && bytes[folder.bytes.count] == Self.slash)
    }

    /// Where it is once `old`, which it is within, is called `new`.
    func moved(from old: SharedPath, to new: SharedPath) -> SharedPath { SharedPath(bytes: new.bytes + bytes.dropFirst(old.bytes.count)) }
}
