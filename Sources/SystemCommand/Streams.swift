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
        case "pty": stream = try pty(id, link: values.take("path"))
        case "pipe", "serial", "tty":
            guard let path = values.take("path") else { throw ConfigurationError("-chardev \(id): no path is given") }
            stream = backend == "pipe" ? try pipe(path) : try device(path)
        case "udp":
            guard let port = values.take("port") else { throw ConfigurationError("-chardev \(id): no port is given") }
            stream = try DatagramStream(host: values.take("host") ?? "", port: port, localHost: values.take("localaddr") ?? "", localPort: values.take("localport") ?? "0", loop: loop)
        default: throw ConfigurationError("-chardev \(id): back end '\(backend)' is not supported, expected stdio, null, file, socket, udp, pipe, pty, serial or ringbuf")
        }
        try values.finish("-chardev \(id)")
        if isShared { stream = SharedStream(Multiplexer(stream, actions: actions)) }
        table.add(id, stream)
    }

    /// One `-serial`; nil: none.
    mutating func serial(_ text: String) throws(ConfigurationError) -> (any CharacterStream)? {
        if text == "mon:stdio" { return sharedConsole() }
        return text == "none" ? nil : try service(text)
    }

    /// A stream that no other front end has, as `-serial` names it.
    func service(_ text: String) throws(ConfigurationError) -> any CharacterStream {
        if text.hasPrefix("/") { return try device(text) }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        switch parts[0] {
        case "null": return NullStream()
        case "stdio": return standard(signals: true)
        case "pty": return try pty("serial0", link: parts.count > 1 ? parts[1] : nil)
        case "pipe" where parts.count > 1: return try pipe(parts[1])
        case "udp" where parts.count > 1:
            // REMOTE:PORT@LOCAL:PORT
            let ends = parts[1].split(separator: "@").map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) }
            guard let remote = ends.first, remote.count == 2, ends.count <= 2, ends.allSatisfy({ $0.count == 2 }) else { throw ConfigurationError("-serial: '\(text)': expected udp:[HOST]:PORT[@[HOST]:PORT]") }
            let local = ends.count > 1 ? ends[1] : ["", "0"]
            return try DatagramStream(host: remote[0], port: remote[1], localHost: local[0], localPort: local[1], loop: loop)
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
        default: throw ConfigurationError("-serial: '\(text)' is not supported, expected stdio, mon:stdio, null, none, pty, file:, pipe:, unix:, tcp:, udp:, chardev: or a device's path")
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

    private func pty(_ label: String, link: String?) throws(ConfigurationError) -> any CharacterStream {
        let stream = try PtyStream(loop: loop, link: link)
        let line = Array("char device redirected to \(stream.name) (label \(label))\n".utf8)
        _ = write(1, line, line.count)
        return stream
    }

    /// Two pipes, PATH.in and PATH.out, or one file for both ways.
    private func pipe(_ path: String) throws(ConfigurationError) -> any CharacterStream {
        let input = open(path + ".in", O_RDWR | O_CLOEXEC), output = open(path + ".out", O_RDWR | O_CLOEXEC)
        if input >= 0, output >= 0 { return DescriptorStream("pipe", loop: loop, input: input, output: output, ownsDescriptors: true) }
        for descriptor in [input, output] where descriptor >= 0 { close(descriptor) }
        return try device(path)
    }

    private func device(_ path: String) throws(ConfigurationError) -> any CharacterStream {
        let descriptor = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ConfigurationError("'\(path)': \(String(cString: strerror(errno)))") }
        var mode = termios()
        if tcgetattr(descriptor, &mode) == 0 {
            cfmakeraw(&mode)
            tcsetattr(descriptor, TCSANOW, &mode)
        }
        return DescriptorStream("serial", loop: loop, input: descriptor, output: descriptor, ownsDescriptors: true)
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
