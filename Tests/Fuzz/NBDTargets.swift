// Both sides of NBD against a peer that has said all it will say: the input is what it sends. Answers are read and forgotten.

import Block
import Glibc
import Host
import NBD
import Sockets

extension FuzzTarget {
    static let nbd = [
        FuzzTarget(name: "nbd-server") { bytes in
            guard let (ours, theirs) = pair(), let server = try? server() else { return }
            let drained = Waiting(false)
            guard BackgroundThread.start({
                var buffer = [UInt8](repeating: 0, count: 65536)
                while let count = try? buffer.withUnsafeMutableBytes({ (memory) throws(SocketError) in try ours.receive(memory) }), count > 0 {}
                drained.change { $0 = true }
            }) else { return }
            try? ours.send(bytes)
            ours.finish()
            _ = server.serve(theirs)
            theirs.shutDown()
            _ = drained.wait { $0 ? true : nil }
        },
        FuzzTarget(name: "nbd-client") { bytes in
            for isPlain in [false, true] {
                guard let (ours, theirs) = pair() else { return }
                try? ours.send(bytes)
                ours.finish()
                var handshake = ClientHandshake(theirs)
                let wishes = ClientWishes(export: "", avoidsExtended: isPlain, avoidsStructured: isPlain)
                guard let agreement = try? handshake.enter(wishes) else { continue }
                use(ClientConnection(theirs, agreement))
            }
        },
        FuzzTarget(name: "nbd-list") { bytes in
            guard let (ours, theirs) = pair() else { return }
            try? ours.send(bytes)
            ours.finish()
            var handshake = ClientHandshake(theirs)
            _ = try? handshake.list(ClientWishes(export: ""))
        },
    ]

    private static func pair() -> (Channel, Channel)? {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { return nil }
        return (Channel(ends[0]), Channel(ends[1]))
    }

    /// A server with a writable disk of 1 MiB in memory.
    private static func server() throws -> Server {
        let node = Node(name: "disk", driver: "file", filename: "/nowhere/disk", storage: MemoryStorage([UInt8](repeating: 3, count: 1 << 20)), access: .readWrite)
        var settings = Export.Settings(name: "", isWritable: true)
        settings.offersDepth = true
        let server = Server(handshakeSeconds: 5)
        try server.add(try Export(Root(node), settings))
        return server
    }

    /// A request of each kind, whatever the server said of its export.
    private static func use(_ connection: ClientConnection) {
        guard let memory = try? OwnedBuffer(4096) else { return }
        defer { withExtendedLifetime(memory) {} }
        let buffer = memory.buffer
        var extents: [StatusExtent] = []
        for command in [Command.read, Command.blockStatus, Command.write, Command.flush, Command.read] {
            let moves = command == Command.read || command == Command.write
            _ = connection.perform(ClientRequest(command: command, offset: 512, length: moves ? 4096 : command == Command.flush ? 0 : 1 << 20, buffer: moves ? buffer : nil), extents: &extents)
            if connection.breakage != nil { return }
        }
    }
}
