// Client and server of this program against one another, and against a plain model of a disk.

import Block
import Formats
import Foundation
import NBD
import Sockets
import Testing

@Suite struct TransferTests {
    /// Random requests through NBD; the same image opened afterwards must hold what the model says.
    @Test(arguments: ["qcow2", "raw"]) func randomRequestsAgainstAModel(format: String) throws {
        let scratch = Scratch()
        let size: UInt64 = 5 << 20
        let made = try #require(testCatalogue.format(format) as? any CreatableFormat.Type)
        let path = try scratch.create("disk", made, size: size)
        var access = Access.readWrite
        access.discards = true
        let node = try scratch.graph.open(path, format: format, access)
        let server = try TestServer(scratch, node)
        let client = try server.connect(scratch, access)
        var model = [UInt8](repeating: 0, count: Int(size))
        var random = Seeded(7)
        for request in 0..<250 {
            let start = random.below(size)
            let count = min(size - start, random.below(random.below(8) == 0 ? 400_000 : 20000) + 1)
            let range = Int(start)..<Int(start + count)
            switch random.below(10) {
            case 0...4:
                let first = UInt8(truncatingIfNeeded: random.next())
                let bytes = (0..<Int(count)).map { UInt8(truncatingIfNeeded: $0 >> 4) &+ first }
                try client.write(start, bytes: bytes)
                model.replaceSubrange(range, with: bytes)
            case 5:
                try client.writeZeroes(start, count, unmap: random.below(2) == 0)
                model.replaceSubrange(range, with: repeatElement(0, count: Int(count)))
            case 6:
                try client.discard(start, count)
                let bytes = try client.bytes(start, Int(count))
                #expect((0..<Int(count)).allSatisfy { bytes[$0] == 0 || bytes[$0] == model[Int(start) + $0] }, "request \(request)")
                model.replaceSubrange(range, with: bytes)
            case 7: try client.flush()
            case 8:
                let status = try client.wholeStatus(start, count)
                #expect(status.length >= 1 && status.length <= count)
                if status.isZero { #expect(model[Int(start)..<Int(start + status.length)].allSatisfy { $0 == 0 }, "request \(request): \(start)") }
            default: #expect(try client.bytes(start, Int(count)) == Array(model[range]), "request \(request): \(count) bytes at \(start)")
            }
        }
        try client.close()
        server.stop()
        try node.close()
        let again = try scratch.graph.open(path, format: format)
        #expect(try again.bytes(0, Int(size)) == model)
        try again.close()
    }

    /// Many threads, each with a range of its own, over one connection.
    @Test func manyRequestsInFlight() throws {
        let scratch = Scratch()
        let path = try scratch.create("disk", RawFormat.self, size: 8 << 20)
        let node = try scratch.graph.open(path, format: "raw", .readWrite)
        let server = try TestServer(scratch, node)
        let client = try server.connect(scratch)
        let faults = FaultCounter()
        DispatchQueue.concurrentPerform(iterations: 24) { index in
            var random = Seeded(UInt64(index) + 1)
            let base = UInt64(index) * 300_000
            for _ in 0..<60 {
                let start = base + random.below(200_000)
                let count = Int(random.below(100_000)) + 1
                let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* (index + 3)) }
                do {
                    try client.write(start, bytes: bytes)
                    if random.below(8) == 0 { try client.flush() }
                    if try client.bytes(start, count) != bytes { faults.count() }
                } catch { faults.count() }
            }
        }
        #expect(faults.value == 0)
        try client.close()
        server.stop()
        try node.close()
    }

    /// Every way of talking: extended, structured, simple.
    @Test func eachKindOfReply() throws {
        let scratch = Scratch()
        let path = try scratch.create("disk", QCOW2Format.self, size: 4 << 20)
        let node = try scratch.graph.open(path, format: "qcow2", .readWrite)
        let data = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7 + 1) }
        try node.write(100_000, bytes: data)
        let server = try TestServer(scratch, node)
        for (extended, structured) in [(true, true), (false, true), (false, false)] {
            let wishes = ClientWishes(export: "", avoidsExtended: !extended, avoidsStructured: !structured)
            let storage = try NBDStorage(NBDTarget(address: .unix(path: server.path), wishes: wishes), filename: "nbd", writable: true)
            let client = Node(name: "client", driver: "nbd", filename: "nbd", storage: storage, access: .readWrite)
            var expected = [UInt8](repeating: 0, count: 4 << 20)
            expected.replaceSubrange(100_000..<400_000, with: data)
            #expect(try client.bytes(0, 4 << 20) == expected, "extended \(extended), structured \(structured)")
            let status = try client.status(1 << 20, 1 << 20)
            #expect(status.isZero == structured)
            // Behind the end.
            var extents: [StatusExtent] = []
            let connection = try probe(server.path, wishes)
            let beyond = ClientRequest(command: Command.writeZeroes, offset: 4 << 20, length: 512)
            guard case .failure(NBDErrorNumber.noSpace, _) = connection.perform(beyond, extents: &extents) else { Issue.record("a write beyond the end was taken"); continue }
            var unaligned = ClientRequest(command: Command.writeZeroes, offset: 1 << 20, length: 100)
            unaligned.flags = .fastZero
            guard case .failure(NBDErrorNumber.notSupported, _) = connection.perform(unaligned, extents: &extents) else { Issue.record("a fast zero of half a cluster was taken"); continue }
            connection.close()
            try client.close()
        }
        server.stop()
        try node.close()
    }

    private func probe(_ path: String, _ wishes: ClientWishes) throws -> ClientConnection {
        let channel = Channel(try SocketAddress.unix(path: path).connect())
        var handshake = ClientHandshake(channel)
        return ClientConnection(channel, try handshake.enter(wishes))
    }

    @Test func readOnlyExportsAndUnknownNames() throws {
        let scratch = Scratch()
        let path = try scratch.create("disk", RawFormat.self, size: 1 << 20)
        let node = try scratch.graph.open(path, format: "raw")
        let server = try TestServer(scratch, node, name: "one", writable: false)
        #expect(throws: BlockError.self) { try server.connect(scratch, .readWrite, export: "one") }
        #expect(throws: BlockError.self) { try server.connect(scratch, .readOnly, export: "two") }
        let client = try server.connect(scratch, .readOnly, export: "one")
        #expect(try client.length() == 1 << 20)
        try client.close()
        let wishes = ClientWishes(export: "one")
        let connection = try probe(server.path, wishes)
        var extents: [StatusExtent] = []
        var byte: UInt8 = 1
        let outcome = withUnsafeMutableBytes(of: &byte) { memory in
            connection.perform(ClientRequest(command: Command.write, offset: 0, length: 1, buffer: BlockBuffer(base: memory.baseAddress!, count: 1)), extents: &extents)
        }
        guard case .failure(NBDErrorNumber.permission, _) = outcome else { Issue.record("a write to a read-only export: \(outcome)"); return }
        connection.close()
        let list = try ExportListing.fetch(.unix(path: server.path), credentials: nil, host: nil)
        #expect(list.map(\.name) == ["one"] && list[0].size == 1 << 20 && list[0].flags.contains(.readOnly) && list[0].contexts == ["base:allocation"])
        server.stop()
        try node.close()
    }

    @Test func bitmapsAndDepths() throws {
        let scratch = Scratch()
        let base = try scratch.create("base", QCOW2Format.self, size: 4 << 20)
        let lower = try scratch.graph.open(base, format: "qcow2", .readWrite)
        try lower.write(0, bytes: [UInt8](repeating: 1, count: 65536))
        try lower.close()
        let path = try scratch.create("top", QCOW2Format.self, size: 4 << 20, "backing_file=\(base),backing_fmt=qcow2")
        let node = try scratch.graph.open(path, format: "qcow2", .readWrite)
        try node.write(65536, bytes: [UInt8](repeating: 2, count: 65536))
        let image = try #require(node.image as? any BitmappedImage)
        try image.addBitmap(BitmapRecord(name: "b", granularity: 65536, isEnabled: false))
        try image.markDirty("b", [131_072..<196_608])
        let server = try TestServer(scratch, node, bitmaps: [try ExportedBitmap(named: "b", in: node, isWritable: true)], depth: true)
        #expect(throws: BlockError.self) { try ExportedBitmap(named: "c", in: node, isWritable: true) }
        for context in [Context.depth, Context.bitmapPrefix + "b"] {
            let connection = try probe(server.path, ClientWishes(export: "", context: context))
            var extents: [StatusExtent] = []
            #expect(connection.perform(ClientRequest(command: Command.blockStatus, offset: 0, length: 4 << 20), extents: &extents) == .success)
            if context == Context.depth {
                #expect(extents == [StatusExtent(length: 65536, flags: 2), StatusExtent(length: 65536, flags: 1), StatusExtent(length: (4 << 20) - 131_072, flags: 0)])
            } else {
                #expect(extents == [StatusExtent(length: 131_072, flags: 0), StatusExtent(length: 65536, flags: 1), StatusExtent(length: (4 << 20) - 196_608, flags: 0)])
            }
            connection.close()
        }
        server.stop()
        try node.close()
    }

    /// A server that goes and comes back: with reconnect-delay requests wait, without they fail.
    @Test func clientsReconnect() throws {
        let scratch = Scratch()
        let path = try scratch.create("disk", RawFormat.self, size: 1 << 20)
        let node = try scratch.graph.open(path, format: "raw", .readWrite)
        let first = try TestServer(scratch, node)
        let patient = try first.connect(scratch, .readWrite, ",reconnect-delay=20"), hasty = try first.connect(scratch, .readWrite)
        try patient.write(0, bytes: [1, 2, 3])
        first.stop()
        #expect(throws: BlockError.self) { try hasty.write(0, bytes: [9]) }
        let done = FaultCounter()
        let thread = Thread {
            do { try patient.write(4, bytes: [4, 5, 6]) } catch { done.count() }
            done.count()
        }
        thread.start()
        usleep(400_000)
        #expect(done.value == 0, "a request did not wait for the server")
        let second = try TestServer(scratch, node)
        for _ in 0..<100 where done.value == 0 { usleep(100_000) }
        #expect(done.value == 1)
        #expect(try patient.bytes(0, 7) == [1, 2, 3, 0, 4, 5, 6])
        // A second after the loss, the other finds it too.
        usleep(1_100_000)
        #expect(try hasty.bytes(0, 3) == [1, 2, 3])
        try patient.close()
        try hasty.close()
        second.stop()
        try node.close()
    }

    @Test func namesAreUnderstood() throws {
        let cases = [
            ("nbd:localhost:10809", "nbd://localhost:10809"), ("nbd:localhost:10809:exportname=a/b", "nbd://localhost:10809/a/b"),
            ("nbd:unix:/tmp/s:exportname=x", "nbd+unix:///x?socket=/tmp/s"), ("nbd://host/x", "nbd://host:10809/x"), ("nbd://[::1]:1/", "nbd://[::1]:1"),
            ("nbd+unix:///a%20b?socket=/t%2fs", "nbd+unix:///a b?socket=/t/s"), ("nbd+unix://?socket=s", "nbd+unix://?socket=s"),
        ]
        for (name, shown) in cases {
            var values = OptionValues(NBDDriver.options)
            try NBDDriver.parse(name, into: &values)
            #expect(NBDDriver.filename(values) == shown, "\(name)")
        }
        for name in ["nbd:", "nbd:host", "nbd:unix:", "nbd+unix:///x", "nbd+unix:///x?sock=1", "nbd://", "nbd+unix:///%4?socket=/s", "nbd://h/x?y=1"] {
            var values = OptionValues(NBDDriver.options)
            #expect(throws: BlockError.self, "\(name)") { try NBDDriver.parse(name, into: &values) }
        }
    }
}

/// Counts from several threads.
final class FaultCounter: @unchecked Sendable {
    private let lock = NSLock()
    private var number = 0
    func count() { lock.withLock { number += 1 } }
    var value: Int { lock.withLock { number } }
}
