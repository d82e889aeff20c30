// `-netdev tap`: a network device of the host (Linux: Documentation/networking/tuntap.rst), one queue each.

import Core
import Glibc
import Host

public final class TapPort: NetworkPort, @unchecked Sendable {
    private let loop: EventLoop
    private let card: CardSide
    private let descriptor: Int32
    private let text: String
    /// Run when the last queue is gone.
    private let ending: Ending?
    private var watch: Watch?
    private var buffer = [UInt8](repeating: 0, count: 1 << 17)

    private enum Flag { static let tap: Int16 = 2, plain: Int16 = 0x1000, queues: Int16 = 0x100 }
    private static let setInterface: UInt = 0x4004_54ca

    private final class Ending: Sendable {
        let script: String, name: String
        init(_ script: String, _ name: String) {
            self.script = script
            self.name = name
        }
        deinit { _ = TapPort.run(script, name) }
    }

    /// `ifname`, `fd`, `fds`, `queues`, `script`, `downscript`
    static func open(_ options: inout OptionValues, loop: EventLoop) throws(ConfigurationError) -> [any NetworkPort] {
        let owner = options.owner
        try options.refuseOn("vhost", "frames go through Apus")
        try options.refuseOn("vnet_hdr", "frames are complete")
        for name in ["helper", "br", "vhostfd", "vhostfds", "poll-us", "sndbuf"] where options.take(name) != nil { throw ConfigurationError("\(owner): '\(name)' is not supported") }
        let name = options.take("ifname"), count = try options.number("queues", in: 1 ... 256)
        let script = options.take("script"), down = options.take("downscript")
        let given = options.take("fds").map { $0.split(separator: ":").map(String.init) } ?? options.take("fd").map { [$0] }
        if let given {
            guard name == nil, script == nil || script == "no", count == nil else { throw ConfigurationError("\(owner): 'fd' does not go with ifname, script or queues") }
            return try given.map { (text) throws(ConfigurationError) in
                guard let number = Int32(text), fcntl(number, F_GETFD) >= 0 else { throw ConfigurationError("\(owner): 'fd' is '\(text)', expected an open descriptor") }
                return TapPort(number, "index=0,type=tap,fd=\(number)", nil, loop)
            }
        }
        var queues: [Int32] = [], actual = ""
        for _ in 0 ..< (count ?? 1) {
            do throws(ConfigurationError) { queues.append(try Self.openQueue(actual.isEmpty ? name ?? "" : actual, isOneOfMany: (count ?? 1) > 1, &actual, owner)) } catch {
                for queue in queues { close(queue) }
                throw error
            }
        }
        let up = script ?? "/etc/qemu-ifup"
        if !["no", ""].contains(up), run(up, actual) != 0 {
            for queue in queues { close(queue) }
            throw ConfigurationError("\(owner): the script '\(up)' fails (script=no: none)")
        }
        let ending = down.flatMap { ["no", ""].contains($0) ? nil : Ending($0, actual) }
        return queues.map { TapPort($0, "index=0,type=tap,ifname=\(actual),script=\(up),downscript=\(down ?? "no")", ending, loop) }
    }

    private static func openQueue(_ name: String, isOneOfMany: Bool, _ actual: inout String, _ owner: String) throws(ConfigurationError) -> Int32 {
        let descriptor = Glibc.open("/dev/net/tun", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw ConfigurationError("\(owner): could not open /dev/net/tun: \(String(cString: strerror(errno)))") }
        // struct ifreq: sixteen bytes of name, then flags.
        var request = [UInt8](repeating: 0, count: 40)
        let bytes = Array(name.utf8)
        guard bytes.count < 16 else {
            close(descriptor)
            throw ConfigurationError("\(owner): the name '\(name)' is longer than 15 bytes")
        }
        request.replaceSubrange(0 ..< bytes.count, with: bytes)
        let flags = Flag.tap | Flag.plain | (isOneOfMany ? Flag.queues : 0)
        request[16] = UInt8(truncatingIfNeeded: flags)
        request[17] = UInt8(truncatingIfNeeded: flags >> 8)
        guard request.withUnsafeMutableBytes({ bytes in bytes.baseAddress.map { ioctl(descriptor, setInterface, $0) } }) == 0 else {
            let why = String(cString: strerror(errno))
            close(descriptor)
            throw ConfigurationError("\(owner): could not configure /dev/net/tun (\(name)): \(why)")
        }
        actual = String(decoding: request.prefix(16).prefix { $0 != 0 }, as: UTF8.self)
        return descriptor
    }

    /// The script's exit status.
    private static func run(_ script: String, _ name: String) -> Int32 {
        var process = pid_t()
        let words: [UnsafeMutablePointer<CChar>?] = [script, name].map { (word: String) in strdup(word) }
        defer { for word in words { free(word) } }
        var arguments: [UnsafeMutablePointer<CChar>?] = words + [nil]
        guard posix_spawn(&process, script, nil, nil, &arguments, environ) == 0 else { return -1 }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 { guard errno == EINTR else { return -1 } }
        return status
    }

    private init(_ descriptor: Int32, _ text: String, _ ending: Ending?, _ loop: EventLoop) {
        self.descriptor = descriptor
        self.text = text
        self.ending = ending
        self.loop = loop
        card = CardSide(loop: loop)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        card.drained.withLock { $0 = { [weak self] in self?.watch?.wait(for: .read) } }
        watch = loop.watch(descriptor, for: .read) { [weak self] _ in self?.receive() }
    }

    deinit {
        watch?.cancel()
        close(descriptor)
    }

    private func receive() {
        for _ in 0 ..< 64 {
            guard !card.isFull else {
                watch?.wait(for: [])
                return
            }
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return }
            buffer.withUnsafeBytes { _ = card.deliver(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    public func send(_ frame: UnsafeRawBufferPointer) { _ = write(descriptor, frame.baseAddress, frame.count) }
    public func attach(_ handlers: NetworkHandlers?) { card.attach(handlers) }
    public func resume() { card.resume() }
    public var isLinkUp: Bool { true }
    public var description: String { text }
}
