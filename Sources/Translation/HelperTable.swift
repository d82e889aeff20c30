import IR

/// A function that IR `helper` ops call: state pointer and three arguments, an i64 result.
///
/// It runs on the vCPU's thread with the host's own floating-point environment; integer registers of the guest may be
/// in host registers, so a helper that declares no state effects must not touch guest state.
public typealias Helper = @convention(c) (UnsafeMutableRawPointer, UInt64, UInt64, UInt64) -> UInt64

/// The process-wide table of helpers: guests register theirs at start-up, before any engine runs.
public enum HelperTable {
    public static let capacity = 1024
    public nonisolated(unsafe) static let functions: UnsafeMutablePointer<Helper?> = {
        let table = UnsafeMutablePointer<Helper?>.allocate(capacity: capacity)
        table.initialize(repeating: nil, count: capacity)
        return table
    }()
    private nonisolated(unsafe) static var count = 0

    /// Adds a helper and returns its index. Only called while the process is single-threaded, by static initialisers
    /// of guests.
    public static func register(_ helper: @escaping Helper) -> HelperIndex {
        guard count < capacity else { return 0 }
        functions[count] = helper
        count += 1
        return HelperIndex(count - 1)
    }
}
