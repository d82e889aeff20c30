// Where virtio-rng has its random numbers from: rng-builtin (the host's generator), rng-random (a file), rng-egd (a daemon that
// speaks the protocol of the Entropy Gathering Daemon on a character device).

import Block
import CHost
import Core
import Glibc
import Host

/// A source of random bytes.
public protocol RandomSource: AnyObject, Sendable {
    /// Asks for `count` bytes; `deliver` is called once, from any thread, with 1 to `count` of them.
    func request(_ count: Int, _ deliver: @escaping @Sendable ([UInt8]) -> Void)
}

/// A source that needs a character device, which it gets when a device is made that uses the source.
protocol ConnectedSource: RandomSource {
    func connect(_ find: (String) -> (any CharacterStream)?) throws(ConfigurationError)
}

public final class BuiltinRandom: RandomSource {
    public init() {}
    public func request(_ count: Int, _ deliver: @escaping @Sendable ([UInt8]) -> Void) {
        deliver([UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count, let base = buffer.baseAddress {
                let result = apus_syscall(Int(SYS_getrandom), Int(bitPattern: base + filled), count - filled, 0, 0, 0, 0)
                if result <= 0 { break }
                filled += result
            }
        })
    }
}

/// Reads a file that may have nothing to give for a while.
final class FileRandom: RandomSource {
    private let descriptor: Int32
    private let readers = WorkerPool(maximum: 1)

    init(_ path: String) throws(BlockError) {
        descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw .host(errno, "Could not open '\(path)'") }
    }
    deinit { close(descriptor) }

    func request(_ count: Int, _ deliver: @escaping @Sendable ([UInt8]) -> Void) {
        readers.submit { [self] in
            var bytes = [UInt8](repeating: 0, count: count)
            while true {
                let got = read(descriptor, &bytes, count)
                if got > 0 { return deliver(Array(bytes[..<got])) }
                if got < 0, errno == EINTR { continue }
                // At its end a file may grow, and a FIFO may get another writer.
                guard got == 0 || errno == EAGAIN else { return }
                var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                if poll(&wait, 1, 1000) > 0, got == 0 || wait.revents & Int16(POLLIN) == 0 { usleep(100_000) }
            }
        }
    }
}

/// Sends requests for bytes (0x02, how many) and passes on what comes.
final class DaemonRandom: ConnectedSource {
    private struct State: Sendable {
        var stream: (any CharacterStream)?
        /// Bytes that are still to come, and who gets them.
        var waiting: [(count: Int, deliver: @Sendable ([UInt8]) -> Void)] = []
        var unsent: [UInt8] = []
    }
    let device: String
    private let state = Locked(State())
    private static let most = 255

    init(device: String) { self.device = device }

    func connect(_ find: (String) -> (any CharacterStream)?) throws(ConfigurationError) {
        guard state.withLock({ $0.stream == nil }) else { return }
        guard let stream = find(device) else { throw ConfigurationError("rng-egd: there is no chardev '\(device)'") }
        state.withLock { $0.stream = stream }
        stream.attach(CharacterHandlers(receive: { [weak self] in self?.received($0) }, event: { [weak self] event in
            switch event {
            case .opened: self?.askAgain()
            case .writable: self?.flush()
            default: break
            }
        }))
    }

    func request(_ count: Int, _ deliver: @escaping @Sendable ([UInt8]) -> Void) {
        let wanted = min(count, Self.most)
        state.withLock { state in
            state.waiting.append((wanted, deliver))
            state.unsent += [2, UInt8(wanted)]
        }
        flush()
    }

    /// A daemon that has come anew knows nothing of earlier requests.
    private func askAgain() {
        state.withLock { state in state.unsent = state.waiting.flatMap { [2, UInt8($0.count)] } }
        flush()
    }

    private func flush() {
        let (stream, bytes) = state.withLock { state -> ((any CharacterStream)?, [UInt8]) in
            defer { state.unsent = [] }
            return (state.stream, state.unsent)
        }
        guard let stream, !bytes.isEmpty else { return }
        let sent = stream.send(bytes[...])
        if sent < bytes.count { state.withLock { $0.unsent = Array(bytes[sent...]) + $0.unsent } }
    }

    private func received(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let (part, deliver) = state.withLock { state -> (ArraySlice<UInt8>, (@Sendable ([UInt8]) -> Void)?) in
                guard let first = state.waiting.first else { return ([], nil) }
                state.waiting.removeFirst()
                return (rest.prefix(first.count), first.deliver)
            }
            guard let deliver else { return }
            rest = rest.dropFirst(part.count)
            deliver(Array(part))
        }
    }
}

/// `-object rng-…`
public final class RandomObject: VisibleObject, NeededObject {
    public let typeName: String
    public let properties: [ObjectProperty]
    public let source: any RandomSource
    private let users = UseCount()

    init(_ type: String, _ source: any RandomSource, _ properties: [ObjectProperty]) {
        (typeName, self.source, self.properties) = (type, source, properties + [ObjectProperty(name: "opened", type: "bool", value: .flag(true))])
    }
    public var isInUse: Bool { users.isInUse }
    func use() -> UseCount.Use { users.use() }
}

public enum RandomKind: GraphObjectKind {
    public static let typeNames = ["rng-builtin", "rng-random", "rng-egd"]
    public static let options = [
        OptionDeclaration("filename", .text, "the file that rng-random reads, else /dev/urandom"), OptionDeclaration("chardev", .text, "where rng-egd finds its daemon"),
    ]
    public static func make(id: String, type: String, _ options: OptionValues, _ graph: BlockGraph) throws(BlockError) -> any GraphObject {
        for (name, only) in [("filename", "rng-random"), ("chardev", "rng-egd")] where options.has(name) && type != only { throw .invalid("\(type): Invalid parameter '\(name)'") }
        switch type {
        case "rng-random":
            let path = options.text("filename") ?? "/dev/urandom"
            return RandomObject(type, try FileRandom(path), [ObjectProperty(name: "filename", type: "string", value: .text(path))])
        case "rng-egd":
            guard let device = options.text("chardev") else { throw .invalid("Parameter 'chardev' is missing") }
            return RandomObject(type, DaemonRandom(device: device), [ObjectProperty(name: "chardev", type: "string", value: .text(device))])
        default: return RandomObject(type, BuiltinRandom(), [])
        }
    }
}
