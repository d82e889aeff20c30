// Contexts of the libraries, which are large: kept for the next unit instead of made anew.

import Host

/// What is not in use of one kind of context.
/// Invariant: a context is used by the one thread that has taken it; what is in `idle` nobody uses.
final class Reserve<Context>: @unchecked Sendable {
    private struct Idle: @unchecked Sendable { var contexts: [Context] = [] }
    private let idle = Locked(Idle())
    private let make: @Sendable () -> Context?
    private let free: @Sendable (Context) -> Void
    /// As many threads as compress at once, with room.
    private static var most: Int { 64 }

    init(make: @escaping @Sendable () -> Context?, free: @escaping @Sendable (Context) -> Void) {
        self.make = make
        self.free = free
    }

    /// Runs `body` with a context as its last user left it. - Returns: nil if there is no memory for one.
    func use<Result>(_ body: (Context) -> Result?) -> Result? {
        guard let context = idle.withLock({ $0.contexts.popLast() }) ?? make() else { return nil }
        let result = body(context)
        let isKept = idle.withLock { state in
            guard state.contexts.count < Self.most else { return false }
            state.contexts.append(context)
            return true
        }
        if !isKept { free(context) }
        return result
    }
}
