// What the tests of NBD share: a server and clients in one process, over pairs of sockets or a socket in a folder.

import Block
import Formats
import Foundation
import NBD
import Sockets
import Testing

let testCatalogue = Catalogue(formats: DiskFormats.all, protocols: BlockProtocols.all + DiskFormats.protocols + [NBDDriver.self], filters: BlockFilters.all,
                              objects: [TLSObjectKind.self], fallback: RawFormat.self)

/// A folder for one test, removed with it.
final class Scratch {
    let folder = NSTemporaryDirectory() + "/apus-nbd-" + UUID().uuidString
    let graph = BlockGraph(testCatalogue)
    init() { try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: folder) }
    func path(_ name: String) -> String { folder + "/" + name }

    func create(_ name: String, _ format: any CreatableFormat.Type, size: UInt64, _ text: String = "") throws -> String {
        var options = OptionValues(format.createOptions)
        for option in OptionValues.split(text) { try options.set(option.name, option.value) }
        try options.set("size", String(size))
        try graph.create(path(name), format: format, size: size, options: options)
        return path(name)
    }
}

/// xorshift64*: the same numbers each time.
struct Seeded {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
    mutating func below(_ bound: UInt64) -> UInt64 { bound == 0 ? 0 : next() % bound }
}

/// Two ends of a stream.
func socketPair() throws -> (Channel, Channel) {
    var ends: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    return (Channel(ends[0]), Channel(ends[1]))
}

/// A server with one export on a socket in a folder.
final class TestServer {
    let server: Server
    let listener: Listener
    let root: Root
    let path: String

    init(_ scratch: Scratch, _ node: Node, name: String = "", writable: Bool = true, credentials: TLSCredentials? = nil,
         bitmaps: [ExportedBitmap] = [], depth: Bool = false, socket: String = "socket") throws {
        path = scratch.path(socket)
        root = Root(node)
        server = Server(credentials: credentials)
        var settings = Export.Settings(name: name, isWritable: writable)
        settings.bitmaps = bitmaps
        settings.offersDepth = depth
        try server.add(try Export(root, settings))
        listener = try Listener(.unix(path: path))
        let server = server
        try listener.start { server.admit($0) }
    }

    func stop() {
        server.stop()
        listener.stop()
    }

    /// A client's node. - Parameter options: further ones, `,name=value`.
    func connect(_ scratch: Scratch, _ access: Access = .readWrite, export: String = "", _ options: String = "") throws -> Node {
        let text = "driver=nbd,server.type=unix,server.path=\(path),export=\(export)\(options)"
        return try scratch.graph.open(options: .object(OptionTree.expanded(OptionValues.split(text).map { .init($0.name, .text($0.value)) })), access)
    }
}
