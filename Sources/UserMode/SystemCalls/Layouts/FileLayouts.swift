/// Layouts of `<linux/fcntl.h>`, `<linux/stat.h>`, `<linux/statfs.h>`, `<linux/uio.h>`, `<linux/eventpoll.h>` and their
/// neighbours.
package extension StructLayout {
    /// `struct stat` of `newfstatat` and `fstat`: amd64 has its own, the others `asm-generic/stat.h`.
    static let stat = StructLayout("stat", fields: { flavour in
        switch flavour {
        case .x86:
            [("st_dev", .ulong), ("st_ino", .ulong), ("st_nlink", .ulong), ("st_mode", .u32), ("st_uid", .u32),
             ("st_gid", .u32), ("pad0", .padding(4)), ("st_rdev", .ulong), ("st_size", .long), ("st_blksize", .long),
             ("st_blocks", .long), ("st_atime", .ulong), ("st_atime_nsec", .ulong), ("st_mtime", .ulong),
             ("st_mtime_nsec", .ulong), ("st_ctime", .ulong), ("st_ctime_nsec", .ulong), ("unused", .padding(24))]
        default:
            [("st_dev", .ulong), ("st_ino", .ulong), ("st_mode", .u32), ("st_nlink", .u32), ("st_uid", .u32),
             ("st_gid", .u32), ("st_rdev", .ulong), ("pad1", .padding(8)), ("st_size", .long), ("st_blksize", .i32),
             ("pad2", .padding(4)), ("st_blocks", .long), ("st_atime", .long), ("st_atime_nsec", .ulong),
             ("st_mtime", .long), ("st_mtime_nsec", .ulong), ("st_ctime", .long), ("st_ctime_nsec", .ulong),
             ("unused", .padding(8))]
        }
    })

    static let statxTimestamp = StructLayout("statx_timestamp") {
        [("tv_sec", .i64), ("tv_nsec", .u32), ("reserved", .padding(4))]
    }
    static let statx = StructLayout("statx") {
        [("stx_mask", .u32), ("stx_blksize", .u32), ("stx_attributes", .u64), ("stx_nlink", .u32), ("stx_uid", .u32),
         ("stx_gid", .u32), ("stx_mode", .u16), ("spare0", .padding(2)), ("stx_ino", .u64), ("stx_size", .u64),
         ("stx_blocks", .u64), ("stx_attributes_mask", .u64), ("stx_atime", .structure(.statxTimestamp)),
         ("stx_btime", .structure(.statxTimestamp)), ("stx_ctime", .structure(.statxTimestamp)),
         ("stx_mtime", .structure(.statxTimestamp)), ("stx_rdev_major", .u32), ("stx_rdev_minor", .u32),
         ("stx_dev_major", .u32), ("stx_dev_minor", .u32), ("stx_mnt_id", .u64), ("stx_dio_mem_align", .u32),
         ("stx_dio_offset_align", .u32), ("spare3", .array(.u64, 12))]
    }
    static let statfs = StructLayout("statfs") {
        [("f_type", .long), ("f_bsize", .long), ("f_blocks", .ulong), ("f_bfree", .ulong), ("f_bavail", .ulong),
         ("f_files", .ulong), ("f_ffree", .ulong), ("f_fsid", .array(.i32, 2)), ("f_namelen", .long),
         ("f_frsize", .long), ("f_flags", .long), ("f_spare", .array(.long, 4))]
    }
    /// That of 32-bit guests, whose numbers of blocks and files have 64 bits.
    static let statfs64 = StructLayout("statfs64") {
        [("f_type", .long), ("f_bsize", .long), ("f_blocks", .u64), ("f_bfree", .u64), ("f_bavail", .u64),
         ("f_files", .u64), ("f_ffree", .u64), ("f_fsid", .array(.i32, 2)), ("f_namelen", .long), ("f_frsize", .long),
         ("f_flags", .long), ("f_spare", .array(.long, 4))]
    }
    static let flock = StructLayout("flock") {
        [("l_type", .i16), ("l_whence", .i16), ("l_start", .long), ("l_len", .long), ("l_pid", .i32)]
    }
    static let flock64 = StructLayout("flock64") {
        [("l_type", .i16), ("l_whence", .i16), ("l_start", .i64), ("l_len", .i64), ("l_pid", .i32)]
    }
    static let ownerEx = StructLayout("f_owner_ex") { [("type", .i32), ("pid", .i32)] }
    static let iovec = StructLayout("iovec") { [("iov_base", .pointer), ("iov_len", .ulong)] }
    static let offset = StructLayout("loff_t") { [("offset", .i64)] }
    static let openHow = StructLayout("open_how") { [("flags", .u64), ("mode", .u64), ("resolve", .u64)] }
    /// The compiler of amd64 is told to pack it, so that its 32-bit programs agree.
    static let epollEvent = StructLayout("epoll_event", packedOn: [.x86], fields: { _ in
        [("events", .u32), ("data", .u64)]
    })
    static let pollFile = StructLayout("pollfd") { [("fd", .i32), ("events", .i16), ("revents", .i16)] }
    static let fileHandle = StructLayout("file_handle") { [("handle_bytes", .u32), ("handle_type", .i32)] }
    static let cacheRange = StructLayout("cachestat_range") { [("off", .u64), ("len", .u64)] }
    static let cacheState = StructLayout("cachestat") { [("nr", .array(.u64, 5))] }
    static let mountAttributes = StructLayout("mount_attr") {
        [("attr_set", .u64), ("attr_clr", .u64), ("propagation", .u64), ("userns_fd", .u64)]
    }
    static let fileTimes64 = StructLayout("timespec64[2]") { [("t", .array(.structure(.timespec64), 2))] }
    static let fileTimes = StructLayout("timespec[2]") { [("t", .array(.structure(.timespec), 2))] }
}
