// `-chardev …,mux=on`: each front end that names it gets a port.

import Core

/// A multiplexer under one name.
public final class SharedStream: PortedStream, BreakableStream {
    private let shared: Multiplexer
    public init(_ shared: Multiplexer) { self.shared = shared }
    public func newPort() -> any CharacterStream { shared.addPort() }
    public var description: String { shared.description }
    public func comeBreak() { shared.comeBreak() }
    // Front ends use ports.
    public func send(_ bytes: ArraySlice<UInt8>) -> Int { bytes.count }
    public func attach(_ handlers: CharacterHandlers?) {}
    public func resume() {}
}
