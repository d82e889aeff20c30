/// Layouts of `<linux/ipc.h>`, `<linux/shm.h>`, `<linux/sem.h>`, `<linux/msg.h>`, `<linux/mqueue.h>` (the 64-bit id
/// structures that the kernel calls `IPC_64`), and sockets.
package extension StructLayout {
    static let ipcPermissions = StructLayout("ipc64_perm") {
        [("key", .i32), ("uid", .u32), ("gid", .u32), ("cuid", .u32), ("cgid", .u32), ("mode", .u32), ("seq", .u16),
         ("pad2", .padding(2)), ("unused1", .ulong), ("unused2", .ulong)]
    }
    /// amd64 leaves a gap after each time; 32-bit guests have the upper halves there.
    static let semaphoreSet = StructLayout("semid64_ds", fields: { flavour in
        flavour == .x86
            ? [("sem_perm", .structure(.ipcPermissions)), ("sem_otime", .long), ("unused1", .ulong),
               ("sem_ctime", .long), ("unused2", .ulong), ("sem_nsems", .ulong), ("unused3", .ulong),
               ("unused4", .ulong)]
            : [("sem_perm", .structure(.ipcPermissions)), ("sem_otime", .time), ("sem_ctime", .time),
               ("sem_nsems", .ulong), ("unused3", .ulong), ("unused4", .ulong)]
    })
    static let sharedMemory = StructLayout("shmid64_ds") {
        [("shm_perm", .structure(.ipcPermissions)), ("shm_segsz", .ulong), ("shm_atime", .time), ("shm_dtime", .time),
         ("shm_ctime", .time), ("shm_cpid", .i32), ("shm_lpid", .i32), ("shm_nattch", .ulong), ("unused4", .ulong),
         ("unused5", .ulong)]
    }
    static let messageQueue = StructLayout("msqid64_ds") {
        [("msg_perm", .structure(.ipcPermissions)), ("msg_stime", .time), ("msg_rtime", .time), ("msg_ctime", .time),
         ("msg_cbytes", .ulong), ("msg_qnum", .ulong), ("msg_qbytes", .ulong), ("msg_lspid", .i32),
         ("msg_lrpid", .i32), ("unused4", .ulong), ("unused5", .ulong)]
    }
    static let semaphoreInfo = StructLayout("seminfo") { [("seminfo", .array(.i32, 10))] }
    static let sharedMemoryLimits = StructLayout("shminfo64") { [("shminfo", .array(.ulong, 9))] }
    static let sharedMemoryInfo = StructLayout("shm_info") {
        [("used_ids", .i32), ("shm_tot", .ulong), ("shm_rss", .ulong), ("shm_swp", .ulong),
         ("swap_attempts", .ulong), ("swap_successes", .ulong)]
    }
    static let messageInfo = StructLayout("msginfo") {
        [("msginfo", .array(.i32, 7)), ("msgseg", .u16)]
    }
    static let queueAttributes = StructLayout("mq_attr") {
        [("mq_flags", .long), ("mq_maxmsg", .long), ("mq_msgsize", .long), ("mq_curmsgs", .long),
         ("reserved", .array(.long, 4))]
    }

    static let messageHeader = StructLayout("msghdr") {
        [("msg_name", .pointer), ("msg_namelen", .i32), ("msg_iov", .pointer), ("msg_iovlen", .ulong),
         ("msg_control", .pointer), ("msg_controllen", .ulong), ("msg_flags", .u32)]
    }
    static let multipleMessageHeader = StructLayout("mmsghdr") {
        [("msg_hdr", .structure(.messageHeader)), ("msg_len", .u32)]
    }
    static let controlHeader = StructLayout("cmsghdr") {
        [("cmsg_len", .ulong), ("cmsg_level", .i32), ("cmsg_type", .i32)]
    }
    static let credentials = StructLayout("ucred") { [("pid", .i32), ("uid", .u32), ("gid", .u32)] }
    /// `struct __kernel_sock_timeval` of the options with 64-bit times.
    static let socketTime64 = StructLayout("__kernel_sock_timeval") { [("tv_sec", .i64), ("tv_usec", .i64)] }
    static let linger = StructLayout("linger") { [("l_onoff", .i32), ("l_linger", .i32)] }
    static let filterProgram = StructLayout("sock_fprog") { [("len", .u16), ("filter", .pointer)] }
    static let filterInstruction = StructLayout("sock_filter") {
        [("code", .u16), ("jt", .u8), ("jf", .u8), ("k", .u32)]
    }
    static let groupRequest = StructLayout("group_req") {
        [("gr_interface", .u32), ("gr_align", .array(.long, 0)), ("gr_group", .bytes(128))]
    }
}
