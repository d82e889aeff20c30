// Who uses which bytes of a file: finds what lies beyond the end, and what two users claim. For the checks of formats.

import Block

/// Ranges of a file with their owners.
struct Occupancy {
    private var ranges: [(start: UInt64, length: UInt64, owner: UInt64)] = []
    private let end: UInt64

    /// - Parameter end: the file's length.
    init(end: UInt64) { self.end = end }

    /// Adds a range; false if it ends beyond the file.
    mutating func add(_ start: UInt64, _ length: UInt64, owner: UInt64) -> Bool {
        guard start <= end, length <= end - start else { return false }
        ranges.append((start, length, owner))
        return true
    }

    /// Pairs of owners that claim the same bytes. - Parameter most: how many at most.
    mutating func collisions(most: Int = CheckResult.messageLimit) -> [(UInt64, UInt64)] {
        ranges.sort { $0.start < $1.start }
        var found: [(UInt64, UInt64)] = []
        var reach: (end: UInt64, owner: UInt64)?
        for range in ranges {
            if let reach, range.start < reach.end { found.append((reach.owner, range.owner)) }
            if found.count >= most { break }
            if (reach?.end ?? 0) < range.start + range.length { reach = (range.start + range.length, range.owner) }
        }
        return found
    }

    /// One past the last used byte.
    var used: UInt64 { ranges.reduce(0) { max($0, $1.start + $1.length) } }
}
