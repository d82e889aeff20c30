// Makes character back ends from `-chardev` and `-serial` arguments.

import Char
import Core
import Glibc
import MachineMonitor

/// The character back ends of a machine.
struct StreamMaker {
    let loop: EventLoop
    let actions: MultiplexerActions
    let table: CharacterTable
    private(set) var console: Multiplexer?

    init(loop: EventLoop, actions: MultiplexerActions, table: CharacterTable) {
        self.table = table
        self.loop = loop
        self.actions = actions
    }

    func find(_ id: String) -> (any CharacterStream)? { table.use(id) }

    /// One `-chardev`.
    mutating func add(_ id: String, _ settings: KeyValues) throws(ConfigurationError) {
        var values = settings
        let backend = values.take("backend") ?? ""
        let isShared = values.take("mux").flatMap(Properties.parseFlag) ?? false
        var stream: any CharacterStream
        switch backend {
        case "stdio":
            let signals = values.take("signal").flatMap(Properties.parseFlag) ?? true
            stream = standard(signals: signals)
        case "null": stream = NullStream()
        case "ringbuf", "memory":
            guard let size = Properties.parseSize(values.take("size") ?? "64K"), size > 0, size & (size - 1) == 0, size <= 1 << 30 else {
                throw ConfigurationError("-chardev \(id): size is not a power of two")
            }
            stream = RingStream(size: Int(size))
        case "file":
            guard let path = values.take("path") else { throw ConfigurationError("-chardev \(id): no path is given") }
            let appends = values.take("append").flatMap(Properties.parseFlag) ?? false
            stream = try file(path, appends: appends)
        case "socket": stream = try socket(id, &values)
        default: throw ConfigurationError("-chardev \(id): back end '\(backend)' is not supported, expected stdio, null, file, socket or ringbuf")
        }
        try values.finish("-chardev \(id)")
        if isShared { stream = SharedStream(Multiplexer(stream, actions: actions)) }
        table.add(id, stream)
    }

    /// One `-serial`; nil: none.
    mutating func serial(_ text: String) throws(ConfigurationError) -> (any CharacterStream)? {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        switch parts[0] {
        case "none": return nil
        case "null": return NullStream()
        case "stdio": return standard(signals: true)
        case "mon" where parts.count > 1 && parts[1] == "stdio": return sharedConsole()
        case "file" where parts.count > 1: return try file(parts[1], appends: false)
        case "chardev" where parts.count > 1:
            guard let stream = table.use(parts[1]) else { throw ConfigurationError("-serial: there is no chardev '\(parts[1])'") }
            return stream
        case "unix" where parts.count > 1:
            let values = KeyValues(parts[1], implied: "path")
            return try SocketStream(SocketSettings(.unix(path: values["path"] ?? ""), isServer: values["server"] == "on", waits: values["server"] == "on" && values["wait"] != "off"), loop: loop)
        case "tcp" where parts.count > 1:
            let values = KeyValues(parts[1], implied: "address")
            let address = (values["address"] ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard address.count == 2 else { throw ConfigurationError("-serial: '\(text)': expected tcp:HOST:PORT") }
            return try SocketStream(SocketSettings(.tcp(host: address[0], port: address[1]), isServer: values["server"] == "on", waits: values["server"] == "on" && values["wait"] != "off"), loop: loop)
        default: throw ConfigurationError("-serial: '\(text)' is not supported, expected stdio, mon:stdio, null, none, file:, unix:, tcp: or chardev:")
        }
    }

    /// Standard input and output behind the escape keys.
    mutating func sharedConsole() -> any CharacterStream {
        if let console { return console.addPort() }
        let shared = Multiplexer(standard(signals: false), actions: actions)
        console = shared
        return shared.addPort()
    }

    private func standard(signals: Bool) -> any CharacterStream {
        Terminal.makeRaw(keepsSignals: signals)
        return DescriptorStream("stdio", loop: loop, input: 0, output: 1, ownsDescriptors: false)
    }

    private func file(_ path: String, appends: Bool) throws(ConfigurationError) -> any CharacterStream {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (appends ? O_APPEND : O_TRUNC), 0o666)
        guard descriptor >= 0 else { throw ConfigurationError("'\(path)': \(String(cString: strerror(errno)))") }
        return DescriptorStream("file", loop: loop, input: -1, output: descriptor, ownsDescriptors: true)
    }

    private func socket(_ id: String, _ values: inout KeyValues) throws(ConfigurationError) -> any CharacterStream {
        let isServer = values.take("server").flatMap(Properties.parseFlag) ?? false
        let waits = values.take("wait").flatMap(Properties.parseFlag) ?? true
        let reconnect = values.take("reconnect").flatMap { UInt64($0) } ?? 0
        let noDelay = values.take("nodelay").flatMap(Properties.parseFlag) ?? true
        let place: SocketPlace
        if let path = values.take("path") {
            place = .unix(path: path)
        } else if let number = values.take("fd").flatMap({ Int32($0) }) {
            place = .descriptor(number)
        } else if let port = values.take("port") {
            place = .tcp(host: values.take("host") ?? "", port: port)
        } else {
            throw ConfigurationError("-chardev \(id): expected path, fd or host and port")
        }
        return try SocketStream(SocketSettings(place, isServer: isServer, waits: isServer && waits, reconnect: reconnect, noDelay: noDelay), loop: loop)
    }
}
