// `-netdev dgram`, and `-netdev socket` with udp= and mcast=: one frame a datagram, over UDP (to one peer or a multicast group)
// or Unix sockets.

import Core
import Glibc
import Host

/// An address of a datagram socket, as the system calls take it.
struct DatagramAddress: Sendable, Equatable {
    var bytes: [UInt8]
    /// `127.0.0.1:1234`, or a path.
    var name: String

    var family: Int32 { Int32(bytes.count >= 2 ? UInt16(bytes[0]) | UInt16(bytes[1]) << 8 : 0) }
    var isMulticast: Bool { family == AF_INET && bytes.count >= 8 && bytes[4] >> 4 == 14 }
    /// The IPv4 address, in network byte order.
    var inet: in_addr { in_addr(s_addr: bytes.count < 8 ? 0 : bytes[4 ..< 8].reversed().reduce(0) { $0 << 8 | UInt32($1) }) }

    init(host: String, port: String, owner: String) throws(ConfigurationError) {
        var hints = addrinfo(), list: UnsafeMutablePointer<addrinfo>?
        hints.ai_family = AF_INET
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        let status = getaddrinfo(host.isEmpty ? nil : host, port, &hints, &list)
        guard status == 0, let found = list?.pointee, let address = found.ai_addr else {
            throw ConfigurationError("\(owner): address '\(host):\(port)': \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(list) }
        bytes = Array(UnsafeRawBufferPointer(start: address, count: Int(found.ai_addrlen)))
        name = "\(host):\(port)"
    }

    /// `HOST:PORT`
    init(_ text: String, owner: String) throws(ConfigurationError) {
        guard let colon = text.lastIndex(of: ":") else { throw ConfigurationError("\(owner): '\(text)': expected HOST:PORT") }
        try self.init(host: String(text[..<colon]), port: String(text[text.index(after: colon)...]), owner: owner)
    }

    init(path: String, owner: String) throws(ConfigurationError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let text = Array(path.utf8)
        guard !text.isEmpty, text.count < MemoryLayout.size(ofValue: address.sun_path) else { throw ConfigurationError("\(owner): the path '\(path)' is empty or too long for a socket") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: text) }
        bytes = withUnsafeBytes(of: &address) { Array($0) }
        name = path
    }

    func with(_ body: (UnsafePointer<sockaddr>?, socklen_t) -> Int) -> Int {
        bytes.withUnsafeBytes { body($0.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count)) }
    }
}

public final class DatagramPort: NetworkPort, @unchecked Sendable {
    private let loop: EventLoop
    private let card: CardSide
    private let descriptor: Int32
    /// The socket that sends: another one for multicast, so that its own frames can be told from others'.
    private let sender: Int32
    private let remote: DatagramAddress?
    private let ownAddress: [UInt8]
    private let path: String?
    private let text: String
    // Invariant: touched on the loop's thread only, once `init` is over.
    private var watch: Watch?
    private var buffer = [UInt8](repeating: 0, count: 1 << 17)

    /// `local.*` and `remote.*`
    static func open(_ options: inout OptionValues, loop: EventLoop) throws(ConfigurationError) -> DatagramPort {
        let owner = options.owner
        func take(_ name: String) throws(ConfigurationError) -> (DatagramAddress?, Int32?) {
            guard let type = options.take(name + ".type") else { return (nil, nil) }
            switch type {
            case "inet": return (try DatagramAddress(host: options.take(name + ".host") ?? "", port: try options.require(name + ".port"), owner: owner), nil)
            case "unix": return (try DatagramAddress(path: try options.require(name + ".path"), owner: owner), nil)
            case "fd":
                let text = try options.require(name + ".str")
                guard let number = Int32(text), fcntl(number, F_GETFD) >= 0 else { throw ConfigurationError("\(owner): '\(name).str' is '\(text)', expected an open descriptor") }
                return (nil, number)
            default: throw ConfigurationError("\(owner): '\(name).type' is '\(type)', expected inet, unix or fd")
            }
        }
        let (local, number) = try take("local"), (remote, other) = try take("remote")
        guard other == nil else { throw ConfigurationError("\(owner): 'remote.type' is 'fd', expected inet or unix") }
        if let number { return DatagramPort(descriptor: number, remote: remote, loop: loop) }
        if let remote, remote.isMulticast { return try DatagramPort("dgram", group: remote, local: local, owner: owner, loop: loop) }
        guard let local, let remote else { throw ConfigurationError("\(owner): parameters 'local.type' and 'remote.type' are needed, or a multicast address as 'remote'") }
        guard local.family == remote.family else { throw ConfigurationError("\(owner): local and remote are of different types") }
        return try DatagramPort("dgram", local: local, remote: remote, owner: owner, loop: loop)
    }

    /// To one peer.
    init(_ type: String, local: DatagramAddress, remote: DatagramAddress, owner: String, loop: EventLoop) throws(ConfigurationError) {
        descriptor = try Self.bound(local, owner)
        sender = descriptor
        self.remote = remote
        self.loop = loop
        ownAddress = []
        path = local.family == AF_UNIX ? local.name : nil
        text = "index=0,type=\(type),\(local.family == AF_UNIX ? "unix" : "udp")=\(local.name)/\(remote.name)"
        card = CardSide(loop: loop)
        start()
    }

    /// To a multicast group.
    init(_ type: String, group: DatagramAddress, local: DatagramAddress?, owner: String, loop: EventLoop) throws(ConfigurationError) {
        descriptor = try Self.bound(group, owner)
        var request = ip_mreq(imr_multiaddr: group.inet, imr_interface: local?.inet ?? in_addr(s_addr: 0))
        let joined = setsockopt(descriptor, Int32(IPPROTO_IP), IP_ADD_MEMBERSHIP, &request, socklen_t(MemoryLayout<ip_mreq>.size))
        let sender = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard joined == 0, sender >= 0 else {
            let why = String(cString: strerror(errno))
            close(descriptor)
            if sender >= 0 { close(sender) }
            throw ConfigurationError("\(owner): group \(group.name) cannot be joined: \(why)")
        }
        // Other machines of this host are to hear it.
        var loops: UInt8 = 1
        setsockopt(sender, Int32(IPPROTO_IP), IP_MULTICAST_LOOP, &loops, 1)
        if var interface = local?.inet { setsockopt(sender, Int32(IPPROTO_IP), IP_MULTICAST_IF, &interface, socklen_t(MemoryLayout<in_addr>.size)) }
        _ = group.with { Int(connect(sender, $0, $1)) }
        var name = sockaddr_in(), size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let known = withUnsafeMutablePointer(to: &name) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(sender, $0, &size) } }
        ownAddress = known == 0 ? withUnsafeBytes(of: &name) { Array($0.prefix(8)) } : []
        self.sender = sender
        remote = nil
        path = nil
        self.loop = loop
        text = "index=0,type=\(type),mcast=\(group.name)"
        card = CardSide(loop: loop)
        start()
    }

    /// A socket that was handed over, connected unless `remote` is given.
    init(descriptor: Int32, remote: DatagramAddress?, loop: EventLoop) {
        self.descriptor = descriptor
        sender = descriptor
        self.remote = remote
        self.loop = loop
        ownAddress = []
        path = nil
        text = "index=0,type=dgram,fd=\(descriptor)"
        card = CardSide(loop: loop)
        start()
    }

    private static func bound(_ address: DatagramAddress, _ owner: String) throws(ConfigurationError) -> Int32 {
        let descriptor = socket(address.family, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ConfigurationError("\(owner): socket: \(String(cString: strerror(errno)))") }
        var one: Int32 = 1
        if address.family == AF_UNIX { unlink(address.name) } else { setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4) }
        guard address.with({ Int(bind(descriptor, $0, $1)) }) == 0 else {
            let why = String(cString: strerror(errno))
            close(descriptor)
            throw ConfigurationError("\(owner): cannot bind to '\(address.name)': \(why)")
        }
        return descriptor
    }

    private func start() {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        card.drained.withLock { $0 = { [weak self] in self?.watch?.wait(for: .read) } }
        watch = loop.watch(descriptor, for: .read) { [weak self] _ in self?.receive() }
    }

    deinit {
        watch?.cancel()
        close(descriptor)
        if sender != descriptor { close(sender) }
        if let path { unlink(path) }
    }

    private func receive() {
        // Others want the loop, too.
        for _ in 0 ..< 64 {
            guard !card.isFull else {
                watch?.wait(for: [])
                return
            }
            var from = sockaddr_storage(), size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &from) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(descriptor, &buffer, buffer.count, 0, $0, &size) }
            }
            guard count > 0 else {
                if count == 0 { continue }
                return
            }
            if !ownAddress.isEmpty, withUnsafeBytes(of: &from, { Array($0.prefix(8)) }) == ownAddress { continue }
            buffer.withUnsafeBytes { _ = card.deliver(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    // MARK: NetworkPort

    public func send(_ frame: UnsafeRawBufferPointer) {
        // A datagram that the host has no room for is lost, as on any network.
        if let remote {
            _ = remote.with { sendto(sender, frame.baseAddress, frame.count, Int32(MSG_NOSIGNAL), $0, $1) }
        } else {
            _ = Glibc.send(sender, frame.baseAddress, frame.count, Int32(MSG_NOSIGNAL))
        }
    }

    public func attach(_ handlers: NetworkHandlers?) { card.attach(handlers) }
    public func resume() { card.resume() }
    public var isLinkUp: Bool { true }
    public var description: String { text }
}

/// `-netdev socket`: one of `listen`, `connect`, `mcast`, `udp` and `fd`.
enum LegacySocket {
    static func open(_ options: inout OptionValues, loop: EventLoop) throws(ConfigurationError) -> any NetworkPort {
        let owner = options.owner
        let kinds = ["listen", "connect", "mcast", "udp", "fd"].compactMap { name in options.take(name).map { (name, $0) } }
        let local = options.take("localaddr")
        guard kinds.count == 1, let (kind, value) = kinds.first else { throw ConfigurationError("\(owner): exactly one of listen, connect, mcast, udp and fd is needed") }
        guard local == nil || kind == "mcast" || kind == "udp" else { throw ConfigurationError("\(owner): 'localaddr' goes with mcast or udp only") }
        switch kind {
        case "listen", "connect":
            guard let colon = value.lastIndex(of: ":") else { throw ConfigurationError("\(owner): '\(kind)' is '\(value)', expected HOST:PORT") }
            return try StreamPort("socket", .inet(host: String(value[..<colon]), port: String(value[value.index(after: colon)...])), isServer: kind == "listen", owner: owner, loop: loop)
        case "fd":
            guard let number = Int32(value), fcntl(number, F_GETFD) >= 0 else { throw ConfigurationError("\(owner): 'fd' is '\(value)', expected an open descriptor") }
            var type: Int32 = 0, size = socklen_t(4)
            guard getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &size) == 0 else { throw ConfigurationError("\(owner): descriptor \(number) is no socket") }
            if type == Int32(SOCK_DGRAM.rawValue) { return DatagramPort(descriptor: number, remote: nil, loop: loop) }
            return try StreamPort("socket", .descriptor(number), isServer: false, owner: owner, loop: loop)
        case "mcast":
            let group = try DatagramAddress(value, owner: owner)
            guard group.isMulticast else { throw ConfigurationError("\(owner): '\(value)' is no multicast address") }
            return try DatagramPort("socket", group: group, local: try local.map { (text) throws(ConfigurationError) in try DatagramAddress(host: text, port: "0", owner: owner) }, owner: owner, loop: loop)
        default:
            guard let local else { throw ConfigurationError("\(owner): 'localaddr' is needed with udp") }
            return try DatagramPort("socket", local: try DatagramAddress(local, owner: owner), remote: try DatagramAddress(value, owner: owner), owner: owner, loop: loop)
        }
    }
}
