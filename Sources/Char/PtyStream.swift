// A pseudo-terminal: whoever opens its other side (screen, minicom) is the peer, and may leave and come back.

import Core
import Glibc
import Host

public final class PtyStream: BreakableStream, @unchecked Sendable {
    private struct State: Sendable {
        var inner: DescriptorStream?
        var handlers: CharacterHandlers?
        var timer: MachineTimer?
    }

    /// The other side's name: `/dev/pts/3`.
    public let name: String
    private let loop: EventLoop
    private let master: Int32
    private let link: String?
    private let clock: MachineClock
    private let state = Locked(State())
    // ioctl_tty(2), which Swift's C library module leaves out.
    private static let setLock: UInt = 0x4004_5431, getNumber: UInt = 0x8004_5430
    /// Nobody tells when the other side is opened: nanoseconds between looks.
    private static let interval: UInt64 = 200_000_000

    /// - Parameter link: a symbolic link to be made to the other side.
    public init(loop: EventLoop, link: String? = nil) throws(ConfigurationError) {
        self.loop = loop
        self.link = link
        clock = MachineClock(loop: loop)
        clock.start()
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var locked: Int32 = 0, number: UInt32 = 0
        guard master >= 0, ioctl(master, Self.setLock, &locked) == 0, ioctl(master, Self.getNumber, &number) == 0 else {
            let why = String(cString: strerror(errno))
            if master >= 0 { close(master) }
            throw ConfigurationError("pty: \(why)")
        }
        name = "/dev/pts/\(number)"
        var mode = termios()
        if tcgetattr(master, &mode) == 0 {
            cfmakeraw(&mode)
            tcsetattr(master, TCSANOW, &mode)
        }
        if let link, symlink(name, link) != 0 {
            let why = String(cString: strerror(errno))
            close(master)
            throw ConfigurationError("pty: '\(link)': \(why)")
        }
        look()
    }

    deinit {
        state.withLock { $0.inner }?.disconnect()
        close(master)
        if let link { unlink(link) }
    }

    private func look() {
        var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, 0)
        // Before the first open, too, there is no hang-up; what is sent then waits in the terminal's own buffer.
        guard entry.revents & Int16(POLLHUP) != 0 else { return connect() }
        let timer = clock.timer { [weak self] in self?.look() }
        timer.arm(at: clock.now &+ Self.interval)
        state.withLock { $0.timer = timer }
    }

    private func connect() {
        let inner = DescriptorStream(description, loop: loop, input: master, output: master, ownsDescriptors: false) { [weak self] in self?.look() }
        let handlers = state.withLock { state in
            state.inner = inner
            return state.handlers
        }
        inner.attach(handlers)
    }

    public var description: String { "pty:\(name)" }
    public func send(_ bytes: ArraySlice<UInt8>) -> Int {
        guard let inner = state.withLock({ $0.inner }), inner.isConnected else { return bytes.count }
        // A terminal that nobody reads must not stop the guest.
        _ = inner.send(bytes)
        return bytes.count
    }
    public func comeBreak() { state.withLock { $0.handlers }?.event(.interrupted) }

    public func attach(_ handlers: CharacterHandlers?) {
        let inner = state.withLock { state in
            state.handlers = handlers
            return state.inner
        }
        inner?.attach(handlers)
    }
    public func resume() { state.withLock { $0.inner }?.resume() }
}
