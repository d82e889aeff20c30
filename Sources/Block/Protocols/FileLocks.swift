// The byte locks by which QEMU and Apus keep out of each other's images: open file description locks (fcntl(2)) of one
// byte a permission. Byte 100 + n is locked shared by who uses permission n, byte 200 + n by who does not let others
// use it. Who takes a permission looks whether anybody holds the opposite byte.

import Glibc
import Host

final class FileLocks: Sendable {
    private static let setLock: Int32 = 37
    private static let getLock: Int32 = 36
    private static let usedBase = 100
    private static let unsharedBase = 200
    private static let names: [(Permissions, String)] = [
        (.consistentRead, "consistent read"), (.write, "write"), (.writeUnchanged, "write unchanged"), (.resize, "resize"),
    ]

    private let descriptor: Int32
    private let path: String
    private struct State { var used: Permissions = []; var unshared: Permissions = [] }
    private let state = Locked(State())

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    private func change(_ byte: Int, _ type: Int) -> Bool {
        var lock = flock()
        lock.l_type = Int16(type)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = byte
        lock.l_len = 1
        return fcntl(descriptor, FileLocks.setLock, &lock) == 0
    }

    /// Whether another open file description holds the byte.
    private func isHeld(_ byte: Int) -> Bool {
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = byte
        lock.l_len = 1
        return fcntl(descriptor, FileLocks.getLock, &lock) == 0 && lock.l_type != Int16(F_UNLCK)
    }

    /// Replaces what is held. File systems without such locks are used without them, as QEMU does.
    func set(using used: Permissions, sharing: Permissions) throws(BlockError) {
        try state.withLock { (state) throws(BlockError) in
            let unshared = Permissions.all.subtracting(sharing)
            let old = state
            // First take everything wanted, then look, then drop what is no longer wanted: no gap in between.
            for (permission, _) in FileLocks.names {
                let bit = permission.rawValue.trailingZeroBitCount
                if used.contains(permission) { _ = change(FileLocks.usedBase + bit, Int(F_RDLCK)) }
                if unshared.contains(permission) { _ = change(FileLocks.unsharedBase + bit, Int(F_RDLCK)) }
            }
            var refusal: BlockError?
            for (permission, name) in FileLocks.names where refusal == nil {
                let bit = permission.rawValue.trailingZeroBitCount
                if used.contains(permission), isHeld(FileLocks.unsharedBase + bit) { refusal = inUse("\"\(name)\"") }
                else if unshared.contains(permission), isHeld(FileLocks.usedBase + bit) { refusal = inUse("shared \"\(name)\"") }
            }
            if refusal == nil { state = State(used: used, unshared: unshared) }
            for (permission, _) in FileLocks.names {
                let bit = permission.rawValue.trailingZeroBitCount
                if !state.used.contains(permission), old.used.contains(permission) || used.contains(permission) {
                    _ = change(FileLocks.usedBase + bit, Int(F_UNLCK))
                }
                if !state.unshared.contains(permission), old.unshared.contains(permission) || unshared.contains(permission) {
                    _ = change(FileLocks.unsharedBase + bit, Int(F_UNLCK))
                }
            }
            if let refusal { throw refusal }
        }
    }

    private func inUse(_ what: String) -> BlockError {
        BlockError(.inUse, "Failed to get \(what) lock\nIs another process using the image [\(path)]?")
    }
}
