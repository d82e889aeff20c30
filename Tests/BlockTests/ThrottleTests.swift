import Block
import Core
import Formats
import Testing

@Suite struct ThrottleTests {
    private func limits(_ values: [String: UInt64]) -> ThrottleLimits {
        var limits = ThrottleLimits()
        for (name, value) in values { limits[name] = value }
        return limits
    }

    @Test func contradictionsAreRefused() throws {
        for bad: [String: UInt64] in [
            ["bps-total": 1, "bps-read": 1], ["iops-total-max": 5], ["iops-read": 5, "iops-read-max": 4], ["bps-write": 5, "bps-write-max-length": 2], ["iops-size": 4096], ["bps-total": 1 << 60],
        ] {
            #expect(throws: BlockError.self) { try limits(bad).check() }
        }
        try limits(["bps-total": 5, "iops-read": 7, "iops-write": 8, "iops-read-max": 9, "iops-read-max-length": 3, "iops-size": 512]).check()
    }

    @Test func groupsAreObjects() throws {
        let graph = BlockGraph(testCatalogue.with([ThrottleGroupKind.self]))
        try graph.add(object: "throttle-group,id=g,x-iops-total=10,limits.bps-read=5M")
        let group = try #require(graph.object("g") as? ThrottleGroup)
        #expect(group.limits["iops-total"] == 10 && group.limits["bps-read"] == 5 << 20)
        try group.set("limits", .object([.init("iops-total", .integer(20)), .init("iops-total-max", .integer(40))]))
        #expect(group.limits["iops-total-max"] == 40 && group.limits["bps-read"] == 5 << 20)
        #expect(throws: BlockError.self) { try group.set("limits", .object([.init("iops-total-max", .integer(1))])) }
        #expect(throws: BlockError.self) { try graph.add(object: "throttle-group,id=g") }
        try graph.removeObject("g")
    }

    @Test func nodesShareAGroup() throws {
        let scratch = Scratch()
        let path = try scratch.create(RawFormat.self, "", size: 1 << 20)
        let graph = BlockGraph(testCatalogue.with([ThrottleGroupKind.self]))
        try graph.add(object: "throttle-group,id=g,x-iops-total=100")
        let nodes = try (0 ..< 2).map { _ in
            try graph.open("json:{\"driver\": \"throttle\", \"throttle-group\": \"g\", \"file\": {\"driver\": \"file\", \"filename\": \"\(path)\"}}")
        }
        #expect(throws: BlockError.self) { try graph.removeObject("g") }
        let began = RateLimit.now()
        for number in 0 ..< 30 { _ = try nodes[number % 2].bytes(0, 512) }
        // Ten of thirty requests pass at once.
        #expect(RateLimit.now() - began > 0.15)
        for node in nodes { try node.close() }
    }
}
