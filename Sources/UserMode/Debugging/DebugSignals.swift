/// Signal numbers of Linux's generic table and gdb's own (`gdb/signals.def`), which is what its protocol carries.
enum DebugSignals {
    /// gdb's number for each Linux signal from 1 to 31; those not here are the same.
    private static let different: [Int: UInt8] = [
        7: 10, 10: 30, 12: 31, 16: 143, 17: 20, 18: 19, 19: 17, 20: 18, 23: 16, 29: 23, 30: 32, 31: 12,
    ]
    private static let unknown: UInt8 = 143

    static func remote(_ signal: Int) -> UInt8 {
        switch signal {
        case 1 ... 31: different[signal] ?? UInt8(signal)
        case 32: 77
        case 33 ... 63: UInt8(signal &+ 12)
        case 64: 78
        default: unknown
        }
    }

    /// 0 for what Linux does not have.
    static func linux(_ number: UInt8) -> Int { (1 ... 64).first { remote($0) == number } ?? 0 }
}
