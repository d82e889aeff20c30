// The pieces of guest code whose translation is kept on file: Snippets/<topic>.s is what people read, Snippets/<topic>.hex,
// made from it by Scripts/bless-golden, is what the tests read.
import Foundation
import Translation

struct Snippet: Sendable {
    var topic: String
    var name: String
    var bytes: [UInt8]

    var title: String { "\(topic)/\(name)" }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    /// All snippets by topic, in the order of their files.
    static func all() throws -> [Snippet] {
        let sources = folder.appendingPathComponent("Snippets")
        var result: [Snippet] = []
        for file in try FileManager.default.contentsOfDirectory(atPath: sources.path).sorted() where file.hasSuffix(".hex") {
            let text = try String(contentsOf: sources.appendingPathComponent(file), encoding: .utf8)
            for line in text.split(separator: "\n") {
                let parts = line.split(separator: " ")
                guard parts.count == 2 else { continue }
                let digits = Array(parts[1])
                let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap { UInt8(String(digits[$0 ... $0 + 1]), radix: 16) }
                result.append(Snippet(topic: String(file.dropLast(4)), name: String(parts[0]), bytes: bytes))
            }
        }
        return result
    }
}

/// A guest memory that holds one snippet and nothing else.
final class SnippetCode: CodeSource, @unchecked Sendable {
    static let start: UInt64 = 0x100000
    var bytes: [UInt8] = []

    func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int {
        guard pc >= Self.start, pc < Self.start + UInt64(bytes.count) else { return 0 }
        let offset = Int(pc - Self.start), readable = min(count, bytes.count - offset)
        bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress else { return }
            buffer.copyMemory(from: base + offset, byteCount: readable)
        }
        return readable
    }

    func isWritable(_ pc: UInt64) -> Bool { false }
}
