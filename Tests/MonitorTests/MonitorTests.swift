// The monitor by itself: framing, checks, introspection; and block commands on real images.

import Block
import BlockMonitor
import Core
import Formats
import Foundation
import Monitor
import NBD
import Testing

private let catalogue = Catalogue(formats: DiskFormats.all, protocols: BlockProtocols.all + DiskFormats.protocols + [NBDDriver.self], filters: BlockFilters.all, fallback: RawFormat.self)

@Suite struct MonitorTests {
    @Test func valuesAreCutOutOfAStream() {
        var stream = JSONStream()
        #expect(stream.take(Array("{\"a\": \"}\\\"{\"}{}".utf8)) == [.value("{\"a\": \"}\\\"{\"}"), .value("{}")])
        #expect(stream.take(Array(" [1, {".utf8)).isEmpty)
        #expect(stream.take(Array("}] 5 \"x\"".utf8)) == [.value("[1, {}]"), .value("5 "), .value("\"x\"")])
        #expect(stream.take(Array("}".utf8)) == [.broken("JSON parse error, expecting value")])
        #expect(stream.take([UInt8](repeating: UInt8(ascii: "["), count: 65)) == [.broken("JSON nesting depth limit exceeded")])
        #expect(stream.take(Array("{\"a".utf8) + [0xff] + Array("{}".utf8)) == [.broken("JSON parse error, stray input"), .value("{}")])
    }

    @Test func argumentsAreChecked() throws {
        let monitor = Monitor()
        monitor.register([CommandDeclaration("do", [
            Parameter("name", .text), Parameter("count", .integer, optional: true), Parameter("mode", .enumeration("Mode", ["a", "b"]), optional: true),
            Parameter("list", .array(.alternate("Either", [.text, .object("Pair", [Parameter("x", .flag)])])), optional: true),
        ], returns: .text) { arguments throws(MonitorError) in .text(try arguments.required("name")) }])
        #expect(try monitor.execute("do", JSONValue(parsing: #"{"name": "n", "count": 3, "mode": "b", "list": ["s", {"x": true}]}"#)) == .text("n"))
        let wrong = [
            (#"{}"#, "Parameter 'name' is missing"), (#"{"name": 1}"#, "Invalid parameter type for 'name', expected: string"),
            (#"{"name": "n", "other": 1}"#, "Parameter 'other' is unexpected"), (#"{"name": "n", "mode": "c"}"#, "Parameter 'mode' does not accept value 'c'"),
            (#"{"name": "n", "list": [{"y": 1}]}"#, "Parameter 'list[0].x' is missing"), (#"{"name": "n", "list": [5]}"#, "Invalid parameter type for 'list[0]', expected: Either"),
            (#"{"name": "n", "count": 1.5}"#, "Invalid parameter type for 'count', expected: integer"),
        ]
        for (text, message) in wrong {
            #expect(throws: MonitorError(message)) { try monitor.execute("do", JSONValue(parsing: text)) }
        }
        #expect(throws: MonitorError("The command x has not been found", .commandNotFound)) { try monitor.execute("x") }
    }

    /// Every type that the schema names is described in it, once.
    @Test func theSchemaIsWhole() throws {
        let monitor = Monitor()
        let service = BlockService(BlockGraph(catalogue), monitor)
        guard case .array(let entries) = try monitor.execute("query-qmp-schema") else { Issue.record("no list"); return }
        let names = entries.compactMap { $0["name"]?.string }
        #expect(names.count == entries.count && Set(names).count == names.count)
        var missing: [String] = []
        func look(_ value: JSONValue) {
            for key in ["type", "arg-type", "ret-type", "element-type"] { if let name = value[key]?.string, !names.contains(name) { missing.append(name) } }
            if case .array(let members)? = value["members"] { members.forEach(look) }
        }
        entries.forEach(look)
        #expect(missing.isEmpty, "\(missing)")
        #expect(Set(monitor.commands.map(\.name)).isSubset(of: names) && names.contains("BLOCK_JOB_COMPLETED") && names.contains("blockdev-mirror"))
        service.shutDown()
    }

    @Test func bitmapsAndTransactions() throws {
        let folder = NSTemporaryDirectory() + "/apus-monitor-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let monitor = Monitor(), graph = BlockGraph(catalogue)
        var options = OptionValues(QCOW2Format.createOptions)
        try options.set("size", "1048576")
        try graph.create(folder + "/a", format: QCOW2Format.self, size: 1 << 20, options: options)
        let service = BlockService(graph, monitor)
        func ask(_ name: String, _ text: String = "{}") throws -> JSONValue { try monitor.execute(name, JSONValue(parsing: text)) }
        // A program that another test forks holds the new file's lock until it executes.
        let description = #"{"driver": "qcow2", "node-name": "q", "file": {"driver": "file", "node-name": "f", "filename": "\#(folder)/a"}}"#
        for attempt in 0... {
            do { _ = try ask("blockdev-add", description); break } catch where attempt < 100 && "\(error)".contains("lock") { usleep(50_000) }
        }
        _ = try ask("block-dirty-bitmap-add", #"{"node": "q", "name": "x"}"#)
        let node = try #require(service.entry("q")?.node)
        try node.write(70000, bytes: [1])
        #expect(try service.dirtyRanges(node, "x") == [65536..<131_072])
        // What was done before the failure is taken back.
        let actions = #"{"actions": [{"type": "block-dirty-bitmap-clear", "data": {"node": "q", "name": "x"}}, {"type": "block-dirty-bitmap-add", "data": {"node": "q", "name": "y"}}, {"type": "abort", "data": {}}]}"#
        #expect(throws: MonitorError.self) { try ask("transaction", actions) }
        #expect(try service.dirtyRanges(node, "x") == [65536..<131_072])
        #expect(throws: BlockError.self) { try service.dirtyRanges(node, "y") }
        // A malformed action: nothing is begun.
        #expect(throws: MonitorError.self) { try ask("transaction", #"{"actions": [{"type": "block-dirty-bitmap-clear", "data": {"node": "q", "name": "x"}}, {"type": "block-dirty-bitmap-clear", "data": {}}]}"#) }
        #expect(throws: MonitorError("Node 'f' is not owned by the monitor")) { try ask("blockdev-del", #"{"node-name": "f"}"#) }
        _ = try ask("blockdev-del", #"{"node-name": "q"}"#)
        #expect(service.allNodes.isEmpty && graph.node("f") == nil)
        service.shutDown()
    }
}
