// The tables of formats with two levels (qcow, qed), and the one order in which their changes may be written: data first,
// then second-level tables, then what points to them, a flush between each two.

import Block
import Host

/// A first-level table, and the second-level tables that its entries point to.
protocol TwoLevels: Sendable {
    var first: EntryTable<UInt64> { get set }
    var tables: TableCache<UInt64> { get set }
}

extension Locked where Value: TwoLevels {
    /// Writes what has changed; what could not be written counts as changed again. One caller at a time.
    func writeBack(to file: Node) throws(BlockError) {
        let (tables, first) = withLock { ($0.tables.takeChanges(), $0.first.takeChanges()) }
        if tables.isEmpty, first.isEmpty { return }
        do throws(BlockError) {
            try file.flush()
            for (_, changes) in tables { try file.write(changes) }
            if first.isEmpty { return }
            try file.flush()
            try file.write(first)
        } catch {
            withLock { $0.tables.putBack(tables); $0.first.putBack(first) }
            throw error
        }
    }
}
