/// Layouts that `ioctl` uses: terminals (`asm-generic/termbits.h`), network interfaces, file attributes.
package extension StructLayout {
    static let terminal = StructLayout("termios") {
        [("c_iflag", .u32), ("c_oflag", .u32), ("c_cflag", .u32), ("c_lflag", .u32), ("c_line", .u8),
         ("c_cc", .bytes(19))]
    }
    static let terminal2 = StructLayout("termios2") {
        [("c_iflag", .u32), ("c_oflag", .u32), ("c_cflag", .u32), ("c_lflag", .u32), ("c_line", .u8),
         ("c_cc", .bytes(19)), ("c_ispeed", .u32), ("c_ospeed", .u32)]
    }
    static let oldTerminal = StructLayout("termio") {
        [("c_iflag", .u16), ("c_oflag", .u16), ("c_cflag", .u16), ("c_lflag", .u16), ("c_line", .u8),
         ("c_cc", .bytes(8)), ("align", .array(.u16, 0))]
    }
    static let windowSize = StructLayout("winsize") { [("ws", .array(.u16, 4))] }
    static let cInt = StructLayout("int") { [("value", .i32)] }
    static let cLong = StructLayout("long") { [("value", .long)] }
    static let cUnsigned64 = StructLayout("u64") { [("value", .u64)] }
    static let cSize = StructLayout("size_t") { [("value", .ulong)] }
    static let geometry = StructLayout("hd_geometry") {
        [("heads", .u8), ("sectors", .u8), ("cylinders", .u16), ("start", .ulong)]
    }
    /// `struct ifreq` of calls that carry an address, an integer or nothing besides the name.
    static let interfaceAddress = StructLayout("ifreq", { [("ifr_name", .bytes(16)), ("ifr_addr", .bytes(16)),
                                                           ("rest", .array(.pointer, 0)), ("tail", .padding(8))] })
    static let interfaceInteger = StructLayout("ifreq int") {
        [("ifr_name", .bytes(16)), ("ifr_value", .i32), ("rest", .padding(20))]
    }
    static let interfaceShort = StructLayout("ifreq short") {
        [("ifr_name", .bytes(16)), ("ifr_flags", .u16), ("rest", .padding(22))]
    }
    static let interfaceList = StructLayout("ifconf") { [("ifc_len", .i32), ("ifc_buf", .pointer)] }
    static let arpRequest = StructLayout("arpreq") {
        [("arp_pa", .bytes(16)), ("arp_ha", .bytes(16)), ("arp_flags", .i32), ("arp_netmask", .bytes(16)),
         ("arp_dev", .bytes(16))]
    }
    static let extendedAttributes = StructLayout("fsxattr") {
        [("fsx", .array(.u32, 5)), ("fsx_pad", .bytes(8))]
    }
    static let trimRange = StructLayout("fstrim_range") { [("start", .u64), ("len", .u64), ("minlen", .u64)] }
    static let cloneRange = StructLayout("file_clone_range") {
        [("src_fd", .i64), ("src_offset", .u64), ("src_length", .u64), ("dest_offset", .u64)]
    }
}
