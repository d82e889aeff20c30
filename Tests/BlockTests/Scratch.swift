// What tests of images share: a folder that goes away, a repeatable source of numbers, a plain model of a disk.

import Block
import Formats
import Foundation
import Testing

/// Every driver that tests use.
let testCatalogue = Catalogue(formats: DiskFormats.all, protocols: BlockProtocols.all + DiskFormats.protocols, filters: BlockFilters.all, fallback: RawFormat.self)

/// A folder for one test, removed with it.
final class Scratch {
    let folder: String
    let graph = BlockGraph(testCatalogue)
    private var count = 0

    init() {
        folder = NSTemporaryDirectory() + "/apus-block-" + UUID().uuidString
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func path(_ name: String) -> String { folder + "/" + name }

    func create(_ format: any CreatableFormat.Type, _ text: String, size: UInt64) throws -> String {
        count += 1
        let path = path("image\(count).\(format.name)")
        var options = OptionValues(format.createOptions)
        for option in OptionValues.split(text) { try options.set(option.name, option.value) }
        try options.set("size", String(size))
        try graph.create(path, format: format, size: size, options: options)
        return path
    }

    func contents(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: path(name)))
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

/// Hands out 0, 1, 2 … to several threads.
final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0
    func next() -> Int { lock.withLock { defer { count += 1 }; return count } }
    var value: Int { lock.withLock { count } }
}

/// Random reads, writes, zeroing, discards and flushes on a node, compared with `model` all along.
func exercise(_ node: Node, _ model: inout [UInt8], _ random: inout Seeded, requests: Int) throws {
    let size = UInt64(model.count)
    for request in 0..<requests {
        let start = random.below(size)
        let longest = random.below(4) == 0 ? size : 20000
        var count = min(size - start, random.below(longest) + 1)
        switch random.below(10) {
        case 0...4:
            if count > 300_000 { count = 300_000 }
            let first = UInt8(truncatingIfNeeded: random.next())
            let bytes = (0..<Int(count)).map { UInt8(truncatingIfNeeded: $0 >> 4) &+ first }
            try node.write(start, bytes: bytes)
            model.replaceSubrange(Int(start)..<Int(start + count), with: bytes)
        case 5:
            try node.writeZeroes(start, count, unmap: random.below(2) == 0)
            model.replaceSubrange(Int(start)..<Int(start + count), with: repeatElement(0, count: Int(count)))
        case 6:
            try node.discard(start, count)
            // What was discarded reads as zeros or as before: take what is there, if it is one of them.
            let bytes = try node.bytes(start, Int(count))
            let odd = (0..<Int(count)).first { bytes[$0] != 0 && bytes[$0] != model[Int(start) + $0] }
            #expect(odd == nil, "request \(request): a discard left something else")
            model.replaceSubrange(Int(start)..<Int(start + count), with: bytes)
        case 7: try node.flush()
        default:
            let bytes = try node.bytes(start, Int(count))
            #expect(bytes.elementsEqual(model[Int(start)..<Int(start + count)]), "request \(request): \(count) bytes at \(start)")
        }
    }
}

/// What `check` finds must be nothing.
func expectClean(_ node: Node, _ what: String) throws {
    try node.flush()
    guard let image = node.image as? any CheckableImage else { return }
    let result = try image.check(.nothing)
    #expect(result.corruptions == 0 && result.leaks == 0 && result.checkErrors == 0, "\(what): \(result.messages.prefix(5))")
}
