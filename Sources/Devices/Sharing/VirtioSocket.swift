// virtio-vsock (Virtual I/O Device 1.3, section 5.10): stream sockets between guest and host, served here and not by the
// host's kernel; QEMU's name for the device is `vhost-vsock`. The host's side are Unix sockets, as with Firecracker and
// Cloud Hypervisor: who connects to `uds-path` and writes "CONNECT PORT\n" is connected to the guest's port and reads
// "OK PORT\n" first; what a guest connects to, port P of CID 2, is the socket `uds-path`_P. Left out: SOCK_SEQPACKET.

import Core
import Glibc
import Host
import Sockets

public final class VirtioSocket: VirtioFunction {
    public static let properties = [
        Property("guest-cid", .integer, "the guest's context identifier, 3 or more"),
        Property("uds-path", .text, "Unix socket for the host's connections; _PORT behind it: for the guest's. Without it there are none"),
    ]

    private enum Queue { static let receive = 0, transmit = 1, event = 2 }
    private static let maximumConnections = 1024
    /// Control packets that wait for the guest's buffers: when there are more, its own have to wait.
    private static let maximumControl = 256
    private static let maximumLine = 32

    public let type = VirtioType.socket
    public let features: UInt64 = 1
    public let queueSizes: [UInt16] = [128, 128, 128]
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private let guest: UInt64
    private let path: String?
    private var listener: Int32 = -1
    private var listening: Watch?
    /// Clients that have not said yet where they want to connect to.
    private var callers: [UInt64: Caller] = [:]
    private var nextCaller: UInt64 = 0
    private var connections: [SocketPorts: SocketConnection] = [:]
    /// Those that may have data for the guest, in turns.
    private var turns: [SocketPorts] = []
    private var control: [SocketPacket] = []
    private var nextPort: UInt32 = 1 << 30
    /// The guest has to hear that all connections are gone.
    private var owesReset = false

    private struct Caller {
        let socket: Int32
        let watch: Watch
        var line: [UInt8] = []
    }

    public init(_ properties: Properties) throws(ConfigurationError) {
        let owner = properties.owner
        guard let cid = properties.integer("guest-cid") else { throw ConfigurationError("\(owner): property 'guest-cid' is required") }
        guard (3 ..< UInt64(UInt32.max)).contains(cid) else { throw ConfigurationError("\(owner): property 'guest-cid' is \(cid), expected 3 to 4294967294") }
        guest = cid
        path = properties.text("uds-path")
        guard let path else { return }
        do throws(SocketError) {
            guard let socket = try SocketAddress.unix(path: path).listen().first else { return }
            listener = socket
            Self.makeNonblocking(socket)
        } catch { throw ConfigurationError("\(owner): property 'uds-path': \(error)") }
    }

    deinit {
        listening?.cancel()
        for caller in callers.values { close(caller.socket) }
        if listener >= 0 { close(listener) }
        if let path, listener >= 0 { unlink(path) }
    }

    private static func makeNonblocking(_ socket: Int32) { _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK) }

    public func connect(_ core: VirtioCore) {
        self.core = core
        guard listener >= 0 else { return }
        let accept = core.host.callback { [unowned self] in self.accept() }
        listening = core.host.loop.watch(listener, for: .read) { _ in accept() }
    }

    public var configuration: [UInt8] { withUnsafeBytes(of: guest.littleEndian) { Array($0) } }

    // MARK: connections from the host

    private func accept() {
        let socket = Glibc.accept(listener, nil, nil)
        guard socket >= 0 else { return }
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        Self.makeNonblocking(socket)
        guard core.isRunning, connections.count + callers.count < Self.maximumConnections else { return _ = close(socket) }
        nextCaller &+= 1
        let number = nextCaller
        let ready = core.host.callback { [unowned self] in self.hear(number) }
        guard let watch = core.host.loop.watch(socket, for: .read, { _ in ready() }) else { return _ = close(socket) }
        callers[number] = Caller(socket: socket, watch: watch)
    }

    /// Reads "CONNECT PORT\n" and no byte more.
    private func hear(_ number: UInt64) {
        guard var caller = callers[number] else { return }
        while true {
            var byte: UInt8 = 0
            let count = recv(caller.socket, &byte, 1, 0)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return callers[number] = caller }
            guard count == 1, caller.line.count < Self.maximumLine else { return drop(number) }
            if byte == UInt8(ascii: "\n") { break }
            caller.line.append(byte)
        }
        let words = String(decoding: caller.line, as: UTF8.self).split(whereSeparator: { $0 == " " || $0 == "\r" })
        guard words.count == 2, words[0].uppercased() == "CONNECT", let port = UInt32(words[1]), core.isRunning else { return drop(number) }
        callers[number] = nil
        caller.watch.cancel()
        let connection = SocketConnection(SocketPorts(host: freePort(port), guest: port), socket: caller.socket, phase: .asked)
        guard add(connection) else { return }
        tell(connection, .request)
        flush()
    }

    private func drop(_ number: UInt64) {
        guard let caller = callers.removeValue(forKey: number) else { return }
        caller.watch.cancel()
        close(caller.socket)
    }

    /// A port of the host's side that no connection to `guestPort` has.
    private func freePort(_ guestPort: UInt32) -> UInt32 {
        repeat { nextPort = nextPort >= UInt32.max - 1 ? 1 << 30 : nextPort + 1 } while connections[SocketPorts(host: nextPort, guest: guestPort)] != nil
        return nextPort
    }

    private func add(_ connection: SocketConnection) -> Bool {
        let ports = connection.ports
        let ready = core.host.callback { [unowned self] (readiness: Readiness) in self.ready(ports, readiness) }
        guard let watch = core.host.loop.watch(connection.descriptor, for: [], ready) else { return false }
        connection.watch = watch
        connections[ports] = connection
        return true
    }

    private func ready(_ ports: SocketPorts, _ readiness: Readiness) {
        guard let connection = connections[ports] else { return }
        connection.ready(readiness)
        if connection.phase == .asked, readiness.contains(.hangUp) {
            // Nobody waits for the guest's answer any more.
            tell(connection, .reset)
            connections[ports] = nil
            return flush()
        }
        if readiness.contains(.write) { pass(connection) }
        if connections[ports] != nil { takeTurn(connection) }
        flush()
        // What cannot go on now is not looked for again.
        connections[ports]?.watchAgain()
    }

    // MARK: to the guest

    private func tell(_ connection: SocketConnection, _ operation: SocketPacket.Operation, flags: UInt32 = 0) {
        control.append(connection.packet(operation, to: guest, flags: flags))
    }

    private func takeTurn(_ connection: SocketConnection) {
        if connection.maySend, !turns.contains(connection.ports) { turns.append(connection.ports) }
    }

    /// Gives the guest what it has buffers for: control packets, then data of connections in turns.
    private func flush() {
        guard core.isRunning else { return }
        let queue = core.queues[Queue.receive]
        var isDone = false, isStuck = false
        while !isStuck, !(control.isEmpty && turns.isEmpty) {
            if !control.isEmpty {
                guard let chain = queue.next() else { break }
                queue.complete(chain, written: chain.writable.fill(0, bytes: control.removeFirst().bytes))
                isDone = true
                continue
            }
            guard let connection = connections[turns[0]], connection.maySend else {
                turns.removeFirst()
                continue
            }
            guard connection.credit > 0 else {
                // The guest's next packet brings it back.
                turns.removeFirst()
                if !connection.hasAskedForCredit {
                    connection.hasAskedForCredit = true
                    tell(connection, .creditRequest)
                }
                continue
            }
            if let chain = queue.next() {
                turns.removeFirst()
                isDone = send(connection, chain, queue) || isDone
            } else {
                isStuck = true
            }
        }
        if isDone { queue.interrupt() }
    }

    /// Reads from the socket into one buffer. - Returns: whether the buffer was used.
    private func send(_ connection: SocketConnection, _ chain: VirtChain, _ queue: VirtQueue) -> Bool {
        defer { if connections[connection.ports] != nil { connection.watchAgain() } }
        let space = chain.writable.count - SocketPacket.headerBytes
        guard space > 0 else {
            queue.complete(chain, written: 0)
            return true
        }
        switch connection.read(space) {
        case .data(let bytes):
            let header = connection.packet(.data, to: guest, count: bytes.count).bytes
            chain.writable.fill(0, bytes: header)
            chain.writable.fill(header.count, bytes: bytes)
            queue.complete(chain, written: header.count + bytes.count)
            takeTurn(connection)
            return true
        case .nothing:
            queue.takeBack(chain)
            return false
        case .end:
            queue.takeBack(chain)
            tell(connection, .shutdown, flags: connection.hostEnds())
            return false
        }
    }

    // MARK: from the guest

    public func start() {
        for queue in core.queues where queue.isEnabled { process(queue) }
    }

    public func process(_ queue: VirtQueue) {
        switch queue.index {
        case Queue.event: tellOfReset()
        default:
            // Buffers of either kind may let the other go on.
            flush()
            takePackets()
            flush()
        }
    }

    private func takePackets() {
        let queue = core.queues[Queue.transmit]
        var isDone = false
        while control.count < Self.maximumControl, let chain = queue.next() {
            if let packet = SocketPacket(chain.readable.bytes(0, SocketPacket.headerBytes)) { take(packet, chain.readable) }
            queue.complete(chain, written: 0)
            isDone = true
        }
        if isDone { queue.interrupt() }
    }

    private func take(_ packet: SocketPacket, _ memory: GuestPieces) {
        // As the specification has it, what another guest claims to have sent is dropped.
        guard packet.source == guest else { return }
        let operation = SocketPacket.Operation(rawValue: packet.operation)
        guard packet.target == SocketPacket.host, packet.kind == SocketPacket.stream, let operation else { return refuse(packet) }
        let ports = SocketPorts(host: packet.targetPort, guest: packet.sourcePort)
        guard let connection = connections[ports] else {
            if operation == .request { return open(packet, ports) }
            return refuse(packet)
        }
        connection.note(packet)
        switch operation {
        case .request: end(connection)
        case .response:
            guard connection.phase == .asked, connection.accepted() else { return end(connection) }
            connection.watchAgain()
        case .reset:
            guard !connection.hasPassedAll else { return connections[ports] = nil }
            // What it sent before is still the host's.
            connection.guestEnds(SocketPacket.Shutdown.both)
            pass(connection)
        case .shutdown:
            connection.guestEnds(packet.flags)
            pass(connection)
        case .data:
            let count = min(Int(packet.count), SocketConnection.roomBytes + 1)
            let bytes = memory.bytes(SocketPacket.headerBytes, count)
            guard connection.phase == .open, bytes.count == Int(packet.count), connection.take(bytes) else { return end(connection) }
            pass(connection)
        case .creditUpdate: break
        case .creditRequest: tell(connection, .creditUpdate)
        }
        if connections[ports] != nil { takeTurn(connection) }
    }

    /// There is no such connection.
    private func refuse(_ packet: SocketPacket) {
        guard packet.operation != SocketPacket.Operation.reset.rawValue else { return }
        var answer = SocketPacket(.reset)
        answer.source = packet.target
        answer.target = packet.source
        answer.sourcePort = packet.targetPort
        answer.targetPort = packet.sourcePort
        answer.kind = packet.kind
        control.append(answer)
    }

    /// The guest connects to a port of the host.
    private func open(_ packet: SocketPacket, _ ports: SocketPorts) {
        guard let path, connections.count + callers.count < Self.maximumConnections,
              let socket = try? SocketAddress.unix(path: "\(path)_\(ports.host)").connect(seconds: 0) else { return refuse(packet) }
        Self.makeNonblocking(socket)
        let connection = SocketConnection(ports, socket: socket, phase: .open)
        guard add(connection) else { return refuse(packet) }
        connection.note(packet)
        tell(connection, .response)
        connection.watchAgain()
    }

    /// Passes the guest's data on to the host, and ends what is over.
    private func pass(_ connection: SocketConnection) {
        guard connection.pass(), !connection.isOver else { return end(connection) }
        if connection.owesCredit { tell(connection, .creditUpdate) }
        connection.watchAgain()
    }

    private func end(_ connection: SocketConnection) {
        tell(connection, .reset)
        connections[connection.ports] = nil
    }

    // MARK: life

    /// Connections do not survive a move of the guest (5.10.6.7).
    private func tellOfReset() {
        guard owesReset, core.isRunning, let chain = core.queues[Queue.event].next() else { return }
        owesReset = false
        core.queues[Queue.event].complete(chain, written: chain.writable.fill(0, bytes: [0, 0, 0, 0]))
        core.queues[Queue.event].interrupt()
    }

    public func reset() {
        for number in Array(callers.keys) { drop(number) }
        connections = [:]
        turns = []
        control = []
        owesReset = false
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        var used = owesReset || !connections.isEmpty
        try state.field("connections", &used)
        if state.isLoading { owesReset = used }
    }
}
