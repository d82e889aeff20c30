import CHost
import Glibc

/// Names in directories: listing, making, removing, linking; the current and root directories; mounts.
enum DirectoryCalls {
    static let directories: [SystemCallDescription] = [
        // linux_dirent64 has fixed-width fields in native order, the same for every little-endian guest.
        SystemCallDescription("getdents64", [.fd, .bufferOut, .size], listDirectory),
        .host("mkdirat", SYS_mkdirat, [.dirfd, .string, .mode]),
        .host("mkdir", SYS_mkdir, [.string, .mode]),
        .host("rmdir", SYS_rmdir, [.string]),
        .host("unlinkat", SYS_unlinkat, [.dirfd, .string, .flags(.unlink)]),
        .host("unlink", SYS_unlink, [.string]),
        .host("renameat", SYS_renameat, [.dirfd, .string, .dirfd, .string]),
        .host("renameat2", SYS_renameat2, [.dirfd, .string, .dirfd, .string, .flags(.rename)]),
        .host("rename", SYS_rename, [.string, .string]),
        .host("linkat", SYS_linkat, [.dirfd, .string, .dirfd, .string, .flags(.at)]),
        .host("link", SYS_link, [.string, .string]),
        .host("symlinkat", SYS_symlinkat, [.string, .dirfd, .string]),
        .host("symlink", SYS_symlink, [.string, .string]),
        SystemCallDescription("readlinkat", [.dirfd, .pathNoFollow, .bufferOut, .size]) {
            readLink($0, directory: Int($0.int(0)), path: $0[1], buffer: $0[2], size: $0[3])
        },
        SystemCallDescription("readlink", [.pathNoFollow, .bufferOut, .size]) {
            readLink($0, directory: Int(AT_FDCWD), path: $0[0], buffer: $0[1], size: $0[2])
        },
        .host("mknodat", SYS_mknodat, [.dirfd, .string, .mode, .hex]),
        .host("mknod", SYS_mknod, [.string, .mode, .hex]),
        SystemCallDescription("chdir", [.path], changeDirectory),
        .host("fchdir", SYS_fchdir, [.fd]),
        .host("getcwd", SYS_getcwd, [.bufferOut, .size]),
        .host("chroot", SYS_chroot, [.string]),
        .host("pivot_root", SYS_pivot_root, [.string, .string]),
        .host("mount", SYS_mount, [.string, .string, .string, .flags(.mount), .pointer]),
        .host("umount2", SYS_umount2, [.string, .flags(.unmount)]),
        .host("open_tree", SYS_open_tree, [.dirfd, .string, .hex]),
        .host("move_mount", SYS_move_mount, [.dirfd, .string, .dirfd, .string, .hex]),
        .host("fsopen", SYS_fsopen, [.string, .hex]),
        .host("fsconfig", SYS_fsconfig, [.fd, .unsigned, .string, .pointer, .int]),
        .host("fsmount", SYS_fsmount, [.fd, .hex, .hex]),
        .host("fspick", SYS_fspick, [.dirfd, .string, .hex]),
        .host("mount_setattr", SYS_mount_setattr, [.dirfd, .string, .hex, .structIn(.mountAttributes), .size]),
        .host("quotactl", SYS_quotactl, [.hex, .string, .int, .pointer]),
        .host("quotactl_fd", SYS_quotactl_fd, [.fd, .hex, .int, .pointer]),
        .host("swapon", SYS_swapon, [.string, .hex]),
        .host("swapoff", SYS_swapoff, [.string]),
        .hostUnconverted("open_tree_attr", 467, [.dirfd, .path, .hex, .pointer, .size]),
        .host("statmount", 457, [.pointer, .pointer, .size, .hex]),
        .host("listmount", 458, [.pointer, .pointer, .size, .hex]),
        .host("acct", SYS_acct, [.string]),
        .host("vhangup", SYS_vhangup, []),
        .refused("lookup_dcookie", ENOSYS, because: "gone from Linux since 6.8"),
        .refused("nfsservctl", ENOSYS, because: "gone from Linux since 3.1"),
    ]

    /// The host's own directory comes first, unlike for files: what `getcwd` says afterwards is then what was asked for.
    private static func changeDirectory(_ call: SystemCall) -> SystemCallResult {
        let result = call.host(SYS_chdir, call.pointer(at: 0))
        guard result == -Int64(ENOENT) else { return .value(result) }
        return call.withPath(call[0], follow: true) { .value(call.host(SYS_chdir, $0)) }
    }

    private static func listDirectory(_ call: SystemCall) -> SystemCallResult {
        let result = call.host(SYS_getdents64, Int(call.int(0)), call.pointer(at: 1), Int(UInt32(truncatingIfNeeded: call[2])))
        guard call.model.bigEndian, result > 0 else { return .value(result) }
        // Turn d_ino, d_off and d_reclen of each record around, in the guest's buffer.
        var offset: Int64 = 0
        while offset &+ 19 <= result {
            let at = call[1] &+ UInt64(offset)
            var header: (UInt64, UInt64, UInt16) = (0, 0, 0)
            let length: Int64? = withUnsafeMutableBytes(of: &header) { bytes in
                guard let base = bytes.baseAddress, call.copyIn(at, base, 18) else { return nil }
                let length = Int64(base.loadUnaligned(fromByteOffset: 16, as: UInt16.self))
                for (field, size) in [(0, 8), (8, 8), (16, 2)] {
                    let value = IntegerBytes.load(base + field, size, bigEndian: false, signed: false)
                    IntegerBytes.store(value, base + field, size, bigEndian: true)
                }
                return call.copyOut(at, base, 18) ? length : nil
            }
            guard let length, length > 0 else { return .error(EFAULT) }
            offset &+= length
        }
        return .value(result)
    }

    private static func readLink(_ call: SystemCall, directory: Int, path: UInt64, buffer: UInt64,
                                 size: UInt64) -> SystemCallResult {
        if let target = call.linkTarget(path, in: Int32(truncatingIfNeeded: directory)) {
            let length = Int32(truncatingIfNeeded: size)
            guard length > 0 else { return .error(EINVAL) }
            let count = min(target.count, Int(length))
            let copied = target.withUnsafeBytes { bytes in
                bytes.baseAddress.map { call.copyOut(buffer, $0, count) } ?? true
            }
            return copied ? .value(Int64(count)) : .error(EFAULT)
        }
        return call.withPath(path, in: Int32(truncatingIfNeeded: directory), follow: false) {
            .value(call.host(SYS_readlinkat, directory, $0, call.pointer(buffer), Int(Int32(truncatingIfNeeded: size))))
        }
    }
}
