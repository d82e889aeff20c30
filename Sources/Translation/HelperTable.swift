import IR

/// A function that IR `helper` ops call: state pointer and three arguments, an i64 result.
///
/// It runs on the vCPU's thread with the host's own floating-point environment; integer registers of the guest may be
/// in host registers, so a helper that declares no state effects must not touch guest state.
public typealias Helper = @convention(c) (UnsafeMutableRawPointer, UInt64, UInt64, UInt64) -> UInt64

/// A pure helper that some hosts have an instruction for. A back end that knows it may emit that instead of the call; the
/// function stays the definition.
public enum HelperIntrinsic: UInt8, Sendable {
    case none
    /// A round of AES on the first two columns of a state (arguments: its low and high half): the last, one of the others.
    case aesEncryptLast, aesEncryptMiddle, aesDecryptLast, aesDecryptMiddle
    /// The inverse mixing of two columns.
    case aesInverseMixColumns
    /// The four bytes of a zero-extended word substituted.
    case aesSubstituteWord
    /// Each byte of the second argument replaced by the byte of the first that it numbers, or 0.
    case lookUpBytes
}

/// The process-wide table of helpers: guests register theirs at start-up, before any engine runs.
public enum HelperTable {
    public static let capacity = 1024
    public nonisolated(unsafe) static let functions: UnsafeMutablePointer<Helper?> = {
        let table = UnsafeMutablePointer<Helper?>.allocate(capacity: capacity)
        table.initialize(repeating: nil, count: capacity)
        return table
    }()
    /// What each entry of `functions` is known as.
    public nonisolated(unsafe) static let intrinsics: UnsafeMutablePointer<HelperIntrinsic> = {
        let table = UnsafeMutablePointer<HelperIntrinsic>.allocate(capacity: capacity)
        table.initialize(repeating: .none, count: capacity)
        return table
    }()
    private nonisolated(unsafe) static var count = 0

    /// Adds a helper and returns its index. Only called while the process is single-threaded, by static initialisers
    /// of guests.
    public static func register(as intrinsic: HelperIntrinsic = .none, _ helper: @escaping Helper) -> HelperIndex {
        guard count < capacity else { return 0 }
        functions[count] = helper
        intrinsics[count] = intrinsic
        count += 1
        return HelperIndex(count - 1)
    }
}
