import CHost
import Glibc

/// Opening, reading, writing and describing files: `open(2)` to `xattr(7)`. Record locks and the other commands of
/// `fcntl` are in `FileControl.swift`, scattered reads and writes in `VectoredFiles.swift`.
enum FileCalls {
    static let files: [SystemCallDescription] = [
        SystemCallDescription("openat", [.dirfd, .path, .flags(.open), .mode], openAt),
        SystemCallDescription("open", [.path, .flags(.open), .mode], open),
        SystemCallDescription("openat2", [.dirfd, .path, .structIn(.openHow), .size], openAt2),
        SystemCallDescription("close", [.fd], close),
        SystemCallDescription("close_range", [.unsigned, .unsigned, .flags(.closeRange)], closeRange),
        .host("creat", SYS_creat, [.string, .mode], .waits),
        .host("read", SYS_read, [.fd, .bufferOut, .size], .waits),
        .host("write", SYS_write, [.fd, .bufferIn(length: 2), .size], .waits),
        .host("pread64", SYS_pread64, [.fd, .bufferOut, .size, .offset], .waits),
        .host("pwrite64", SYS_pwrite64, [.fd, .bufferIn(length: 2), .size, .offset], .waits),
        .host("lseek", SYS_lseek, [.fd, .long, .flags(.whence)]),
        .host("dup", SYS_dup, [.fd]),
        SystemCallDescription("dup3", [.fd, .fd, .flags(.closeOnExec)], duplicate3),
        SystemCallDescription("dup2", [.fd, .fd], duplicate2),
        .host("pipe2", SYS_pipe2, [.integerOut, .flags(.pipe)]),
        .host("pipe", SYS_pipe, [.integerOut]),
        .host("ftruncate", SYS_ftruncate, [.fd, .offset]),
        .host("truncate", SYS_truncate, [.string, .offset]),
        .host("ftruncate64", SYS_ftruncate, [.fd, .offset]),
        .host("truncate64", SYS_truncate, [.string, .offset]),
        SystemCallDescription("llseek", [.fd, .hex, .hex, .structOut(.offset), .flags(.whence)], seek),
        .host("fallocate", SYS_fallocate, [.fd, .flags(.fallocate), .offset, .offset], .waits),
        .host("fsync", SYS_fsync, [.fd], .waits),
        .host("fdatasync", SYS_fdatasync, [.fd], .waits),
        .host("sync", SYS_sync, []),
        .host("syncfs", SYS_syncfs, [.fd]),
        .host("sync_file_range", SYS_sync_file_range, [.fd, .offset, .offset, .flags(.syncRange)]),
        .host("readahead", SYS_readahead, [.fd, .offset, .size]),
        .host("fadvise64", SYS_fadvise64, [.fd, .offset, .size, .flags(.advice)]),
        .host("fadvise64_64", SYS_fadvise64, [.fd, .offset, .offset, .flags(.advice)]),
        .host("copy_file_range", SYS_copy_file_range,
              [.fd, .structInOut(.offset), .fd, .structInOut(.offset), .size, .hex], .waits),
        .host("sendfile", SYS_sendfile, [.fd, .fd, .structInOut(.cLong), .size], .waits),
        .host("sendfile64", SYS_sendfile, [.fd, .fd, .structInOut(.offset), .size], .waits),
        .host("splice", SYS_splice,
              [.fd, .structInOut(.offset), .fd, .structInOut(.offset), .size, .flags(.splice)], .waits),
        .host("tee", SYS_tee, [.fd, .fd, .size, .flags(.splice)], .waits),
        .host("flock", SYS_flock, [.fd, .flags(.lock)], .waits),
        .host("memfd_create", SYS_memfd_create, [.string, .flags(.memoryFile)]),
        .host("memfd_secret", SYS_memfd_secret, [.hex]),
        // cachestat, newer than some hosts' headers, has one number on all architectures.
        .host("cachestat", 451, [.fd, .structIn(.cacheRange), .structOut(.cacheState), .hex]),
        .host("ioprio_set", SYS_ioprio_set, [.int, .int, .int]),
        .host("ioprio_get", SYS_ioprio_get, [.int, .int]),
    ]

    /// Attributes of files: who, when, how large.
    static let attributes: [SystemCallDescription] = [
        SystemCallDescription("newfstatat", [.dirfd, .path, .structOut(.stat), .flags(.at)], statAt),
        SystemCallDescription("statx", [.dirfd, .path, .flags(.at), .flags(.statxMask), .structOut(.statx)], statExtended),
        .host("fstat", SYS_fstat, [.fd, .structOut(.stat)]),
        .host("stat", SYS_stat, [.path, .structOut(.stat)]),
        .host("lstat", SYS_lstat, [.pathNoFollow, .structOut(.stat)]),
        .host("statfs", SYS_statfs, [.path, .structOut(.statfs)]),
        .host("fstatfs", SYS_fstatfs, [.fd, .structOut(.statfs)]),
        SystemCallDescription("statfs64", [.path, .size, .structOut(.statfs64)]) { call in
            guard call[1] == 88 else { return .error(EINVAL) }
            return call.withPath(call[0], in: AT_FDCWD, follow: true) { path in
                call.withOutput(.statfs64, call[2]) { .value(call.host(SYS_statfs, path, $0)) }
            }
        },
        SystemCallDescription("fstatfs64", [.fd, .size, .structOut(.statfs64)]) { call in
            guard call[1] == 88 else { return .error(EINVAL) }
            return call.withOutput(.statfs64, call[2]) { .value(call.host(SYS_fstatfs, Int(call.int(0)), $0)) }
        },
        .host("access", SYS_access, [.path, .flags(.access)]),
        .host("faccessat", SYS_faccessat, [.dirfd, .path, .flags(.access)]),
        .host("faccessat2", SYS_faccessat2, [.dirfd, .path, .flags(.access), .flags(.atAccess)]),
        .host("fchmod", SYS_fchmod, [.fd, .mode]),
        .host("fchmodat", SYS_fchmodat, [.dirfd, .string, .mode]),
        // fchmodat2 is newer than some hosts' headers; it has one number on all architectures.
        .host("fchmodat2", 452, [.dirfd, .string, .mode, .flags(.at)]),
        .host("fchown", SYS_fchown, [.fd, .int, .int]),
        .host("fchownat", SYS_fchownat, [.dirfd, .string, .int, .int, .flags(.at)]),
        .host("utimensat", SYS_utimensat, [.dirfd, .path, .structIn(.fileTimes), .flags(.at)]),
        .host("utimensat_time64", SYS_utimensat, [.dirfd, .path, .structIn(.fileTimes64), .flags(.at)]),
        .host("umask", SYS_umask, [.mode]),
        .host("setxattr", SYS_setxattr, [.string, .string, .bufferIn(length: 3), .size, .flags(.attribute)]),
        .host("lsetxattr", SYS_lsetxattr, [.string, .string, .bufferIn(length: 3), .size, .flags(.attribute)]),
        .host("fsetxattr", SYS_fsetxattr, [.fd, .string, .bufferIn(length: 3), .size, .flags(.attribute)]),
        .host("getxattr", SYS_getxattr, [.path, .string, .bufferOut, .size]),
        .host("lgetxattr", SYS_lgetxattr, [.pathNoFollow, .string, .bufferOut, .size]),
        .host("fgetxattr", SYS_fgetxattr, [.fd, .string, .bufferOut, .size]),
        .host("listxattr", SYS_listxattr, [.path, .bufferOut, .size]),
        .host("llistxattr", SYS_llistxattr, [.pathNoFollow, .bufferOut, .size]),
        .host("flistxattr", SYS_flistxattr, [.fd, .bufferOut, .size]),
        .host("removexattr", SYS_removexattr, [.string, .string]),
        .host("lremovexattr", SYS_lremovexattr, [.string, .string]),
        .host("fremovexattr", SYS_fremovexattr, [.fd, .string]),
        .hostUnconverted("setxattrat", 463, [.dirfd, .path, .hex, .string, .pointer, .size]),
        .hostUnconverted("getxattrat", 464, [.dirfd, .path, .hex, .string, .pointer, .size]),
        .host("listxattrat", 465, [.dirfd, .path, .hex, .bufferOut, .size]),
        .host("removexattrat", 466, [.dirfd, .path, .hex, .string]),
        .hostUnconverted("file_getattr", 468, [.dirfd, .path, .pointer, .size, .hex]),
        .hostUnconverted("file_setattr", 469, [.dirfd, .path, .pointer, .size, .hex]),
        .host("name_to_handle_at", SYS_name_to_handle_at, [.dirfd, .path, .structInOut(.fileHandle), .pointer, .flags(.at)]),
        .host("open_by_handle_at", SYS_open_by_handle_at, [.fd, .pointer, .flags(.open)], .waits),
    ]

    /// O_PATH: a name, not its contents.
    private static let pathOnly = 0o10000000

    private static func openAt(_ call: SystemCall) -> SystemCallResult {
        open(call, directory: Int(call.int(0)), path: call[1], flags: call[2], mode: Int(UInt32(truncatingIfNeeded: call[3])))
    }

    private static func open(_ call: SystemCall) -> SystemCallResult {
        open(call, directory: Int(AT_FDCWD), path: call[0], flags: call[1], mode: Int(UInt32(truncatingIfNeeded: call[2])))
    }

    private static func open(_ call: SystemCall, directory: Int, path: UInt64, flags: UInt64,
                             mode: Int) -> SystemCallResult {
        let hostFlags = Int(Int32(truncatingIfNeeded: FlagSet.open.toHost(flags, from: call.process.abi.flavour)))
        let follow = hostFlags & Int(O_NOFOLLOW) == 0
        switch call.lookUp(path, in: Int32(truncatingIfNeeded: directory), follow: follow) {
        case .generated(let file) where hostFlags & (Int(O_ACCMODE) | pathOnly) == Int(O_RDONLY):
            return call.openGenerated(file, flags: hostFlags)
        case .replaced(let replacement):
            return replacement.withPointer { call.host(.waits, SYS_openat, directory, $0, hostFlags, mode) }
        case .unchanged, .generated:
            return call.host(.waits, SYS_openat, directory, call.pointer(path), hostFlags, mode)
        }
    }

    private static func openAt2(_ call: SystemCall) -> SystemCallResult {
        guard call[3] >= 24 else { return .error(EINVAL) }
        // A structure longer than ours may only carry zeros (the kernel's rule for extensible structures).
        if call[3] > 24 {
            guard call[3] <= 4096 else { return .error(E2BIG) }
            for offset in stride(from: UInt64(24), to: call[3], by: 1) {
                guard let byte = call.readInteger(call[2] &+ offset, size: 1) else { return .error(EFAULT) }
                if byte != 0 { return .error(E2BIG) }
            }
        }
        var how: (UInt64, UInt64, UInt64) = (0, 0, 0)
        return withUnsafeMutableBytes(of: &how) { bytes in
            guard let base = bytes.baseAddress, call.readStructure(.openHow, call[2], base) else { return .error(EFAULT) }
            let flags = FlagSet.open.toHost(base.load(as: UInt64.self), from: call.process.abi.flavour)
            base.storeBytes(of: flags, as: UInt64.self)
            let resolve = base.load(fromByteOffset: 16, as: UInt64.self)
            // A lookup confined to a directory means what the host says.
            if resolve == 0, case .generated(let file) = call.lookUp(call[1], in: call.int(0), follow: true) {
                return call.openGenerated(file, flags: Int(truncatingIfNeeded: flags))
            }
            return call.host(.waits, SYS_openat2, Int(call.int(0)), call.pointer(at: 1), Int(bitPattern: base), 24)
        }
    }

    /// The offset in two registers, the high half first; the result goes to memory.
    private static func seek(_ call: SystemCall) -> SystemCallResult {
        let offset = Int64(bitPattern: call[1] << 32 | call[2] & 0xffff_ffff)
        let place = call.host(SYS_lseek, Int(call.int(0)), Int(offset), Int(call.int(4)))
        guard place >= 0 else { return .value(place) }
        return call.writeInteger(call[3], UInt64(bitPattern: place), size: 8) ? .value(0) : .error(EFAULT)
    }

    private static func close(_ call: SystemCall) -> SystemCallResult {
        if PrivateDescriptors.contains(call.int(0)) { return .error(EBADF) }
        // close must not be repeated: the descriptor is gone even if a signal came.
        return .value(call.host(SYS_close, Int(call.int(0))))
    }

    private static func closeRange(_ call: SystemCall) -> SystemCallResult {
        let first = UInt32(truncatingIfNeeded: call[0]), last = UInt32(truncatingIfNeeded: call[1])
        let flags = Int(UInt32(truncatingIfNeeded: call[2]))
        let own = PrivateDescriptors.all.filter { $0 >= first && $0 <= last }
        guard first <= last, !own.isEmpty else { return .value(call.host(SYS_close_range, Int(first), Int(last), flags)) }
        var from = first
        for descriptor in own.sorted() {
            if descriptor > from {
                let result = call.host(SYS_close_range, Int(from), Int(descriptor) - 1, flags)
                if result < 0 { return .value(result) }
            }
            from = descriptor &+ 1
        }
        return from <= last ? .value(call.host(SYS_close_range, Int(from), Int(last), flags)) : .value(0)
    }

    private static func duplicate2(_ call: SystemCall) -> SystemCallResult {
        if PrivateDescriptors.contains(call.int(1)) { return .error(EBADF) }
        return .value(call.host(SYS_dup2, Int(call.int(0)), Int(call.int(1))))
    }

    private static func duplicate3(_ call: SystemCall) -> SystemCallResult {
        if PrivateDescriptors.contains(call.int(1)) { return .error(EBADF) }
        return .value(call.host(SYS_dup3, Int(call.int(0)), Int(call.int(1)), Int(call.int(2))))
    }

    private static func statAt(_ call: SystemCall) -> SystemCallResult {
        call.withPath(call[1], in: call.int(0), follow: call[3] & 0x100 == 0) { path in
            call.withOutput(.stat, call[2]) { buffer in
                // The null pointer must reach the kernel as a bad address even where a copy would stand for it.
                .value(call.host(SYS_newfstatat, Int(call.int(0)), path, buffer, Int(call.int(3))))
            }
        }
    }

    private static func statExtended(_ call: SystemCall) -> SystemCallResult {
        call.withPath(call[1], in: call.int(0), follow: call[2] & 0x100 == 0) { path in
            call.withOutput(.statx, call[4]) { buffer in
                .value(call.host(SYS_statx, Int(call.int(0)), path, Int(call.int(2)), Int(UInt32(truncatingIfNeeded: call[3])),
                                 buffer))
            }
        }
    }
}
