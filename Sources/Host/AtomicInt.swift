import CHost

/// An integer that threads and signal handlers share.
///
/// Invariant: the cell is accessed by the atomic functions of CHost only.
public final class AtomicInt: @unchecked Sendable {
    private let cell: UnsafeMutablePointer<Int32>

    public init(_ value: Int) {
        cell = .allocate(capacity: 1)
        cell.initialize(to: Int32(truncatingIfNeeded: value))
    }

    deinit { cell.deallocate() }

    public func load() -> Int { Int(apus_atomic_load_i32(cell)) }
    public func store(_ value: Int) { apus_atomic_store_i32(cell, Int32(truncatingIfNeeded: value)) }
    public func exchange(_ value: Int) -> Int { Int(apus_atomic_exchange_i32(cell, Int32(truncatingIfNeeded: value))) }
}
