// The wire between a network card of a machine and the world: whole Ethernet frames, without checksum.

/// What a network card does with frames. Called from the port's own thread, one at a time.
public struct NetworkHandlers: Sendable {
    /// A frame from the world (valid during the call). - Returns: false: there is no room; the port keeps the frame and
    /// offers it again after `resume`.
    public var receive: @Sendable (UnsafeRawBufferPointer) -> Bool
    /// The cable was plugged in or out.
    public var linkChanged: @Sendable (Bool) -> Void

    public init(receive: @escaping @Sendable (UnsafeRawBufferPointer) -> Bool, linkChanged: @escaping @Sendable (Bool) -> Void = { _ in }) {
        self.receive = receive
        self.linkChanged = linkChanged
    }
}

/// A back end (`-netdev`): user-mode networking, a tap device, a socket … One card at a time uses it.
public protocol NetworkPort: AnyObject, Sendable {
    /// Sends a frame into the world; one that cannot be sent is dropped, as Ethernet does.
    func send(_ frame: UnsafeRawBufferPointer)
    func attach(_ handlers: NetworkHandlers?)
    /// The card has room again.
    func resume()
    var isLinkUp: Bool { get }
    /// As `info network` shows it.
    var description: String { get }
}

/// A port whose frames have right checksums, because it made them itself: cards may tell the guest so.
public protocol VerifiedNetworkPort: NetworkPort {}
