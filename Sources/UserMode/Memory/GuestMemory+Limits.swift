import Glibc

// RLIMIT_AS and RLIMIT_DATA as getrlimit(2) defines them, over the guest's memory alone. The stack, which Linux counts
// as far as it has grown, is left out.
extension GuestMemory {
    /// Whether `bytes` more, of private writable memory if `isData`, stay within the limits that the guest set itself.
    func fitsLimits(_ state: borrowing State, adding bytes: UInt64, isData: Bool) -> Bool {
        if let limit = VirtualLimits.soft(9 /* RLIMIT_AS */), limit != .max,
           total(state, where: { _ in true }) &+ bytes > limit { return false }
        if isData, let limit = VirtualLimits.soft(2 /* RLIMIT_DATA */), limit != .max,
           total(state, where: Self.isData) &+ bytes > limit { return false }
        return true
    }

    static func isData(_ region: Region) -> Bool { region.protection & PROT_WRITE != 0 && !region.shared }

    private func total(_ state: borrowing State, where test: (Region) -> Bool) -> UInt64 {
        var sum: UInt64 = 0
        for region in state.map.regions where region.kind != .foreign && region.kind != .stack && test(region) {
            sum &+= region.end &- region.start
        }
        return sum
    }
}
