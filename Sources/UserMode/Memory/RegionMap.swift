/// What stands behind a stretch of guest memory, as `/proc/self/maps` names it.
package enum RegionKind: UInt8, Sendable {
    case anonymous, file, heap, stack, vdso, sharedMemory
    /// Written by the instructions of shadow stacks alone.
    case shadowStack
    /// Memory of Apus itself inside the guest's range: never given to the guest, never shown to it.
    case foreign
}

/// One stretch of guest addresses with one set of permissions.
package struct Region: Sendable, Equatable {
    package var start: UInt64
    package var end: UInt64
    /// The guest's `PROT_READ` 1, `PROT_WRITE` 2, `PROT_EXEC` 4. The host never sees the last.
    package var protection: Int32
    package var kind: RegionKind
    package var shared: Bool

    package init(start: UInt64, end: UInt64, protection: Int32, kind: RegionKind, shared: Bool = false) {
        self.start = start
        self.end = end
        self.protection = protection
        self.kind = kind
        self.shared = shared
    }

    package var isExecutable: Bool { protection & 4 != 0 }

    fileprivate func joins(_ next: Region) -> Bool {
        end == next.start && protection == next.protection && kind == next.kind && shared == next.shared
    }
}

/// The guest's address space as sorted, disjoint regions. A plain value: its owner guards it with a lock.
///
/// All ranges are page-aligned and `start < end`; the owner has checked that before it calls.
package struct RegionMap: Sendable {
    package private(set) var regions: ContiguousArray<Region> = []
    /// Which pages of writable code are write-protected on the host for the moment.
    var watch = CodeWatch()

    package init() { regions.reserveCapacity(64) }

    /// The index of the first region that ends above `address`.
    package func index(of address: UInt64) -> Int {
        var low = 0, high = regions.count
        while low < high {
            let middle = (low &+ high) >> 1
            if regions[middle].end > address { high = middle } else { low = middle &+ 1 }
        }
        return low
    }

    package func region(at address: UInt64) -> Region? {
        let i = index(of: address)
        return i < regions.count && regions[i].start <= address ? regions[i] : nil
    }

    package func isFree(_ start: UInt64, _ end: UInt64) -> Bool {
        let i = index(of: start)
        return i == regions.count || regions[i].start >= end
    }

    /// Whether a region in the range satisfies `test`.
    package func contains(_ start: UInt64, _ end: UInt64, where test: (Region) -> Bool) -> Bool {
        var i = index(of: start)
        while i < regions.count, regions[i].start < end {
            if test(regions[i]) { return true }
            i &+= 1
        }
        return false
    }

    /// The end of the mapped stretch without holes that begins at `start`, at most `end`; `start` if it is unmapped.
    package func mappedEnd(from start: UInt64, to end: UInt64) -> UInt64 {
        var reached = start
        var i = index(of: start)
        while reached < end, i < regions.count, regions[i].start <= reached {
            reached = regions[i].end
            i &+= 1
        }
        return min(reached, end)
    }

    /// The parts of regions inside the range.
    package func pieces(_ start: UInt64, _ end: UInt64) -> [Region] {
        var result: [Region] = []
        var i = index(of: start)
        while i < regions.count, regions[i].start < end {
            var piece = regions[i]
            piece.start = max(piece.start, start)
            piece.end = min(piece.end, end)
            result.append(piece)
            i &+= 1
        }
        return result
    }

    /// Takes the range out of the map.
    package mutating func remove(_ start: UInt64, _ end: UInt64) { replace(start, end, with: []) }

    /// Makes the region's range this region, whatever was there.
    package mutating func insert(_ region: Region) { replace(region.start, region.end, with: [region]) }

    /// Changes permissions of what is mapped in the range.
    package mutating func protect(_ start: UInt64, _ end: UInt64, _ protection: Int32) {
        var changed = pieces(start, end)
        for i in changed.indices { changed[i].protection = protection }
        replace(start, end, with: changed)
    }

    /// Replaces everything in the range by `middle` (sorted, inside the range), splitting regions at its edges and
    /// joining equal neighbours.
    package mutating func replace(_ start: UInt64, _ end: UInt64, with middle: [Region]) {
        watch.forget(start, end)
        let first = index(of: start)
        var last = first
        var fresh: [Region] = []
        fresh.reserveCapacity(middle.count &+ 2)
        if first < regions.count, regions[first].start < start {
            var left = regions[first]
            left.end = start
            fresh.append(left)
        }
        func append(_ region: Region) {
            if let tail = fresh.last, tail.joins(region) {
                fresh[fresh.count &- 1].end = region.end
            } else {
                fresh.append(region)
            }
        }
        for region in middle { append(region) }
        while last < regions.count, regions[last].start < end {
            if regions[last].end > end {
                var right = regions[last]
                right.start = end
                append(right)
            }
            last &+= 1
        }
        // Join with the untouched neighbours.
        var low = first
        if low > 0, let head = fresh.first, regions[low &- 1].joins(head) {
            low &-= 1
            fresh[0].start = regions[low].start
        }
        if last < regions.count, let tail = fresh.last, tail.joins(regions[last]) {
            fresh[fresh.count &- 1].end = regions[last].end
            last &+= 1
        }
        regions.replaceSubrange(low..<last, with: fresh)
    }

    /// The highest free stretch of `length` bytes inside `low ..< high`, its start a multiple of `alignment`
    /// (a power of two).
    package func highestGap(_ length: UInt64, alignment: UInt64, low: UInt64, high: UInt64) -> UInt64? {
        var top = high
        var i = index(of: high == 0 ? 0 : high &- 1)
        // `i` is the first region that ends above high - 1: it may reach into the range.
        if i < regions.count, regions[i].start < top { top = regions[i].start }
        while true {
            let bottom = i > 0 ? max(regions[i &- 1].end, low) : low
            if top > bottom, top &- bottom >= length {
                let start = (top &- length) & ~(alignment &- 1)
                if start >= bottom { return start }
            }
            guard i > 0, regions[i &- 1].start > low else { return nil }
            i &-= 1
            top = min(top, regions[i].start)
        }
    }
}
