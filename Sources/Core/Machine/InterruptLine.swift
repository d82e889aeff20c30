// A wire from a device to whatever it interrupts.

/// The driving end of an interrupt wire. Level lines remember nothing here: the receiver does.
public struct InterruptLine: Sendable {
    private let sink: @Sendable (Bool) -> Void

    /// - Parameter sink: told of each level, from any thread; must not block.
    public init(_ sink: @escaping @Sendable (Bool) -> Void) { self.sink = sink }

    /// A wire that leads nowhere.
    public static let unconnected = InterruptLine { _ in }

    public func set(_ level: Bool) { sink(level) }
    public func raise() { sink(true) }
    public func lower() { sink(false) }
    public func pulse() {
        sink(true)
        sink(false)
    }
}
