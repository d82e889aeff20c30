/// Names of sockets' families, types, levels and flags.
package extension FlagSet {
    static let socketFamily = FlagSet.enumeration {
        ["AF_UNSPEC": 0, "AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_PACKET": 17, "AF_ALG": 38,
         "AF_VSOCK": 40]
    }
    static let socketType = FlagSet(varies: false) {
        [Flag("SOCK_STREAM", 1, mask: 15), Flag("SOCK_DGRAM", 2, mask: 15), Flag("SOCK_RAW", 3, mask: 15),
         Flag("SOCK_RDM", 4, mask: 15), Flag("SOCK_SEQPACKET", 5, mask: 15), Flag("SOCK_DCCP", 6, mask: 15),
         Flag("SOCK_PACKET", 10, mask: 15), Flag("SOCK_NONBLOCK", 0o4000), Flag("SOCK_CLOEXEC", 0o2000000)]
    }
    static let socketLevel = FlagSet.enumeration {
        ["SOL_IP": 0, "SOL_SOCKET": 1, "SOL_TCP": 6, "SOL_UDP": 17, "SOL_IPV6": 41, "SOL_RAW": 255, "SOL_PACKET": 263,
         "SOL_NETLINK": 270, "SOL_ALG": 279]
    }
    static let message = FlagSet {
        ["MSG_OOB": 1, "MSG_PEEK": 2, "MSG_DONTROUTE": 4, "MSG_CTRUNC": 8, "MSG_TRUNC": 32, "MSG_DONTWAIT": 64,
         "MSG_EOR": 128, "MSG_WAITALL": 256, "MSG_CONFIRM": 0x800, "MSG_ERRQUEUE": 0x2000, "MSG_NOSIGNAL": 0x4000,
         "MSG_MORE": 0x8000, "MSG_WAITFORONE": 0x10000, "MSG_ZEROCOPY": 0x4000000, "MSG_FASTOPEN": 0x20000000,
         "MSG_CMSG_CLOEXEC": 0x40000000]
    }
}
