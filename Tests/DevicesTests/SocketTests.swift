import Core
import Devices
import Glibc
import Host
import Testing

/// A guest's side of vsock: packets by hand.
private final class SocketGuest {
    let machine: GuestMachine
    let driver: GuestDriver
    let path: String
    private let room: UInt64
    private var isPosted = false

    init() throws {
        var name = Array("/tmp/apus-vsock-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&name).map { String(cString: $0) })
        machine = try GuestMachine()
        try machine.plug("vhost-vsock-pci", [("uds-path", path + "/s")])
        driver = GuestDriver(machine, PCITransport(machine.function(device: 3)), queues: 3)
        room = machine.allocate(70000)
    }
    deinit { _ = system("rm -rf '\(path)'") }

    func send(_ operation: UInt16, host: UInt32, guest: UInt32, _ data: [UInt8] = [], flags: UInt32 = 0, room: UInt32 = 65536, passed: UInt32 = 0, cid: UInt64 = 42, to: UInt64 = 2, kind: UInt16 = 1) {
        let header = little(cid) + little(to) + little(guest) + little(host) + little(UInt32(data.count)) + little(kind) + little(operation) + little(flags) + little(room) + little(passed)
        #expect(driver.request(1, data.isEmpty ? [header] : [header, data], input: []) != nil)
    }

    /// The next packet for the guest: operation, the host's port, flags, data; nil: none comes within five seconds.
    func receive() -> (operation: UInt16, port: UInt32, flags: UInt32, data: [UInt8])? {
        if !isPosted { driver.queues[0].add([.init(address: room, count: 69632, isWritable: true)]) }
        isPosted = true
        driver.transport.notify(0)
        var done: (id: UInt16, written: Int)?
        guard machine.wait({ done = driver.queues[0].take(); return done != nil }), let written = done?.written, written >= 44 else { return nil }
        isPosted = false
        let bytes = machine.bytes(room, written)
        func number(_ at: Int) -> UInt32 { (0 ..< 4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32($1 * 8) } }
        return (UInt16(truncatingIfNeeded: number(30)), number(16), number(32), Array(bytes[44...]))
    }

    func address(_ name: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array((path + name).utf8)) }
        return withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) } }
    }
    /// A socket of the host, connected or listening.
    func host(_ name: String, listens: Bool = false) -> Int32 {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #expect(address(name) { listens ? bind(socket, $0, $1) | listen(socket, 8) : connect(socket, $0, $1) } == 0)
        return socket
    }
    static func read(_ socket: Int32, _ count: Int) -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        let done = recv(socket, &bytes, count, Int32(MSG_WAITALL))
        return String(decoding: bytes.prefix(max(0, done)), as: UTF8.self)
    }
}

@Suite struct SocketTests {
    private enum Operation { static let request: UInt16 = 1, response: UInt16 = 2, reset: UInt16 = 3, shutdown: UInt16 = 4, data: UInt16 = 5, update: UInt16 = 6, ask: UInt16 = 7 }

    @Test func theHostConnects() throws {
        let guest = try SocketGuest(), socket = guest.host("/s")
        defer { close(socket) }
        #expect(write(socket, "CONNECT 80\nearly", 16) == 16)
        let request = try #require(guest.receive())
        #expect(request.operation == Operation.request)
        // The guest has room for three bytes: no more comes.
        guest.send(Operation.response, host: request.port, guest: 80, room: 3)
        let line = "OK \(request.port)\n"
        #expect(SocketGuest.read(socket, line.utf8.count) == line)
        let data = try #require(guest.receive())
        #expect(data.operation == Operation.data && data.data == Array("ear".utf8))
        #expect(guest.receive()?.operation == Operation.ask)
        guest.send(Operation.update, host: request.port, guest: 80, room: 3, passed: 3)
        #expect(guest.receive()?.data == Array("ly".utf8))
        // Half-close each way, then the end.
        guest.send(Operation.data, host: request.port, guest: 80, Array("hello".utf8), passed: 5)
        guest.send(Operation.shutdown, host: request.port, guest: 80, flags: 2, passed: 5)
        #expect(SocketGuest.read(socket, 6) == "hello")
        shutdown(socket, Int32(SHUT_WR))
        let end = try #require(guest.receive())
        #expect(end.operation == Operation.shutdown && end.flags & 2 == 2)
        guest.send(Operation.shutdown, host: request.port, guest: 80, flags: 3, passed: 5)
        #expect(guest.receive()?.operation == Operation.reset)
    }

    @Test func theGuestConnects() throws {
        let guest = try SocketGuest(), listener = guest.host("/s_9", listens: true)
        defer { close(listener) }
        guest.send(Operation.request, host: 8, guest: 1000)
        #expect(guest.receive()?.operation == Operation.reset)
        guest.send(Operation.request, host: 9, guest: 1000)
        #expect(guest.receive()?.operation == Operation.response)
        let socket = accept(listener, nil, nil)
        guest.send(Operation.data, host: 9, guest: 1000, Array("question".utf8))
        #expect(SocketGuest.read(socket, 8) == "question")
        #expect(write(socket, "answer", 6) == 6)
        #expect(guest.receive()?.data == Array("answer".utf8))
        close(socket)
        let end = try #require(guest.receive())
        #expect(end.operation == Operation.shutdown && end.flags & 2 == 2)
        // The same ports again, while the guest has not answered: that is no new connection.
        guest.send(Operation.request, host: 9, guest: 1000)
        #expect(guest.receive()?.operation == Operation.reset)
    }

    @Test func whatNoDriverSends() throws {
        let guest = try SocketGuest(), listener = guest.host("/s_9", listens: true)
        defer { close(listener) }
        // No connection, no such operation, no such kind, nobody's number.
        for (operation, kind) in [(Operation.data, 1), (Operation.update, 1), (Operation.shutdown, 1), (99, 1), (0, 1), (Operation.request, 2)] as [(UInt16, UInt16)] {
            guest.send(operation, host: 9, guest: 7, kind: kind)
            #expect(guest.receive()?.operation == Operation.reset, "\(operation) \(kind)")
        }
        guest.send(Operation.request, host: 9, guest: 7, to: 3)
        #expect(guest.receive()?.operation == Operation.reset)
        guest.send(Operation.reset, host: 9, guest: 7)
        guest.send(Operation.request, host: 9, guest: 7, cid: 43)
        // More than there is room for: the host's program reads nothing.
        guest.send(Operation.request, host: 9, guest: 8)
        #expect(guest.receive()?.operation == Operation.response)
        let piece = [UInt8](repeating: 1, count: 60000)
        var ended = false
        for _ in 0 ..< 60 { guest.send(Operation.data, host: 9, guest: 8, piece) }
        for _ in 0 ..< 20 where !ended { ended = guest.receive()?.operation == Operation.reset }
        #expect(ended)
        // Data behind a shutdown.
        guest.send(Operation.request, host: 9, guest: 10)
        while let packet = guest.receive(), packet.operation != Operation.response {}
        guest.send(Operation.shutdown, host: 9, guest: 10, flags: 2)
        guest.send(Operation.data, host: 9, guest: 10, [1])
        #expect(guest.receive()?.operation == Operation.reset)
        // A length that is a lie.
        guest.send(Operation.request, host: 9, guest: 11)
        #expect(guest.receive()?.operation == Operation.response)
        let header = little(UInt64(42)) + little(UInt64(2)) + little(UInt32(11)) + little(UInt32(9)) + little(UInt32.max) + little(UInt16(1)) + little(Operation.data) + little(UInt32(0)) + little(UInt32(1000)) + little(UInt32(0))
        #expect(guest.driver.request(1, [header, [1, 2, 3]], input: []) != nil)
        #expect(guest.receive()?.operation == Operation.reset)
        for count in [0, 1, 43] { #expect(guest.driver.request(1, [[UInt8](repeating: 0xff, count: max(1, count))], input: []) != nil) }
        #expect(guest.driver.transport.status & 64 == 0)
    }
}
