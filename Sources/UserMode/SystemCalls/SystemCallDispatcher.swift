import Glibc

/// Takes a system call of the guest to its row of the shared table, and shows it if `-strace` asks.
///
/// Made once a process: a dense list of rows by the ABI's numbers, so that a call costs an index and a jump.
final class SystemCallDispatcher: Sendable {
    private let rows: [SystemCallDescription]
    /// Index into `rows` by number; `none` where the ABI has no such call or the table no such name.
    private let indices: [UInt16]
    private let trace: SystemCallTrace?
    private static let none = UInt16.max
    /// Numbers above this are nobody's.
    private static let limit = 8192

    init(abi: any GuestABI, options: UserOptions) {
        var rows: [SystemCallDescription] = []
        rows.reserveCapacity(448)
        var byName: [String: UInt16] = [:]
        byName.reserveCapacity(512)
        for room in SystemCallTable.rooms {
            for row in room {
                byName[row.name] = UInt16(truncatingIfNeeded: rows.count)
                rows.append(row)
            }
        }
        let numbers = abi.systemCallNumbers
        let highest = numbers.keys.max() ?? 0
        var indices = [UInt16](repeating: Self.none, count: min(max(highest, 0), Self.limit) + 1)
        for (number, name) in numbers where indices.indices.contains(number) {
            if let index = byName[name] { indices[number] = index }
        }
        self.rows = rows
        self.indices = indices
        trace = options.strace ? SystemCallTrace(abi: abi, options: options) : nil
    }

    /// Does the call. Unknown ones answer ENOSYS.
    func run(_ call: SystemCall) -> SystemCallResult {
        let number = call.number
        let index = number >= 0 && number < indices.count ? indices[number] : Self.none
        let row = index == Self.none ? nil : rows[Int(index)]
        let result = perform(call, row)
        // Where the guest gave a page of its code, that page may be read-only only on the host.
        if case .value(-14 /* EFAULT */) = result, call.memory.liftAllWatches() { return perform(call, row) }
        return result
    }

    @inline(__always)
    private func perform(_ call: SystemCall, _ row: SystemCallDescription?) -> SystemCallResult {
        if let trace { return trace.run(call, row) }
        return row?.handler(call) ?? .error(ENOSYS)
    }

    /// Does the call by its process's dispatcher.
    static func run(_ call: SystemCall) -> SystemCallResult { call.process.systemCalls.run(call) }
}
