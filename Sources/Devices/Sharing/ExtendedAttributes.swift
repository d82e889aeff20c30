// Calls of xattr(7) for paths whose last name is not followed, by number: Swift's module of the C library leaves them out.

import CHost
import Glibc

enum ExtendedAttributes {
    private static func call(_ number: Int, _ path: [UInt8], _ name: [UInt8], _ memory: UnsafeRawPointer?, _ count: Int, _ flags: Int32 = 0) -> Int {
        SharedFolder.call(path) { path in
            SharedFolder.call(name) { apus_syscall(number, Int(bitPattern: path), Int(bitPattern: $0), Int(bitPattern: memory), count, Int(flags), 0) }
        }
    }

    /// - Throws: the error that a raw result stands for.
    private static func checked(_ result: Int) throws(FileError) -> Int {
        guard result >= 0 else { throw FileError(Int32(truncatingIfNeeded: -result)) }
        return result
    }

    /// The value, of at most `maximum` bytes. - Parameter follows: the path's last name may be a link (of /proc).
    static func value(_ path: [UInt8], _ name: [UInt8], maximum: Int, follows: Bool = false) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: maximum)
        let result = bytes.withUnsafeMutableBytes { call(Int(follows ? SYS_getxattr : SYS_lgetxattr), path, name, $0.baseAddress, $0.count) }
        return Array(bytes.prefix(try checked(result)))
    }

    /// All names, each with a NUL behind it.
    static func names(_ path: [UInt8], maximum: Int) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: maximum)
        let result = bytes.withUnsafeMutableBytes { buffer in
            SharedFolder.call(path) { apus_syscall(Int(SYS_llistxattr), Int(bitPattern: $0), Int(bitPattern: buffer.baseAddress), buffer.count, 0, 0, 0) }
        }
        return Array(bytes.prefix(try checked(result)))
    }

    static func set(_ path: [UInt8], _ name: [UInt8], _ value: [UInt8], flags: Int32 = 0) throws(FileError) {
        _ = try checked(value.withUnsafeBytes { call(Int(SYS_lsetxattr), path, name, $0.baseAddress, $0.count, flags) })
    }

    static func remove(_ path: [UInt8], _ name: [UInt8]) throws(FileError) { _ = try checked(call(Int(SYS_lremovexattr), path, name, nil, 0)) }
}
