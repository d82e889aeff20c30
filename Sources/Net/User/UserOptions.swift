// The options of `-netdev user`: addresses, names and forwarding rules.

import Core
import Glibc

/// A host's address and port, or a path.
enum ForwardPlace: Sendable, Equatable {
    case inet(in_addr_t, UInt16)
    case unix(String)
}

/// `hostfwd=[tcp|udp|unix]:[hostaddr]:hostport-[guestaddr]:guestport`
struct HostForward: Sendable, Equatable {
    var isUDP = false
    var host: ForwardPlace
    /// In network byte order; 0: the first address that DHCP gives.
    var guestAddress: in_addr_t = 0
    var guestPort: UInt16 = 0

    init(_ text: String) throws(ConfigurationError) {
        let bad = ConfigurationError("hostfwd '\(text)': expected [tcp|udp]:[ADDRESS]:PORT-[ADDRESS]:PORT or unix:PATH-[ADDRESS]:PORT")
        guard let colon = text.firstIndex(of: ":"), let dash = text.lastIndex(of: "-"), colon < dash else { throw bad }
        let kind = text[..<colon], outside = text[text.index(after: colon) ..< dash]
        guard ["", "tcp", "udp", "unix"].contains(kind) else { throw bad }
        isUDP = kind == "udp"
        if kind == "unix" {
            guard !outside.isEmpty else { throw bad }
            host = .unix(String(outside))
        } else {
            guard let (address, port) = Self.place(outside, least: 0) else { throw bad }
            host = .inet(address, port)
        }
        guard let (address, port) = Self.place(text[text.index(after: dash)...], least: 1) else { throw bad }
        (guestAddress, guestPort) = (address, port)
    }

    /// `[ADDRESS]:PORT`
    static func place(_ text: Substring, least: UInt16) -> (in_addr_t, UInt16)? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = UInt16(parts[1]), port >= least else { return nil }
        guard !parts[0].isEmpty else { return (0, port) }
        return address(String(parts[0])).map { ($0, port) }
    }

    /// Network byte order.
    static func address(_ text: String) -> in_addr_t? {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1 ? address.s_addr : nil
    }
}

/// `guestfwd=[tcp]:server:port-dev` and `-cmd:command`
struct GuestForward: Sendable, Equatable {
    var address: in_addr_t
    var port: UInt16
    /// A stream as `-serial` names it, or `cmd:` and a command for the shell.
    var target: String

    init(_ text: String) throws(ConfigurationError) {
        let bad = ConfigurationError("guestfwd '\(text)': expected tcp:ADDRESS:PORT-DEVICE or tcp:ADDRESS:PORT-cmd:COMMAND")
        guard let colon = text.firstIndex(of: ":"), let dash = text.firstIndex(of: "-"), colon < dash, ["", "tcp"].contains(text[..<colon]) else { throw bad }
        guard let (address, port) = HostForward.place(text[text.index(after: colon) ..< dash], least: 1) else { throw bad }
        self.address = address
        self.port = port
        target = String(text[text.index(after: dash)...])
        guard !target.isEmpty, target != "cmd:" else { throw bad }
    }
}

/// What a user-mode network looks like from the guest.
struct UserOptions {
    var isRestricted = false
    var hasIPv4 = true, hasIPv6 = true
    /// In network byte order.
    var network: in_addr_t = 0, mask: in_addr_t = 0, host: in_addr_t = 0, firstLease: in_addr_t = 0, nameServer: in_addr_t = 0
    var prefix = in6_addr(), prefixLength: UInt8 = 64, host6 = in6_addr(), nameServer6 = in6_addr()
    var hostname: String?, domain: String?, tftp: String?, tftpServer: String?, bootFile: String?
    var searchDomains: [String] = []
    var hostForwards: [HostForward] = []
    var guestForwards: [GuestForward] = []

    init(_ options: inout OptionValues) throws(ConfigurationError) {
        isRestricted = try options.flag("restrict", default: false)
        let four = try options.flag("ipv4", default: true), six = try options.flag("ipv6", default: true)
        hasIPv4 = four
        hasIPv6 = six
        guard four || six else { throw ConfigurationError("\(options.owner): neither ipv4 nor ipv6 is on") }
        try takeIPv4(&options)
        try takeIPv6(&options)
        hostname = options.take("hostname")
        domain = options.take("domainname")
        tftp = options.take("tftp")
        tftpServer = options.take("tftp-server-name")
        bootFile = options.take("bootfile")
        searchDomains = options.takeAll("dnssearch")
        for text in options.takeAll("hostfwd") { hostForwards.append(try HostForward(text)) }
        for text in options.takeAll("guestfwd") { guestForwards.append(try GuestForward(text)) }
        if options.take("smb") != nil || options.take("smbserver") != nil { throw ConfigurationError("\(options.owner): 'smb' is not supported") }
    }

    private mutating func takeIPv4(_ options: inout OptionValues) throws(ConfigurationError) {
        func address(_ name: String) throws(ConfigurationError) -> UInt32? {
            guard let text = options.take(name) else { return nil }
            guard let value = HostForward.address(text) else { throw ConfigurationError("\(options.owner): '\(name)' is '\(text)', expected an IPv4 address") }
            return UInt32(bigEndian: value)
        }
        let text = options.take("net") ?? "10.0.2.0/24"
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let first = HostForward.address(parts[0]) else { throw ConfigurationError("\(options.owner): 'net' is '\(text)', expected ADDRESS/BITS") }
        let base = UInt32(bigEndian: first)
        var mask: UInt32 = base >> 31 == 0 ? 0xff00_0000 : base >> 30 == 2 ? 0xffff_0000 : 0xffff_ff00
        if parts.count > 1 {
            if let bits = UInt32(parts[1]), (1 ... 32).contains(bits) {
                mask = bits == 32 ? .max : ~(.max >> bits)
            } else if let given = HostForward.address(parts[1]) {
                mask = UInt32(bigEndian: given)
            } else {
                throw ConfigurationError("\(options.owner): 'net' is '\(text)', expected ADDRESS/BITS")
            }
        }
        let network = base & mask
        // A wide network has the addresses x.0.2.*, as 10.0.2.0 without bits.
        func standard(_ number: UInt32) -> UInt32 { network | (0x200 | number) & ~mask }
        let host = try address("host") ?? standard(2), lease = try address("dhcpstart") ?? standard(15), server = try address("dns") ?? standard(3)
        for (name, value) in [("host", host), ("dhcpstart", lease), ("dns", server)] where value & mask != network {
            throw ConfigurationError("\(options.owner): '\(name)' is outside of the network \(text)")
        }
        guard host != server, hasIPv4 == false || host != lease && lease != server else { throw ConfigurationError("\(options.owner): host, dns and dhcpstart are not different") }
        self.network = network.bigEndian
        self.mask = mask.bigEndian
        self.host = host.bigEndian
        firstLease = lease.bigEndian
        nameServer = server.bigEndian
    }

    private mutating func takeIPv6(_ options: inout OptionValues) throws(ConfigurationError) {
        func address(_ name: String, _ text: String) throws(ConfigurationError) -> in6_addr {
            var value = in6_addr()
            guard inet_pton(AF_INET6, text, &value) == 1 else { throw ConfigurationError("\(options.owner): '\(name)' is '\(text)', expected an IPv6 address") }
            return value
        }
        let text = options.take("ipv6-net") ?? "fec0::/64"
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        prefix = try address("ipv6-net", parts[0])
        if parts.count > 1 {
            guard let bits = UInt8(parts[1]), (1 ... 126).contains(bits) else { throw ConfigurationError("\(options.owner): 'ipv6-net' is '\(text)', expected PREFIX/BITS") }
            prefixLength = bits
        }
        func inside(_ number: UInt8) -> in6_addr {
            var value = prefix
            withUnsafeMutableBytes(of: &value) { $0[15] = number }
            return value
        }
        host6 = try options.take("ipv6-host").map { (text) throws(ConfigurationError) in try address("ipv6-host", text) } ?? inside(2)
        nameServer6 = try options.take("ipv6-dns").map { (text) throws(ConfigurationError) in try address("ipv6-dns", text) } ?? inside(3)
    }

    /// As `info network` shows it.
    var description: String {
        var address = in_addr(s_addr: network)
        var text = [CChar](repeating: 0, count: 64)
        inet_ntop(AF_INET, &address, &text, 64)
        let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "index=0,type=user,net=\(name),restrict=\(isRestricted ? "on" : "off")"
    }
}
