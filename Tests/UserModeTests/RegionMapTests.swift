import Testing
import UserMode

@Suite struct RegionMapTests {
    /// Random insertions, removals and protections against a plain list of pages.
    @Test func behavesLikeAListOfPages() {
        var random = RandomNumbers(1)
        let pages = 64
        for round in 0..<40 {
            var map = RegionMap()
            var model = [Int32?](repeating: nil, count: pages)
            var failure: String?
            for _ in 0..<200 {
                let low = Int.random(in: 0..<pages, using: &random)
                let high = Int.random(in: low + 1...pages, using: &random)
                let start = UInt64(low) * 4096, end = UInt64(high) * 4096
                let protection = Int32.random(in: 0...7, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0:
                    map.insert(Region(start: start, end: end, protection: protection, kind: .anonymous))
                    for i in low..<high { model[i] = protection }
                case 1:
                    map.remove(start, end)
                    for i in low..<high { model[i] = nil }
                default:
                    map.protect(start, end, protection)
                    for i in low..<high where model[i] != nil { model[i] = protection }
                }
                for i in 0..<pages where map.region(at: UInt64(i) * 4096 + 5)?.protection != model[i] {
                    failure = "round \(round): page \(i)"
                }
                for (a, b) in zip(map.regions, map.regions.dropFirst()) where a.end > b.start || (a.end == b.start && a.protection == b.protection) {
                    failure = "round \(round): regions overlap or should have been joined"
                }
                if map.isFree(start, end) != model[low..<high].allSatisfy({ $0 == nil }) { failure = "round \(round): isFree" }
                let reach = model[low..<high].prefix { $0 != nil }.count
                if map.mappedEnd(from: start, to: end) != start + UInt64(reach) * 4096 { failure = "round \(round): mappedEnd" }
                let wanted = Int.random(in: 1...8, using: &random)
                let expected = (0...(pages - wanted)).reversed().first { i in model[i..<i + wanted].allSatisfy { $0 == nil } }
                let found = map.highestGap(UInt64(wanted) * 4096, alignment: 4096, low: 0, high: UInt64(pages) * 4096)
                if found != expected.map({ UInt64($0) * 4096 }) { failure = "round \(round): highestGap" }
            }
            #expect(failure == nil)
        }
    }

    @Test func gapsAreAligned() {
        var map = RegionMap()
        map.insert(Region(start: 0x20_1000, end: 0x30_0000, protection: 1, kind: .anonymous))
        #expect(map.highestGap(0x1000, alignment: 0x10_0000, low: 0x1000, high: 0x30_0000) == 0x20_0000)
        #expect(map.highestGap(0x2000, alignment: 0x10_0000, low: 0x1000, high: 0x30_0000) == 0x10_0000)
        #expect(map.highestGap(0x40_0000, alignment: 0x1000, low: 0x1000, high: 0x30_0000) == nil)
    }
}
