// The stream of bytes between a device that speaks serially (a UART, a console port, a monitor) and the world.

/// What happens to a stream beside bytes.
public enum CharacterEvent: Sendable {
    /// Somebody is at the other side (a client has connected), or nobody is any more.
    case opened, closed
    /// A serial break.
    case interrupted
    /// Bytes that `send` did not take can be sent again.
    case writable
}

/// What a front end does with a stream. All are called from the stream's own thread, one at a time.
public struct CharacterHandlers: Sendable {
    /// How many bytes the front end can take now; 0: none until it calls `resume`.
    public var capacity: @Sendable () -> Int
    /// Bytes from the world, at most `capacity()` of them.
    public var receive: @Sendable ([UInt8]) -> Void
    public var event: @Sendable (CharacterEvent) -> Void

    public init(capacity: @escaping @Sendable () -> Int = { 4096 }, receive: @escaping @Sendable ([UInt8]) -> Void,
                event: @escaping @Sendable (CharacterEvent) -> Void = { _ in }) {
        self.capacity = capacity
        self.receive = receive
        self.event = event
    }
}

/// A back end (`-chardev`): standard input and output, a socket, a file … One front end at a time uses it.
public protocol CharacterStream: AnyObject, Sendable {
    /// Sends bytes to the world, without blocking. - Returns: how many were taken; after fewer than all,
    /// `CharacterEvent.writable` follows. A stream nobody listens to takes all and drops them.
    func send(_ bytes: ArraySlice<UInt8>) -> Int
    /// Connects a front end, or disconnects it (nil).
    func attach(_ handlers: CharacterHandlers?)
    /// The front end has room again.
    func resume()
    /// As `query-chardev` and `info chardev` show it.
    var description: String { get }
}

/// A stream that several front ends share, one of which has the focus.
public protocol FocusedStream: CharacterStream { var hasFocus: Bool { get } }

/// A stream that keeps what was sent for monitors.
public protocol RingBuffer: CharacterStream {
    func take(_ count: Int) -> [UInt8]
    func put(_ bytes: [UInt8])
}

/// A stream that is offered at a path, which goes with it.
public protocol PlacedStream: CharacterStream { func removePath() }

/// A stream of which each front end gets a port of its own.
public protocol PortedStream: CharacterStream { func newPort() -> any CharacterStream }
