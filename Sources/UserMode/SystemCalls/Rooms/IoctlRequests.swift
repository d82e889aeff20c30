import CHost
import Glibc

/// The requests of `ioctl`, numbered as in `asm-generic/ioctls.h`, `<linux/fs.h>` and `<linux/sockios.h>`.
extension IoctlCalls {
    /// ioctl_tty(2)
    static let terminalRequests: [Request] = [
        Request(0x5401, "TCGETS", .output(.terminal)), Request(0x5402, "TCSETS", .input(.terminal)),
        Request(0x5403, "TCSETSW", .input(.terminal), waits: true),
        Request(0x5404, "TCSETSF", .input(.terminal), waits: true),
        Request(0x5405, "TCGETA", .output(.oldTerminal)), Request(0x5406, "TCSETA", .input(.oldTerminal)),
        Request(0x5407, "TCSETAW", .input(.oldTerminal), waits: true),
        Request(0x5408, "TCSETAF", .input(.oldTerminal), waits: true),
        Request(0x5409, "TCSBRK", .value, waits: true), Request(0x540a, "TCXONC", .value),
        Request(0x540b, "TCFLSH", .value), Request(0x540c, "TIOCEXCL", .none), Request(0x540d, "TIOCNXCL", .none),
        Request(0x540e, "TIOCSCTTY", .value), Request(0x540f, "TIOCGPGRP", .output(.cInt)),
        Request(0x5410, "TIOCSPGRP", .input(.cInt)), Request(0x5411, "TIOCOUTQ", .output(.cInt)),
        Request(0x5412, "TIOCSTI", .opaque), Request(0x5413, "TIOCGWINSZ", .output(.windowSize)),
        Request(0x5414, "TIOCSWINSZ", .input(.windowSize)), Request(0x5415, "TIOCMGET", .output(.cInt)),
        Request(0x5416, "TIOCMBIS", .input(.cInt)), Request(0x5417, "TIOCMBIC", .input(.cInt)),
        Request(0x5418, "TIOCMSET", .input(.cInt)), Request(0x5419, "TIOCGSOFTCAR", .output(.cInt)),
        Request(0x541a, "TIOCSSOFTCAR", .input(.cInt)), Request(0x541b, "FIONREAD", .output(.cInt)),
        Request(0x541d, "TIOCCONS", .none), Request(0x5420, "TIOCPKT", .input(.cInt)),
        Request(0x5421, "FIONBIO", .input(.cInt)), Request(0x5422, "TIOCNOTTY", .none),
        Request(0x5423, "TIOCSETD", .input(.cInt)), Request(0x5424, "TIOCGETD", .output(.cInt)),
        Request(0x5425, "TCSBRKP", .value, waits: true), Request(0x5427, "TIOCSBRK", .none),
        Request(0x5428, "TIOCCBRK", .none), Request(0x5429, "TIOCGSID", .output(.cInt)),
        Request(0x802c_542a, "TCGETS2", .output(.terminal2)), Request(0x402c_542b, "TCSETS2", .input(.terminal2)),
        Request(0x402c_542c, "TCSETSW2", .input(.terminal2), waits: true),
        Request(0x402c_542d, "TCSETSF2", .input(.terminal2), waits: true),
        Request(0x8004_5430, "TIOCGPTN", .output(.cInt)), Request(0x4004_5431, "TIOCSPTLCK", .input(.cInt)),
        Request(0x4004_5436, "TIOCSIG", .value), Request(0x5437, "TIOCVHANGUP", .none),
        Request(0x8004_5438, "TIOCGPKT", .output(.cInt)), Request(0x8004_5439, "TIOCGPTLCK", .output(.cInt)),
        Request(0x8004_5440, "TIOCGEXCL", .output(.cInt)), Request(0x5441, "TIOCGPTPEER", .value),
        Request(0x5450, "FIONCLEX", .none), Request(0x5451, "FIOCLEX", .none), Request(0x5452, "FIOASYNC", .input(.cInt)),
        // Consoles: what programs ask to find out whether they are on one.
        Request(0x4b33, "KDGKBTYPE", .opaque), Request(0x4b3a, "KDSETMODE", .value),
        Request(0x4b3b, "KDGETMODE", .output(.cInt)), Request(0x4b44, "KDGKBMODE", .output(.cInt)),
        Request(0x4b45, "KDSKBMODE", .value),
    ]

    /// Files, file systems and block devices: ioctl_fs(2) and `<linux/fs.h>`.
    static let fileRequests: [Request] = [
        Request(0x1, "FIBMAP", .both(.cInt)), Request(0x2, "FIGETBSZ", .output(.cInt)),
        Request(0x5460, "FIOQSIZE", .output(.cUnsigned64)),
        Request(0x8008_6601, "FS_IOC_GETFLAGS", .output(.cInt)), Request(0x4008_6602, "FS_IOC_SETFLAGS", .input(.cInt)),
        Request(0x8004_6601, "FS_IOC32_GETFLAGS", .output(.cInt)),
        Request(0x4004_6602, "FS_IOC32_SETFLAGS", .input(.cInt)),
        Request(0x8008_7601, "FS_IOC_GETVERSION", .output(.cInt)),
        Request(0x4008_7602, "FS_IOC_SETVERSION", .input(.cInt)),
        Request(0x801c_581f, "FS_IOC_FSGETXATTR", .output(.extendedAttributes)),
        Request(0x401c_5820, "FS_IOC_FSSETXATTR", .input(.extendedAttributes)),
        Request(0x8100_9431, "FS_IOC_GETFSLABEL", .opaque), Request(0x4100_9432, "FS_IOC_SETFSLABEL", .opaque),
        Request(0xc004_5877, "FIFREEZE", .both(.cInt)), Request(0xc004_5878, "FITHAW", .both(.cInt)),
        Request(0xc018_5879, "FITRIM", .both(.trimRange)),
        Request(0x4004_9409, "FICLONE", .value), Request(0x4020_940d, "FICLONERANGE", .input(.cloneRange)),
        Request(0xc020_660b, "FS_IOC_FIEMAP", .opaque),
        Request(0x125d, "BLKROSET", .input(.cInt)), Request(0x125e, "BLKROGET", .output(.cInt)),
        Request(0x125f, "BLKRRPART", .none), Request(0x1260, "BLKGETSIZE", .output(.cLong)),
        Request(0x1261, "BLKFLSBUF", .none), Request(0x1262, "BLKRASET", .value),
        Request(0x1263, "BLKRAGET", .output(.cLong)), Request(0x1268, "BLKSSZGET", .output(.cInt)),
        Request(0x8008_1270, "BLKBSZGET", .output(.cInt)), Request(0x4008_1271, "BLKBSZSET", .input(.cInt)),
        Request(0x8008_1272, "BLKGETSIZE64", .output(.cUnsigned64)),
        Request(0x1277, "BLKDISCARD", .opaque, waits: true), Request(0x1278, "BLKIOMIN", .output(.cInt)),
        Request(0x1279, "BLKIOOPT", .output(.cInt)), Request(0x127a, "BLKALIGNOFF", .output(.cInt)),
        Request(0x127b, "BLKPBSZGET", .output(.cInt)), Request(0x127c, "BLKDISCARDZEROES", .output(.cInt)),
        Request(0x127e, "BLKROTATIONAL", .opaque), Request(0x127f, "BLKZEROOUT", .opaque, waits: true),
        Request(0x301, "HDIO_GETGEO", .output(.geometry)),
        // Loop devices
        Request(0x4c00, "LOOP_SET_FD", .value), Request(0x4c01, "LOOP_CLR_FD", .none),
        Request(0x4c82, "LOOP_CTL_GET_FREE", .none),
        // Namespaces: ioctl_ns(2); descriptors of processes
        Request(0xb701, "NS_GET_USERNS", .none), Request(0xb702, "NS_GET_PARENT", .none),
        Request(0xb703, "NS_GET_NSTYPE", .none), Request(0xb704, "NS_GET_OWNER_UID", .output(.cInt)),
        // The random source
        Request(0x8004_5200, "RNDGETENTCNT", .output(.cInt)), Request(0x4004_5201, "RNDADDTOENTCNT", .input(.cInt)),
        // Real-time clocks
        Request(0x8024_7009, "RTC_RD_TIME", .opaque), Request(0x4024_700a, "RTC_SET_TIME", .opaque),
    ]

    /// Sockets and network interfaces: netdevice(7).
    static let networkRequests: [Request] = [
        Request(0x8901, "FIOSETOWN", .input(.cInt)), Request(0x8902, "SIOCSPGRP", .input(.cInt)),
        Request(0x8903, "FIOGETOWN", .output(.cInt)), Request(0x8904, "SIOCGPGRP", .output(.cInt)),
        Request(0x8905, "SIOCATMARK", .output(.cInt)),
        Request(0x8906, "SIOCGSTAMP_OLD", .output(.timeval)), Request(0x8907, "SIOCGSTAMPNS_OLD", .output(.timespec)),
        Request(0x8910, "SIOCGIFNAME", .both(.interfaceInteger)),
        Request(0x8912, "SIOCGIFCONF", .special(interfaceList)),
        Request(0x8913, "SIOCGIFFLAGS", .both(.interfaceShort)), Request(0x8914, "SIOCSIFFLAGS", .input(.interfaceShort)),
        Request(0x8915, "SIOCGIFADDR", .both(.interfaceAddress)), Request(0x8916, "SIOCSIFADDR", .input(.interfaceAddress)),
        Request(0x8917, "SIOCGIFDSTADDR", .both(.interfaceAddress)),
        Request(0x8918, "SIOCSIFDSTADDR", .input(.interfaceAddress)),
        Request(0x8919, "SIOCGIFBRDADDR", .both(.interfaceAddress)),
        Request(0x891a, "SIOCSIFBRDADDR", .input(.interfaceAddress)),
        Request(0x891b, "SIOCGIFNETMASK", .both(.interfaceAddress)),
        Request(0x891c, "SIOCSIFNETMASK", .input(.interfaceAddress)),
        Request(0x891d, "SIOCGIFMETRIC", .both(.interfaceInteger)),
        Request(0x8921, "SIOCGIFMTU", .both(.interfaceInteger)), Request(0x8922, "SIOCSIFMTU", .input(.interfaceInteger)),
        Request(0x8924, "SIOCSIFHWADDR", .input(.interfaceAddress)),
        Request(0x8927, "SIOCGIFHWADDR", .both(.interfaceAddress)),
        Request(0x8933, "SIOCGIFINDEX", .both(.interfaceInteger)), Request(0x8938, "SIOCGIFCOUNT", .both(.interfaceInteger)),
        Request(0x8942, "SIOCGIFTXQLEN", .both(.interfaceInteger)),
        Request(0x8943, "SIOCSIFTXQLEN", .input(.interfaceInteger)),
        Request(0x8953, "SIOCDARP", .input(.arpRequest)), Request(0x8954, "SIOCGARP", .both(.arpRequest)),
        Request(0x8955, "SIOCSARP", .input(.arpRequest)),
        Request(0x8b01, "SIOCGIWNAME", .both(.interfaceAddress)),
    ]

    /// SIOCGIFCONF: a list of `ifreq`, whose size differs with the word.
    private static func interfaceList(_ call: SystemCall) -> SystemCallResult {
        let fd = Int(call.int(0))
        if call.shape.wordSize == 8 && !call.model.bigEndian && call.memory.base == 0 {
            return .value(call.host(SYS_ioctl, fd, 0x8912, call.pointer(at: 2)))
        }
        let word = UInt64(call.model.wordSize)
        guard let length = call.readInt(call[2]), let list = call.readPointer(call[2] &+ word) else {
            return .error(EFAULT)
        }
        let guestSize = StructLayout.interfaceAddress.conversions(call.shape).guest.size
        let room = list == 0 ? 1024 : max(0, min(Int(length) / guestSize, 1024))
        return withUnsafeTemporaryAllocation(byteCount: max(room, 1) * 40, alignment: 8) { buffer in
            guard let base = buffer.baseAddress else { return .error(EFAULT) }
            var header = (room * 40, Int(bitPattern: base))
            let result = withUnsafeMutableBytes(of: &header) {
                call.host(SYS_ioctl, fd, 0x8912, Int(bitPattern: $0.baseAddress))
            }
            guard result >= 0 else { return .value(result) }
            let count = min(Int(Int32(truncatingIfNeeded: header.0)) / 40, room)
            if list != 0 {
                for index in 0..<count {
                    guard call.writeStructure(.interfaceAddress, list &+ UInt64(index * guestSize), base + index * 40) else {
                        return .error(EFAULT)
                    }
                }
            }
            return call.writeInteger(call[2], UInt64(count * guestSize), size: 4) ? .value(result) : .error(EFAULT)
        }
    }
}
