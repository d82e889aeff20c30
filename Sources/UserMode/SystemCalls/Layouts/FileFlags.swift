/// Flags and enumerations of files, directories, polling and events, with the kernel headers' names and values.
package extension FlagSet {
    /// `asm-generic/fcntl.h`; arm and arm64 number four of them otherwise.
    static let open = FlagSet(varies: true) {
        [Flag("O_WRONLY", 1, mask: 3), Flag("O_RDWR", 2, mask: 3), Flag("O_RDONLY", 0, mask: 3),
         Flag("O_CREAT", 0o100), Flag("O_EXCL", 0o200), Flag("O_NOCTTY", 0o400), Flag("O_TRUNC", 0o1000),
         Flag("O_APPEND", 0o2000), Flag("O_NONBLOCK", 0o4000),
         Flag("O_TMPFILE", 0o20200000, arm: 0o20040000),
         Flag("O_DIRECT", 0o40000, arm: 0o200000), Flag("O_LARGEFILE", 0o100000, arm: 0o400000),
         Flag("O_DIRECTORY", 0o200000, arm: 0o40000), Flag("O_NOFOLLOW", 0o400000, arm: 0o100000),
         Flag("O_NOATIME", 0o1000000), Flag("O_CLOEXEC", 0o2000000), Flag("O_SYNC", 0o4010000),
         Flag("O_DSYNC", 0o10000), Flag("O_PATH", 0o10000000), Flag("FASYNC", 0o20000)]
    }
    static let at = FlagSet {
        ["AT_SYMLINK_NOFOLLOW": 0x100, "AT_SYMLINK_FOLLOW": 0x400, "AT_NO_AUTOMOUNT": 0x800, "AT_EMPTY_PATH": 0x1000,
         "AT_STATX_FORCE_SYNC": 0x2000, "AT_STATX_DONT_SYNC": 0x4000, "AT_RECURSIVE": 0x8000]
    }
    static let atAccess = FlagSet {
        ["AT_SYMLINK_NOFOLLOW": 0x100, "AT_EACCESS": 0x200, "AT_EMPTY_PATH": 0x1000]
    }
    static let unlink = FlagSet { ["AT_REMOVEDIR": 0x200] }
    static let access = FlagSet(varies: false) { [Flag("F_OK", 0, mask: 7), Flag("R_OK", 4), Flag("W_OK", 2), Flag("X_OK", 1)] }
    static let rename = FlagSet { ["RENAME_NOREPLACE": 1, "RENAME_EXCHANGE": 2, "RENAME_WHITEOUT": 4] }
    static let whence = FlagSet.enumeration {
        ["SEEK_SET": 0, "SEEK_CUR": 1, "SEEK_END": 2, "SEEK_DATA": 3, "SEEK_HOLE": 4]
    }
    static let fileControl = FlagSet.enumeration {
        ["F_DUPFD": 0, "F_GETFD": 1, "F_SETFD": 2, "F_GETFL": 3, "F_SETFL": 4, "F_GETLK": 5, "F_SETLK": 6,
         "F_SETLKW": 7, "F_SETOWN": 8, "F_GETOWN": 9, "F_SETSIG": 10, "F_GETSIG": 11, "F_SETOWN_EX": 15,
         "F_GETOWN_EX": 16, "F_GETOWNER_UIDS": 17, "F_OFD_GETLK": 36, "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38,
         "F_SETLEASE": 1024, "F_GETLEASE": 1025, "F_NOTIFY": 1026, "F_DUPFD_CLOEXEC": 1030, "F_SETPIPE_SZ": 1031,
         "F_GETPIPE_SZ": 1032, "F_ADD_SEALS": 1033, "F_GET_SEALS": 1034, "F_GET_RW_HINT": 1035,
         "F_SET_RW_HINT": 1036, "F_GET_FILE_RW_HINT": 1037, "F_SET_FILE_RW_HINT": 1038]
    }
    static let closeOnExec = FlagSet(varies: false) { [Flag("O_CLOEXEC", 0o2000000)] }
    static let pipe = FlagSet(varies: true) {
        [Flag("O_CLOEXEC", 0o2000000), Flag("O_NONBLOCK", 0o4000), Flag("O_DIRECT", 0o40000, arm: 0o200000),
         Flag("O_NOTIFICATION_PIPE", 0o200)]
    }
    static let closeRange = FlagSet { ["CLOSE_RANGE_UNSHARE": 2, "CLOSE_RANGE_CLOEXEC": 4] }
    static let readWrite = FlagSet {
        ["RWF_HIPRI": 1, "RWF_DSYNC": 2, "RWF_SYNC": 4, "RWF_NOWAIT": 8, "RWF_APPEND": 16]
    }
    static let fallocate = FlagSet {
        ["FALLOC_FL_KEEP_SIZE": 1, "FALLOC_FL_PUNCH_HOLE": 2, "FALLOC_FL_NO_HIDE_STALE": 4,
         "FALLOC_FL_COLLAPSE_RANGE": 8, "FALLOC_FL_ZERO_RANGE": 16, "FALLOC_FL_INSERT_RANGE": 32,
         "FALLOC_FL_UNSHARE_RANGE": 64]
    }
    static let syncRange = FlagSet {
        ["SYNC_FILE_RANGE_WAIT_BEFORE": 1, "SYNC_FILE_RANGE_WRITE": 2, "SYNC_FILE_RANGE_WAIT_AFTER": 4]
    }
    static let lock = FlagSet { ["LOCK_SH": 1, "LOCK_EX": 2, "LOCK_NB": 4, "LOCK_UN": 8] }
    static let advice = FlagSet.enumeration {
        ["POSIX_FADV_NORMAL": 0, "POSIX_FADV_RANDOM": 1, "POSIX_FADV_SEQUENTIAL": 2, "POSIX_FADV_WILLNEED": 3,
         "POSIX_FADV_DONTNEED": 4, "POSIX_FADV_NOREUSE": 5]
    }
    static let splice = FlagSet {
        ["SPLICE_F_MOVE": 1, "SPLICE_F_NONBLOCK": 2, "SPLICE_F_MORE": 4, "SPLICE_F_GIFT": 8]
    }
    static let memoryFile = FlagSet {
        ["MFD_CLOEXEC": 1, "MFD_ALLOW_SEALING": 2, "MFD_HUGETLB": 4, "MFD_NOEXEC_SEAL": 8, "MFD_EXEC": 16]
    }
    static let statxMask = FlagSet {
        ["STATX_ALL": 0xfff, "STATX_BASIC_STATS": 0x7ff, "STATX_TYPE": 1, "STATX_MODE": 2, "STATX_NLINK": 4,
         "STATX_UID": 8, "STATX_GID": 0x10, "STATX_ATIME": 0x20, "STATX_MTIME": 0x40, "STATX_CTIME": 0x80,
         "STATX_INO": 0x100, "STATX_SIZE": 0x200, "STATX_BLOCKS": 0x400, "STATX_BTIME": 0x800,
         "STATX_MNT_ID": 0x1000, "STATX_DIOALIGN": 0x2000]
    }
    static let attribute = FlagSet { ["XATTR_CREATE": 1, "XATTR_REPLACE": 2] }
    static let mount = FlagSet {
        ["MS_RDONLY": 1, "MS_NOSUID": 2, "MS_NODEV": 4, "MS_NOEXEC": 8, "MS_SYNCHRONOUS": 16, "MS_REMOUNT": 32,
         "MS_MANDLOCK": 64, "MS_DIRSYNC": 128, "MS_NOATIME": 1024, "MS_NODIRATIME": 2048, "MS_BIND": 4096,
         "MS_MOVE": 8192, "MS_REC": 16384, "MS_SILENT": 32768, "MS_PRIVATE": 1 << 18, "MS_SLAVE": 1 << 19,
         "MS_SHARED": 1 << 20, "MS_RELATIME": 1 << 21, "MS_STRICTATIME": 1 << 24, "MS_LAZYTIME": 1 << 25]
    }
    static let unmount = FlagSet { ["MNT_FORCE": 1, "MNT_DETACH": 2, "MNT_EXPIRE": 4, "UMOUNT_NOFOLLOW": 8] }

    // Polling and events
    static let epollCreate = FlagSet { ["EPOLL_CLOEXEC": 0o2000000] }
    static let epollControl = FlagSet.enumeration { ["EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3] }
    static let eventFile = FlagSet { ["EFD_SEMAPHORE": 1, "EFD_NONBLOCK": 0o4000, "EFD_CLOEXEC": 0o2000000] }
    static let timerFile = FlagSet { ["TFD_NONBLOCK": 0o4000, "TFD_CLOEXEC": 0o2000000] }
    static let timerFileSet = FlagSet { ["TFD_TIMER_ABSTIME": 1, "TFD_TIMER_CANCEL_ON_SET": 2] }
    static let signalFile = FlagSet { ["SFD_NONBLOCK": 0o4000, "SFD_CLOEXEC": 0o2000000] }
    static let inotify = FlagSet { ["IN_NONBLOCK": 0o4000, "IN_CLOEXEC": 0o2000000] }
    static let inotifyMask = FlagSet {
        ["IN_ALL_EVENTS": 0xfff, "IN_ACCESS": 1, "IN_MODIFY": 2, "IN_ATTRIB": 4, "IN_CLOSE_WRITE": 8,
         "IN_CLOSE_NOWRITE": 16, "IN_OPEN": 32, "IN_MOVED_FROM": 64, "IN_MOVED_TO": 128, "IN_CREATE": 256,
         "IN_DELETE": 512, "IN_DELETE_SELF": 1024, "IN_MOVE_SELF": 2048, "IN_ONLYDIR": 1 << 24,
         "IN_DONT_FOLLOW": 1 << 25, "IN_EXCL_UNLINK": 1 << 26, "IN_MASK_CREATE": 1 << 28, "IN_MASK_ADD": 1 << 29,
         "IN_ONESHOT": 1 << 31]
    }
}
