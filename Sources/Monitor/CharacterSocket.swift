// Where monitors are reached: `--chardev` descriptions of sockets and of the standard streams. Left out: reconnect, telnet,
// websockets, TLS, logging, and the other back ends.

import Core
import Glibc
import Host
import Sockets

/// A character device that a monitor can be on.
public struct CharacterSocket: Sendable {
    public enum Kind: Sendable {
        case standard
        /// Listens; `waits`: until a first client is there.
        case server(SocketAddress, waits: Bool)
        case client(SocketAddress)
    }
    public let id: String
    public let kind: Kind

    /// Takes a description apart: `socket,id=ID,path=PATH,server=on,wait=off`, `socket,id=ID,host=…,port=…`, `stdio,id=ID`.
    public init(_ options: [(name: String, value: String)]) throws(SocketError) {
        guard let first = options.first else { throw SocketError("chardev: a description is missing") }
        let type = first.name == "backend" ? first.value : first.name
        var values: [String: String] = [:]
        for option in options.dropFirst() {
            guard ["id", "path", "host", "port", "fd", "server", "wait", "nodelay", "signal"].contains(option.name) else {
                throw SocketError("chardev '\(type)': the option '\(option.name)' is not supported")
            }
            values[option.name] = option.value
        }
        guard let id = values["id"] else { throw SocketError("chardev: Parameter 'id' is missing") }
        self.id = id
        func flag(_ name: String, _ standard: Bool) throws(SocketError) -> Bool {
            switch values[name] {
            case nil: return standard
            case "on", "yes", "true": return true
            case "off", "no", "false": return false
            default: throw SocketError("Parameter '\(name)' expects 'on' or 'off'")
            }
        }
        switch type {
        case "stdio": kind = .standard
        case "socket":
            let address: SocketAddress
            if let path = values["path"] { address = .unix(path: path) }
            else if let port = values["port"] { address = .inet(host: values["host"] ?? "", port: port) }
            else if let number = values["fd"].flatMap({ Int32($0) }) { address = .descriptor(number) }
            else { throw SocketError("chardev 'socket': 'path', 'port' or 'fd' must be given") }
            let isServer = try flag("server", false)
            kind = isServer ? .server(address, waits: try flag("wait", true)) : .client(address)
        default: throw SocketError("chardev '\(type)' is not supported (socket, stdio are)")
        }
    }

    /// Puts a monitor on it. Returns when clients can come; with `waits`, when one has come.
    public func serve(_ monitor: Monitor, pretty: Bool) throws(SocketError) -> Listener? {
        switch kind {
        case .standard:
            try CharacterSocket.start(monitor, StandardStream(), pretty)
            return nil
        case .client(let address):
            try CharacterSocket.start(monitor, Channel(try address.connect()), pretty)
            return nil
        case .server(let address, let waits):
            let listener = try Listener(address)
            let hasCome = Waiting(false)
            // One client at a time, as QEMU has it: the next waits until the first has gone.
            let isBusy = Waiting(false)
            try listener.start { channel in
                hasCome.change { $0 = true }
                _ = isBusy.wait { busy -> Bool? in
                    if busy { return nil }
                    busy = true
                    return true
                }
                let started = BackgroundThread.start {
                    MonitorSession(monitor, channel, pretty: pretty).run()
                    isBusy.change { $0 = false }
                }
                if !started { isBusy.change { $0 = false } }
            }
            if waits { _ = hasCome.wait { $0 ? true : nil } }
            return listener
        }
    }

    private static func start(_ monitor: Monitor, _ stream: any MonitorStream, _ pretty: Bool) throws(SocketError) {
        guard BackgroundThread.start({ MonitorSession(monitor, stream, pretty: pretty).run() }) else { throw SocketError("the host gives no thread") }
    }
}

/// Standard input and output.
private final class StandardStream: MonitorStream {
    func receive(_ memory: UnsafeMutableRawBufferPointer) throws(SocketError) -> Int {
        while true {
            let count = read(0, memory.baseAddress, memory.count)
            if count >= 0 { return count }
            if errno != EINTR { throw SocketError("standard input", number: errno) }
        }
    }
    func send(_ bytes: [UInt8]) throws(SocketError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw SocketError("standard output", number: errno)
            }
            rest = rest.dropFirst(count)
        }
    }
    func shutDown() {}
}
