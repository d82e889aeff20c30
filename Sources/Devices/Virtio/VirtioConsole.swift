// virtio-console (Virtual I/O Device 1.3, section 5.3): consoles and serial ports over pairs of queues (`virtio-serial` with
// `virtconsole` and `virtserialport` in QEMU's words). Left out: emergency writes.

import Core
import Host

public final class VirtioConsole: VirtioFunction {
    public static let properties = [Property("max_ports", .integer, "ports, the one for a console included", default: "31")]
    /// What `virtconsole` and `virtserialport` take.
    public static let portProperties = [
        Property("chardev", .reference("chardev"), "the stream"),
        Property("name", .text, "the port's name in the guest"),
        Property("nr", .integer, "the port's number"),
    ]

    private enum Feature { static let size: UInt64 = 1, ports: UInt64 = 2 }
    private enum Event {
        static let deviceReady: UInt16 = 0, added: UInt16 = 1, removed: UInt16 = 2, portReady: UInt16 = 3
        static let isConsole: UInt16 = 4, size: UInt16 = 5, open: UInt16 = 6, name: UInt16 = 7
    }

    /// One port.
    private final class Port {
        let name: String
        let isConsole: Bool
        let stream: (any CharacterStream)?
        var isOpenInGuest = false
        var isOpenOutside = true
        /// A chain whose first `sent` bytes the stream has taken.
        var sending: (chain: VirtChain, sent: Int)?
        /// Bytes of the next chain that the stream has taken already, before state was saved.
        var resent = 0
        /// Bytes that came when the guest had no buffer left.
        var early: [UInt8] = []
        let room = AtomicInt(0)

        init(name: String, isConsole: Bool, stream: (any CharacterStream)?) {
            self.name = name
            self.isConsole = isConsole
            self.stream = stream
        }
    }

    public let type = VirtioType.console
    public let features: UInt64
    public let queueSizes: [UInt16]
    private unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    private let maximum: Int
    private var ports: [Int: Port] = [:]
    private var size: (columns: UInt16, rows: UInt16) = (0, 0)
    /// Control messages that the guest has no buffer for yet.
    private var messages: [[UInt8]] = []
    private static let messageLimit = 1024
    private static let pieceBytes = 4096

    public init(_ properties: Properties) throws(ConfigurationError) {
        let count = properties.integer("max_ports") ?? 31
        guard (1 ... 511).contains(count) else { throw ConfigurationError("\(properties.owner): property 'max_ports' is \(count), expected 1 to 511") }
        maximum = Int(count)
        features = Feature.size | (maximum > 1 ? Feature.ports : 0)
        queueSizes = [UInt16](repeating: 128, count: maximum > 1 ? 2 + maximum * 2 : 2)
    }

    public func connect(_ core: VirtioCore) { self.core = core }

    deinit { for port in ports.values { port.stream?.attach(nil) } }

    // MARK: ports

    /// Adds a port. Called under the device's lock, once it is in its slot.
    public func addPort(_ properties: Properties, isConsole: Bool, stream: (any CharacterStream)?) throws(ConfigurationError) {
        let owner = properties.owner
        let wish = properties.integer("nr").map { Int(clamping: $0) }
        // Port 0 is for a console: old drivers know no other.
        guard let number = wish ?? (isConsole ? 0 ..< maximum : 1 ..< max(1, maximum)).first(where: { ports[$0] == nil }), number < maximum else {
            throw ConfigurationError("\(owner): \(wish.map { "property 'nr' is \($0)" } ?? "there is no free port"), expected less than \(maximum) ports")
        }
        guard ports[number] == nil else { throw ConfigurationError("\(owner): property 'nr': port \(number) is in use") }
        guard isConsole || number > 0 else { throw ConfigurationError("\(owner): property 'nr': port 0 is for a virtconsole") }
        let port = Port(name: properties.text("name") ?? "", isConsole: isConsole, stream: stream)
        ports[number] = port
        let receive = core.host.callback { [unowned self] (bytes: [UInt8]) in self.receive(bytes, number) }
        let happened = core.host.callback { [unowned self] (event: CharacterEvent) in self.happened(event, number) }
        let room = port.room
        stream?.attach(CharacterHandlers(capacity: { room.load() }, receive: receive, event: happened))
        tell(number, Event.added, 1)
    }

    private func receiveQueue(_ number: Int) -> Int { number == 0 ? 0 : 2 + number * 2 }
    private func port(of queue: Int) -> Int { queue < 2 ? 0 : queue / 2 - 1 }

    // MARK: configuration

    public var configuration: [UInt8] {
        var fields = FieldWriter()
        fields.add(size.columns)
        fields.add(size.rows)
        fields.add(UInt32(maximum))
        fields.add(UInt32(0))
        return fields.bytes
    }

    /// The terminal that shows the console has this size.
    public func resize(columns: UInt16, rows: UInt16) {
        size = (columns, rows)
        core.configurationChanged()
    }

    // MARK: queues

    public func start() {
        for queue in core.queues where queue.isEnabled { process(queue) }
    }

    public func process(_ queue: VirtQueue) {
        switch queue.index {
        case 2: flushMessages()
        case 3: takeMessages(queue)
        case let index where index & 1 == 0: makeRoom(port(of: index))
        default: transmit(port(of: queue.index))
        }
    }

    private func transmit(_ number: Int) {
        let queue = core.queues[receiveQueue(number) + 1]
        let port = ports[number]
        var isDone = false
        while true {
            if let port, port.sending == nil, let chain = queue.next() {
                port.sending = (chain, port.resent)
                port.resent = 0
            }
            guard let port else {
                // Nobody is there: what is written is gone.
                guard let chain = queue.next() else { break }
                queue.complete(chain, written: 0)
                isDone = true
                continue
            }
            guard let (chain, sent) = port.sending else { break }
            let bytes = chain.readable.bytes(sent, Self.pieceBytes)
            let taken = bytes.isEmpty ? 0 : port.stream?.send(bytes[...]) ?? bytes.count
            if sent + taken >= chain.readable.count {
                port.sending = nil
                queue.complete(chain, written: 0)
                isDone = true
            } else {
                port.sending = (chain, sent + taken)
                // The stream says when it takes more.
                if taken < bytes.count { break }
            }
        }
        if isDone { queue.interrupt() }
    }

    /// The guest has buffers: the stream may send.
    private func makeRoom(_ number: Int) {
        guard let port = ports[number], isListening(number) else { return }
        if !port.early.isEmpty { receive([], number) }
        guard port.early.isEmpty else { return }
        port.room.store(Self.pieceBytes)
        port.stream?.resume()
    }

    /// Drivers without ports are always open.
    private func isListening(_ number: Int) -> Bool {
        core.isRunning && (!core.has(Feature.ports) || ports[number]?.isOpenInGuest == true || ports[number]?.isConsole == true)
    }

    private func receive(_ bytes: [UInt8], _ number: Int) {
        guard let port = ports[number], isListening(number) else { return }
        let queue = core.queues[receiveQueue(number)]
        var at = 0, rest = port.early + bytes
        while at < rest.count, let chain = queue.next() {
            let count = chain.writable.fill(0, bytes: Array(rest[at...].prefix(Self.pieceBytes)))
            at += count
            queue.complete(chain, written: count)
        }
        rest.removeFirst(min(at, rest.count))
        port.early = rest
        port.room.store(rest.isEmpty && queue.isPending ? Self.pieceBytes : 0)
        if at > 0 { queue.interrupt() }
    }

    private func happened(_ event: CharacterEvent, _ number: Int) {
        guard let port = ports[number] else { return }
        switch event {
        case .opened, .closed:
            let isOpen = if case .opened = event { true } else { false }
            guard port.isOpenOutside != isOpen, !port.isConsole else { return }
            port.isOpenOutside = isOpen
            tell(number, Event.open, isOpen ? 1 : 0)
        case .writable: transmit(number)
        case .interrupted: break
        }
    }

    // MARK: control messages (5.3.6.2)

    private func tell(_ number: Int, _ event: UInt16, _ value: UInt16, _ extra: [UInt8] = []) {
        guard core.isRunning, core.has(Feature.ports), messages.count < Self.messageLimit else { return }
        var fields = FieldWriter()
        fields.add(UInt32(number))
        fields.add(event)
        fields.add(value)
        messages.append(fields.bytes + extra)
        flushMessages()
    }

    private func flushMessages() {
        guard core.queues.count > 2, !messages.isEmpty else { return }
        let queue = core.queues[2]
        var isDone = false
        while let message = messages.first, let chain = queue.next() {
            messages.removeFirst()
            queue.complete(chain, written: chain.writable.fill(0, bytes: message))
            isDone = true
        }
        if isDone { queue.interrupt() }
    }

    private func takeMessages(_ queue: VirtQueue) {
        while let chain = queue.next() {
            let message = chain.readable.bytes(0, 8)
            queue.complete(chain, written: 0)
            guard message.count == 8 else { continue }
            answer(Int(message.number(0, as: UInt32.self)), message.number(4), message.number(6))
        }
        queue.interrupt()
    }

    private func answer(_ number: Int, _ event: UInt16, _ value: UInt16) {
        switch event {
        case Event.deviceReady: if value == 1 { for number in ports.keys.sorted() { tell(number, Event.added, 1) } }
        case Event.portReady:
            guard value == 1, let port = ports[number] else { return }
            if port.isConsole { tell(number, Event.isConsole, 1) }
            if !port.name.isEmpty { tell(number, Event.name, 1, Array(port.name.utf8)) }
            if port.isOpenOutside { tell(number, Event.open, 1) }
        case Event.open:
            guard let port = ports[number] else { return }
            port.isOpenInGuest = value == 1
            if value == 1 { makeRoom(number) } else { port.room.store(0) }
        default: break
        }
    }

    // MARK: life

    public func reset() {
        messages = []
        for port in ports.values {
            port.isOpenInGuest = false
            port.sending = nil
            port.early = []
            port.resent = 0
            port.room.store(0)
        }
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        for (number, port) in ports.sorted(by: { $0.key < $1.key }) {
            // A chain that is half sent goes back to its ring; what was sent of it is remembered.
            if !state.isLoading, let (chain, sent) = port.sending {
                core.queues[receiveQueue(number) + 1].takeBack(chain)
                port.sending = nil
                port.resent = sent
            }
            try state.part("port\(number)") { (part) throws(StateError) in
                try part.field("open", &port.isOpenInGuest)
                try part.field("early", &port.early, maximum: Self.pieceBytes * 2)
                try part.field("sent", &port.resent)
            }
        }
    }
}
