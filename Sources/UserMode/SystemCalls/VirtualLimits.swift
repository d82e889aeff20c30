import Host

/// The limits of address space, data and stack as the guest set them: the host's would bind Apus's own memory too.
/// `GuestMemory` keeps to those of address space and data; that of the stack is only remembered.
enum VirtualLimits {
    /// RLIMIT_DATA, RLIMIT_STACK, RLIMIT_AS
    static let resources: Set<Int32> = [2, 3, 9]
    private static let set = Locked<[Int32: (UInt64, UInt64)]>([:])

    /// The limit of `resource` (the host's is `found`) before `new`, if any, replaced it.
    static func exchange(_ resource: Int32, _ found: (UInt64, UInt64), _ new: (UInt64, UInt64)?) -> (UInt64, UInt64) {
        set.withLock { limits in
            let old = limits[resource] ?? found
            if let new { limits[resource] = new }
            return old
        }
    }

    /// The soft limit that the guest set, or nil if it set none.
    static func soft(_ resource: Int32) -> UInt64? { set.withLock { $0.isEmpty ? nil : $0[resource]?.0 } }

    /// All that the guest set; a vfork child's changes are undone by `replace`.
    static var all: [Int32: (UInt64, UInt64)] { Self.set.withLock { $0 } }
    static func replace(_ limits: [Int32: (UInt64, UInt64)]) { Self.set.withLock { $0 = limits } }

    /// Brackets a fork; see `Process.willFork`.
    static func willFork() { set.lock() }
    static func didFork() { set.unlock() }
}
