import Block
import Core
import Formats
import Testing

/// Nodes described by options, and filters.
@Suite struct FilterTests {
    private func open(_ scratch: Scratch, _ json: String, _ access: Access = .readWrite) throws -> Node {
        try scratch.graph.open(options: try JSONValue(parsing: json), access)
    }

    @Test func injectedErrorsReachTheUser() throws {
        let scratch = Scratch()
        let path = try scratch.create(VDIFormat.self, "", size: 1 << 20)
        let node = try open(scratch, """
            {'driver': 'blkdebug', 'inject-error': [{'event': 'write', 'errno': 28, 'sector': 3}, {'event': 'flush', 'once': true}],
             'image': {'driver': 'vdi', 'file': {'driver': 'file', 'filename': '\(path)'}}}
            """)
        try node.write(0, bytes: [1, 2, 3])
        #expect(throws: BlockError.self) { try node.write(1600, bytes: [1]) }
        #expect(throws: BlockError.self) { try node.flush() }
        try node.flush()
        try node.close()
    }

    /// A failing file under a format: requests fail, and the image is still consistent.
    @Test func imagesSurviveFailingFiles() throws {
        let scratch = Scratch()
        let path = try scratch.create(VDIFormat.self, "", size: 4 << 20)
        let node = try open(scratch, """
            {'driver': 'vdi', 'file': {'driver': 'blkdebug', 'inject-error.0.event': 'write', 'inject-error.0.once': true,
             'image': {'driver': 'file', 'filename': '\(path)'}}}
            """)
        #expect(throws: BlockError.self) { try node.write(10, bytes: [1]) }
        try node.write(10, bytes: [1])
        #expect(try node.bytes(9, 3) == [0, 1, 0])
        try node.close()
        let again = try scratch.graph.open(path)
        #expect(try again.bytes(9, 3) == [0, 1, 0])
        #expect(try (again.image as? any CheckableImage)?.check(.nothing).corruptions == 0)
        try again.close()
    }

    @Test func throttledRequestsTakeTime() throws {
        let scratch = Scratch()
        let path = try scratch.create(RawFormat.self, "", size: 4 << 20)
        let node = try open(scratch, "{'driver': 'throttle', 'bps-total': 4194304, 'file': {'driver': 'raw', 'file': {'driver': 'file', 'filename': '\(path)'}}}", .readOnly)
        let began = RateLimit.now()
        for piece in 0..<8 { _ = try node.bytes(UInt64(piece) * 131_072, 131_072) }
        #expect(RateLimit.now() - began > 0.1)
        try node.close()
    }

    @Test func writesAreLogged() throws {
        let scratch = Scratch()
        let path = try scratch.create(RawFormat.self, "", size: 1 << 20)
        let node = try open(scratch, "{'driver': 'blklogwrites', 'log': {'filename': '\(scratch.path("log"))'}, 'file': {'driver': 'raw', 'file': {'driver': 'file', 'filename': '\(path)'}}}")
        try node.write(1024, bytes: [UInt8](repeating: 5, count: 512))
        try node.flush()
        try node.close()
        let log = Bytes(try scratch.contents(scratch.path("log")), order: .little)
        #expect(try log.u64(0) == 0x6a73_6677_7368_72)
        #expect(try log.u64(16) >= 2)
        #expect(try log.u64(512) == 2 && log.u64(520) == 1 && log.u8(1024) == 5)
    }

    @Test func descriptionsAreRead() throws {
        let scratch = Scratch()
        let path = try scratch.create(VDIFormat.self, "", size: 1 << 20)
        let named = try scratch.graph.open("json:{\"driver\": \"vdi\", \"file\": {\"driver\": \"file\", \"filename\": \"\(path)\"}}")
        #expect(named.driver == "vdi")
        try named.close()
        let flat = try scratch.graph.open(options: .object(OptionTree.expanded(OptionValues.split("driver=raw,offset=512,size=512,file.filename=\(path)").map { JSONValue.Member($0.name, .text($0.value)) })), .readOnly)
        #expect(try flat.length() == 512)
        try flat.close()
        #expect(throws: BlockError.self) { try scratch.graph.open("json:{nothing}") }
        #expect(throws: BlockError.self) { try scratch.graph.open("nosuch:thing") }
        let null = try scratch.graph.open(options: try JSONValue(parsing: "{'driver': 'null-co', 'size': 4096, 'read-zeroes': true}"), .readWrite)
        #expect(try null.length() == 4096 && null.bytes(0, 10) == [UInt8](repeating: 0, count: 10))
        try null.close()
    }
}
