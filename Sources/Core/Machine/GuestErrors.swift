// What guests do wrong with devices, for those who want to know (`-d guest_errors`).

import Host

public enum GuestErrors {
    private static let sink = Locked<(@Sendable (String) -> Void)?>(nil)
    private static let isWanted = AtomicInt(0)

    /// Where reports go; nil: nowhere.
    public static func send(to body: (@Sendable (String) -> Void)?) {
        sink.withLock { $0 = body }
        isWanted.store(body == nil ? 0 : 1)
    }

    /// One line, without its end. From any thread.
    public static func report(_ text: @autoclosure () -> String) {
        guard isWanted.load() != 0 else { return }
        sink.withLock { $0 }?(text() + "\n")
    }
}
