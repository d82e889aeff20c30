// Peers that send anything: random bytes, and good conversations with bytes changed, left out or doubled. Nothing they send
// may crash the process, hang a thread, or make it take more than its bounds. A few seconds in the tests; hours with
// APUS_FUZZ_SECONDS=N.

import Block
import Formats
import Foundation
import Host
import NBD
import Sockets
import Testing

@Suite(.serialized) struct HostileTests {
    private var seconds: Double { ProcessInfo.processInfo.environment["APUS_FUZZ_SECONDS"].flatMap { Double($0) } ?? 2 }

    /// What a well-behaved client sends: the seed of mutations.
    private func conversation(_ random: inout Seeded) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var message = MessageWriter()
        message.put(UInt32(3))
        pieces.append(message.bytes)
        func option(_ code: UInt32, _ data: [UInt8]) {
            var message = MessageWriter()
            message.put(Handshake.option)
            message.put(code)
            message.put(UInt32(data.count))
            message.put(data)
            pieces.append(message.bytes)
        }
        var name = MessageWriter()
        name.put(UInt32(0))
        let extended = random.below(2) == 0
        if random.below(3) > 0 { option(extended ? 11 : 8, []) }
        if random.below(2) == 0 { option(3, []) }
        if random.below(2) == 0 { option(5, []) }
        var contexts = name
        contexts.put(UInt32(2))
        contexts.put(counted: "base:allocation")
        contexts.put(counted: "qemu:")
        if random.below(2) == 0 { option(9, contexts.bytes) }
        if random.below(2) == 0 { option(10, contexts.bytes) }
        var go = name
        go.put(UInt16(1))
        go.put(UInt16(3))
        if random.below(8) == 0 { option(1, []) } else { option(7, go.bytes) }
        for _ in 0..<random.below(20) {
            var request = MessageWriter()
            let command = UInt16(random.below(9))
            var length = random.below(4) == 0 ? random.below(1 << 33) : random.below(5000)
            if command == 1 { length = random.below(5000) }
            request.put(extended ? Command.extendedMagic : Command.magic)
            request.put(UInt16(random.below(3) == 0 ? random.below(64) : command == 1 && extended ? 32 : 0))
            request.put(command)
            request.put(random.next())
            request.put(random.below(8) == 0 ? random.next() : random.below(1 << 20))
            if extended { request.put(length) } else { request.put(UInt32(truncatingIfNeeded: length)) }
            if command == 1 { request.put([UInt8](repeating: 7, count: Int(length))) }
            pieces.append(request.bytes)
        }
        return pieces
    }

    private func mutate(_ pieces: [[UInt8]], _ random: inout Seeded) -> [UInt8] {
        var pieces = pieces
        for _ in 0..<random.below(4) where !pieces.isEmpty {
            let index = Int(random.below(UInt64(pieces.count)))
            switch random.below(6) {
            case 0: pieces.remove(at: index)
            case 1: pieces.insert(pieces[index], at: index)
            case 2: pieces[index] = Array(pieces[index].prefix(Int(random.below(UInt64(pieces[index].count) + 1))))
            case 3: pieces[index] += (0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            default:
                for _ in 0...random.below(3) where !pieces[index].isEmpty {
                    let place = Int(random.below(UInt64(min(pieces[index].count, 64))))
                    pieces[index][place] = random.below(2) == 0 ? UInt8(truncatingIfNeeded: random.next()) : [0, 0xff, 0x7f, 0x80][Int(random.below(4))]
                }
            }
        }
        return pieces.flatMap { $0 }
    }

    @Test func theServerOutlivesItsClients() throws {
        let scratch = Scratch()
        let path = try scratch.create("disk", QCOW2Format.self, size: 1 << 20)
        let node = try scratch.graph.open(path, format: "qcow2", .readWrite)
        let root = Root(node)
        var settings = Export.Settings(name: "", isWritable: true)
        settings.offersDepth = true
        let server = Server(handshakeSeconds: 5)
        try server.add(try Export(root, settings))
        var random = Seeded(UInt64(ProcessInfo.processInfo.environment["APUS_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1))
        let end = Date().addingTimeInterval(seconds)
        var rounds = 0
        while Date() < end || rounds < 50 {
            rounds += 1
            let (ours, theirs) = try socketPair()
            let over = Waiting(false)
            Thread {
                _ = server.serve(theirs)
                over.change { $0 = true }
            }.start()
            let bytes = random.below(10) == 0 ? (0..<random.below(2000)).map { _ in UInt8(truncatingIfNeeded: random.next()) } : mutate(conversation(&random), &random)
            // What it answers must be read, or it waits for room.
            let reader = Thread {
                var buffer = [UInt8](repeating: 0, count: 65536)
                while (try? buffer.withUnsafeMutableBytes { try ours.receive($0) }) ?? 0 > 0 {}
            }
            reader.start()
            try? ours.send(bytes)
            ours.finish()
            #expect(over.wait(seconds: 20) { $0 ? true : nil } == true, "round \(rounds) hangs")
            ours.shutDown()
        }
        // It still serves.
        let (ours, theirs) = try socketPair()
        Thread { _ = server.serve(theirs) }.start()
        var handshake = ClientHandshake(ours)
        let connection = ClientConnection(ours, try handshake.enter(ClientWishes(export: "")))
        var extents: [StatusExtent] = []
        #expect(connection.perform(ClientRequest(command: Command.flush), extents: &extents) == .success)
        connection.close()
        let check = try #require(node.image as? any CheckableImage)
        try node.flush()
        #expect(try check.check(.nothing).corruptions == 0)
        try node.close()
    }

    /// A server's side of a conversation, recorded; its bytes are changed and played to clients.
    @Test func clientsOutliveTheirServers() throws {
        let scratch = Scratch()
        let path = try scratch.create("disk", QCOW2Format.self, size: 1 << 20)
        let node = try scratch.graph.open(path, format: "qcow2", .readWrite)
        try node.write(100_000, bytes: [UInt8](repeating: 3, count: 200_000))
        let server = Server()
        try server.add(try Export(Root(node), Export.Settings(name: "", isWritable: true)))
        var random = Seeded(2)
        // Three recordings: extended, structured, simple.
        let recordings = try [(false, false), (true, false), (true, true)].map { avoidsExtended, avoidsStructured in
            try record(server, ClientWishes(export: "", avoidsExtended: avoidsExtended, avoidsStructured: avoidsStructured))
        }
        let end = Date().addingTimeInterval(seconds)
        var rounds = 0
        while Date() < end || rounds < 50 {
            rounds += 1
            let kind = Int(random.below(3))
            let wishes = ClientWishes(export: "", avoidsExtended: kind > 0, avoidsStructured: kind > 1)
            // Cut into pieces at random places, so that mutations hit messages' heads.
            var pieces: [[UInt8]] = []
            var rest = recordings[kind][...]
            while !rest.isEmpty {
                let count = min(rest.count, Int(random.below(60)) + 1)
                pieces.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let bytes = random.below(10) == 0 ? (0..<random.below(500)).map { _ in UInt8(truncatingIfNeeded: random.next()) } : mutate(pieces, &random)
            let (ours, theirs) = try socketPair()
            let reader = Thread {
                var buffer = [UInt8](repeating: 0, count: 65536)
                while (try? buffer.withUnsafeMutableBytes { try theirs.receive($0) }) ?? 0 > 0 {}
            }
            reader.start()
            let over = Waiting(false)
            Thread {
                converse(ours, wishes)
                over.change { $0 = true }
            }.start()
            try? theirs.send(bytes)
            theirs.finish()
            #expect(over.wait(seconds: 20) { $0 ? true : nil } == true, "round \(rounds) hangs")
            theirs.shutDown()
        }
        try node.close()
    }

    /// What the server answers to a fixed conversation.
    private func record(_ server: Server, _ wishes: ClientWishes) throws -> [UInt8] {
        let (client, middle) = try socketPair(), (far, served) = try socketPair()
        Thread { _ = server.serve(served) }.start()
        let heard = Locked<[UInt8]>([])
        let over = Waiting(0)
        for (from, to, keeps) in [(middle, far, false), (far, middle, true)] {
            Thread {
                var buffer = [UInt8](repeating: 0, count: 65536)
                while let count = try? buffer.withUnsafeMutableBytes({ try from.receive($0) }), count > 0 {
                    let part = Array(buffer[..<count])
                    if keeps { heard.withLock { $0 += part } }
                    try? to.send(part)
                }
                to.finish()
                over.change { $0 += 1 }
            }.start()
        }
        converse(client, wishes)
        #expect(over.wait(seconds: 20) { $0 == 2 ? true : nil } == true)
        let bytes = heard.withLock { $0 }
        #expect(bytes.count > 10_000)
        return bytes
    }
}

/// A fixed conversation of a client.
private func converse(_ channel: Channel, _ wishes: ClientWishes) {
    channel.setDeadline(10)
    var handshake = ClientHandshake(channel)
    guard let agreement = try? handshake.enter(wishes) else { return channel.shutDown() }
    let connection = ClientConnection(channel, agreement)
    var extents: [StatusExtent] = []
    guard let buffer = try? OwnedBuffer(150_000) else { return }
    for (offset, length) in [(0, 4096), (90_000, 150_000), (400_000, 70_000), (200_000, 1)] {
        _ = connection.perform(ClientRequest(command: Command.read, offset: UInt64(offset), length: UInt64(length), buffer: buffer.buffer.slice(0, length)), extents: &extents)
    }
    _ = connection.perform(ClientRequest(command: Command.write, offset: 5000, length: 4096, buffer: buffer.buffer.slice(0, 4096)), extents: &extents)
    if agreement.context != nil { _ = connection.perform(ClientRequest(command: Command.blockStatus, offset: 0, length: 1 << 20), extents: &extents) }
    _ = connection.perform(ClientRequest(command: Command.read, offset: 1 << 30, length: 512, buffer: buffer.buffer.slice(0, 512)), extents: &extents)
    _ = connection.perform(ClientRequest(command: Command.flush), extents: &extents)
    connection.close()
    withExtendedLifetime(buffer) {}
}
