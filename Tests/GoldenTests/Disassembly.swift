// Host code as text, by objdump of GNU binutils: addresses inside the block relative to its start, the runtime's by name.
import Foundation
import X64

enum Disassembly {
    static let program = "/usr/bin/objdump"

    static let isPossible = FileManager.default.isExecutableFile(atPath: program)

    struct Line {
        var offset: Int
        var text: String
        /// Padding in front of a patchable field.
        var isPadding: Bool { text.hasPrefix("nop") || text.hasPrefix("xchg ax,ax") || text.hasPrefix("data16") || text.hasPrefix("cs nop") }
    }

    static func lines(_ bytes: [UInt8]) throws -> [Line] {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("apus-golden-\(UUID().uuidString)")
        try Data(bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let start = StandaloneLowering.address
        let output = try run(["-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "-w", "--no-show-raw-insn",
                              "--adjust-vma=\(start)", file.path])
        return output.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\t", maxSplits: 1)
            guard parts.count == 2, parts[0].hasSuffix(":"),
                  let address = UInt64(parts[0].dropLast().trimmingCharacters(in: .whitespaces), radix: 16), address >= start else { return nil }
            return Line(offset: Int(address - start), text: normalise(String(parts[1]), bytes.count))
        }
    }

    private static func normalise(_ text: String, _ size: Int) -> String {
        var words = text.split(separator: " ").map(String.init)
        // [rip+0x…] with the address behind '#'.
        if let mark = words.firstIndex(of: "#"), mark + 1 < words.count {
            let place = name(words[mark + 1], size)
            words.removeSubrange(mark...)
            words = words.map { word in
                guard let open = word.range(of: "[rip"), let close = word.range(of: "]") else { return word }
                return word.replacingCharacters(in: open.lowerBound ..< close.upperBound, with: "[\(place)]")
            }
        }
        guard let last = words.last else { return text }
        let operands = last.split(separator: ",", omittingEmptySubsequences: false).map { name(String($0), size) }
        words[words.count - 1] = operands.joined(separator: ",")
        return words.joined(separator: " ")
    }

    private static func name(_ word: String, _ size: Int) -> String {
        guard word.hasPrefix("0x"), let address = UInt64(word.dropFirst(2), radix: 16) else { return word }
        if let known = StandaloneLowering.name(of: address) { return "<\(known)>" }
        let start = StandaloneLowering.address
        return address >= start && address <= start + UInt64(size) ? "+" + String(address - start, radix: 16) : word
    }

    private static func run(_ arguments: [String]) throws -> String {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
