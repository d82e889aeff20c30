import CHost

/// Threads that nobody joins.
public enum BackgroundThread {
    private final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` on a thread of its own; false if the host gives none.
    public static func start(stack: Int = 1 << 20, _ body: @escaping @Sendable () -> Void) -> Bool {
        let start = Unmanaged.passRetained(Start(body))
        let result = apus_thread_start({ argument in
            if let argument { Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, start.toOpaque(), stack)
        if result != 0 { start.release() }
        return result == 0
    }
}
