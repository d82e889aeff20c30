import Host

/// The limits of address space, data and stack as the guest set them. They are remembered, not enforced: the host's
/// would bind Apus's own memory too.
enum VirtualLimits {
    private static let set = Locked<[Int32: (UInt64, UInt64)]>([:])

    /// The limit of `resource` (the host's is `found`) before `new`, if any, replaced it.
    static func exchange(_ resource: Int32, _ found: (UInt64, UInt64), _ new: (UInt64, UInt64)?) -> (UInt64, UInt64) {
        set.withLock { limits in
            let old = limits[resource] ?? found
            if let new { limits[resource] = new }
            return old
        }
    }

    /// All that the guest set; a vfork child's changes are undone by `replace`.
    static var all: [Int32: (UInt64, UInt64)] { Self.set.withLock { $0 } }
    static func replace(_ limits: [Int32: (UInt64, UInt64)]) { Self.set.withLock { $0 = limits } }

    /// Brackets a fork; see `Process.willFork`.
    static func willFork() { set.lock() }
    static func didFork() { set.unlock() }
}
