// `-netdev user`: a network of the guest's own behind libslirp, which makes connections of its packets. It has a gateway, a
// name server, DHCP, TFTP, and rules that forward ports of the host to the guest and back.

import CSlirp
import Core
import Glibc
import Host

public final class UserNetwork: VerifiedNetworkPort, @unchecked Sendable {
    private let loop: EventLoop
    private let card: CardSide
    private let stack: SlirpStack
    private let options: UserOptions
    private let paths = Locked<[String]>([])
    /// Services of `guestfwd`: kept as long as libslirp may call them.
    private let services = Locked<[GuestService]>([])

    init(_ values: inout OptionValues, loop: EventLoop, makeStream: NetworkSet.MakeStream) throws(ConfigurationError) {
        let options = try UserOptions(&values)
        self.options = options
        self.loop = loop
        // QEMU, too, keeps about so many for a guest that does not look.
        let card = CardSide(loop: loop, limit: 10_000)
        self.card = card
        let library = try SlirpLibrary.load()
        let stack = Self.withConfiguration(options) { SlirpStack(library, loop: loop, configuration: $0) { card.deliver($0) } }
        guard let stack else { throw ConfigurationError("\(values.owner): libslirp refuses these options") }
        self.stack = stack
        for rule in options.hostForwards { try add(rule) }
        for rule in options.guestForwards { try add(rule, makeStream) }
        loop.submit { stack.wantTurn() }
    }

    deinit {
        let stack = stack, services = services.withLock { $0 }
        loop.submit {
            stack.close()
            for service in services { service.close() }
        }
        for path in paths.withLock({ $0 }) { unlink(path) }
    }

    // MARK: NetworkPort

    public func send(_ frame: UnsafeRawBufferPointer) {
        if loop.isCurrent { return stack.input(frame) }
        let copy = [UInt8](frame)
        loop.submit { [stack] in copy.withUnsafeBytes { stack.input($0) } }
    }

    public func attach(_ handlers: NetworkHandlers?) { card.attach(handlers) }
    public func resume() { card.resume() }
    public var isLinkUp: Bool { true }
    public var description: String { options.description }

    // MARK: forwarding

    /// Adds a rule, as `hostfwd=` and `hostfwd_add` write it.
    public func addHostForward(_ text: String) throws(ConfigurationError) { try add(try HostForward(text)) }

    private func add(_ rule: HostForward) throws(ConfigurationError) {
        let stack = stack
        let result: Int32 = loop.perform {
            var guest = sockaddr_in()
            guest.sin_family = sa_family_t(AF_INET)
            guest.sin_port = rule.guestPort.bigEndian
            guest.sin_addr.s_addr = rule.guestAddress
            let result = Self.withAddress(rule.host) { host, length in
                Self.generic(&guest) { stack.library.addForward(stack.slirp, host, length, $0, $1, rule.isUDP ? 1 : 0) }
            }
            stack.wantTurn()
            return result < 0 ? max(1, errno) : 0
        }
        guard result == 0 else { throw ConfigurationError("hostfwd: \(Self.name(rule)) cannot be forwarded: \(String(cString: strerror(result)))") }
        if case .unix(let path) = rule.host { paths.withLock { $0.append(path) } }
    }

    /// Removes a rule: `[tcp|udp]:[ADDRESS]:PORT`. - Returns: whether there was one.
    public func removeHostForward(_ text: String) throws(ConfigurationError) -> Bool {
        let rule = try HostForward(text + "-:1"), stack = stack
        return loop.perform {
            defer { stack.wantTurn() }
            return Self.withAddress(rule.host) { stack.library.removeForward(stack.slirp, $0, $1, rule.isUDP ? 1 : 0) } >= 0
        }
    }

    private func add(_ rule: GuestForward, _ makeStream: NetworkSet.MakeStream) throws(ConfigurationError) {
        let stack = stack
        let bad = ConfigurationError("guestfwd: port \(rule.port) of that address cannot be forwarded")
        if rule.target.hasPrefix("cmd:") {
            let command = String(rule.target.dropFirst(4))
            let result = loop.perform {
                var address = in_addr(s_addr: rule.address)
                return stack.library.addCommand(stack.slirp, command, &address, Int32(rule.port))
            }
            guard result >= 0 else { throw bad }
        } else {
            let service = GuestService(try makeStream(rule.target), stack: stack, loop: loop, address: rule.address, port: rule.port)
            guard loop.perform({ service.open() }) else { throw bad }
            services.withLock { $0.append(service) }
        }
    }

    /// As `info usernet` shows it.
    public var connections: String {
        let stack = stack
        return loop.perform {
            guard let slirp = stack.slirp, let text = stack.library.connections(slirp) else { return "" }
            defer { free(text) }
            return String(cString: text)
        }
    }

    // MARK: C

    private static func name(_ rule: HostForward) -> String {
        switch rule.host {
        case .unix(let path): "'\(path)'"
        case .inet(_, let port): "\(rule.isUDP ? "udp" : "tcp") port \(port)"
        }
    }

    private static func generic<Address>(_ address: inout Address, _ body: (UnsafePointer<sockaddr>?, socklen_t) -> Int32) -> Int32 {
        withUnsafeBytes(of: &address) { body($0.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count)) }
    }

    private static func withAddress(_ place: ForwardPlace, _ body: (UnsafePointer<sockaddr>?, socklen_t) -> Int32) -> Int32 {
        switch place {
        case .inet(let number, let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = number
            return generic(&address, body)
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array(path.utf8)
            guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
                errno = ENAMETOOLONG
                return -1
            }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            return generic(&address, body)
        }
    }

    private static func withConfiguration<Result>(_ options: UserOptions, _ body: (SlirpConfig) -> Result) -> Result {
        var copies: [UnsafeMutablePointer<CChar>] = []
        func text(_ string: String?) -> UnsafePointer<CChar>? {
            guard let string, let copy = strdup(string) else { return nil }
            copies.append(copy)
            return UnsafePointer(copy)
        }
        defer { for copy in copies { free(copy) } }
        var configuration = SlirpConfig()
        configuration.version = 4
        configuration.restricted = options.isRestricted ? 1 : 0
        configuration.in_enabled = options.hasIPv4
        configuration.vnetwork.s_addr = options.network
        configuration.vnetmask.s_addr = options.mask
        configuration.vhost.s_addr = options.host
        configuration.in6_enabled = options.hasIPv6
        configuration.vprefix_addr6 = options.prefix
        configuration.vprefix_len = options.prefixLength
        configuration.vhost6 = options.host6
        configuration.vhostname = text(options.hostname)
        configuration.tftp_server_name = text(options.tftpServer)
        configuration.tftp_path = text(options.tftp)
        configuration.bootfile = text(options.bootFile)
        configuration.vdhcp_start.s_addr = options.firstLease
        configuration.vnameserver.s_addr = options.nameServer
        configuration.vnameserver6 = options.nameServer6
        configuration.vdomainname = text(options.domain)
        var domains = options.searchDomains.map { text($0) } + [nil]
        return domains.withUnsafeMutableBufferPointer { list in
            configuration.vdnssearch = options.searchDomains.isEmpty ? nil : list.baseAddress
            return body(configuration)
        }
    }
}
