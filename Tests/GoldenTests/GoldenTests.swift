// Golden tests of the translator: for each snippet of guest code its disassembly, IR before and after the passes, and
// host code, compared with the files in Expected/. Any change of code quality shows as a difference there; summary.txt
// holds the number of host instructions for each snippet. `Scripts/bless-golden` takes a new output as right.
import Foundation
import IR
import IRPasses
import RISCV
import Testing
import Translation
import X64

/// How many instructions a snippet and its translation have; padding is not counted.
private struct Counts {
    var guest = 0, hot = 0, cold = 0

    static func += (a: inout Counts, b: Counts) {
        a.guest += b.guest
        a.hot += b.hot
        a.cold += b.cold
    }
}

/// One snippet on its way through the translator.
private struct Translated {
    /// Everything up to the host code.
    var front: String
    /// Tells host codes apart where there is no disassembler.
    var hash: String
    /// The host code and the counts; nil without objdump.
    var back: String?
    var counts = Counts()
    var faults: [String] = []
}

private final class Pipeline {
    private let code = SnippetCode()
    private let translator: TraceTranslator
    private let lowering: StandaloneLowering
    private var simplify: Simplify

    init(_ xlen: XLEN) throws {
        // With everything that the snippets use; without zama16b, so that the checks of alignment are seen.
        let guest = RISCVGuest(model: try CPUModel(parsing: "max,zama16b=off", xlen: xlen))
        translator = TraceTranslator(guest: guest, source: code, options: EngineOptions())
        lowering = StandaloneLowering(guest.layout)
        simplify = Simplify(capacity: translator.arena.pointee.capacity)
    }

    func translate(_ snippet: Snippet) throws -> Translated {
        code.bytes = snippet.bytes
        translator.translate(at: SnippetCode.start, context: 0)
        var front = "# \(snippet.title)\n\nguest\n"
        for line in translator.assembly().split(separator: "\n").dropFirst(2) { front += line + "\n" }
        front += "\nIR\n" + IRPrinter.text(of: translator.arena.pointee)
        // Unoptimised IR is lowered too: it strains the register allocator more.
        let raw = lowering.lower(translator.arena.pointee)
        simplify.run(&translator.arena.pointee)
        front += "\noptimised IR\n" + Self.withoutUnusedConstants(translator.arena.pointee)
        guard let raw, let block = lowering.lower(translator.arena.pointee) else {
            return Translated(front: front, hash: "none", faults: ["it cannot be lowered"])
        }
        var result = Translated(front: front, hash: Self.hash(block.bytes))
        result.faults = raw.faults.map { "unoptimised: " + $0 } + block.faults
        result.counts.guest = translator.instructionCount
        if Disassembly.isPossible { result.back = try describe(block, &result.counts) }
        return result
    }

    private func describe(_ block: StandaloneLowering.Block, _ counts: inout Counts) throws -> String {
        var text = "", isCold = false
        for line in try Disassembly.lines(block.bytes) {
            if !isCold, line.offset >= block.hotBytes {
                isCold = true
                text += "cold\n"
            }
            text += "+\(String(line.offset, radix: 16)): \(line.text)\n"
            if !line.isPadding { if isCold { counts.cold += 1 } else { counts.hot += 1 } }
        }
        return text + "\nguest \(counts.guest), host hot \(counts.hot), host cold \(counts.cold) instructions\n"
    }

    /// What became superfluous stands in the arena as a constant that nobody uses.
    private static func withoutUnusedConstants(_ arena: OpArena) -> String {
        let liveness = Liveness(capacity: arena.capacity)
        defer { liveness.deallocate() }
        liveness.run(arena)
        let ops = UnsafeBufferPointer(start: arena.ops, count: arena.count)
        var text = ""
        for index in 0 ..< arena.count where liveness.isLive(index, arena.ops) {
            text += IRPrinter.line(of: ops[index], at: index, in: ops) + "\n"
        }
        return text
    }

    /// FNV-1a.
    private static func hash(_ bytes: [UInt8]) -> String {
        let value = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return "0x" + String(value, radix: 16)
    }
}

@Suite(.serialized) struct GoldenTests {
    private static let isBlessing = ProcessInfo.processInfo.environment["BLESS"] != nil
    private static let expected = Snippet.folder.appendingPathComponent("Expected")

    @Test func translations() throws {
        if !Disassembly.isPossible { print("golden tests: no \(Disassembly.program) (Debian package binutils): host code is compared by hash only") }
        let narrow = try Pipeline(.rv32), wide = try Pipeline(.rv64)
        var table: [(snippet: Snippet, counts: Counts)] = []
        for snippet in try Snippet.all() {
            let new = try (snippet.topic.hasPrefix("rv32") ? narrow : wide).translate(snippet)
            #expect(new.faults.isEmpty, "\(snippet.title): \(new.faults.joined(separator: "\n"))")
            table.append((snippet, new.counts))
            try compare(snippet, new)
        }
        #expect(table.count > 60)
        if Disassembly.isPossible { try compare(file: "summary.txt", with: Self.summary(table)) }
    }

    /// The host code's text is compared only where its bytes have changed: other versions of objdump may write otherwise.
    private func compare(_ snippet: Snippet, _ new: Translated) throws {
        let name = "\(snippet.topic)/\(snippet.name).txt", heading = "\nhost \(new.hash)\n"
        if !Self.isBlessing, let old = try? String(contentsOf: Self.expected.appendingPathComponent(name), encoding: .utf8),
           old.hasPrefix(new.front + heading) { return }
        if let back = new.back {
            try compare(file: name, with: new.front + heading + back)
        } else {
            Issue.record("\(name): the translation has changed; install binutils to see how")
        }
    }

    private func compare(file name: String, with new: String) throws {
        let place = Self.expected.appendingPathComponent(name)
        let old = try? String(contentsOf: place, encoding: .utf8)
        guard old != new else { return }
        if Self.isBlessing {
            try FileManager.default.createDirectory(at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            try new.write(to: place, atomically: true, encoding: .utf8)
        } else {
            Issue.record("\(name) differs (if that is right: Scripts/bless-golden)\n\(TextDifference.unified(old ?? "", new))")
        }
    }

    /// Host instructions for each guest instruction: the gate on code quality.
    private static func summary(_ table: [(snippet: Snippet, counts: Counts)]) -> String {
        var text = "Host instructions of each snippet: guest, hot, cold, hot for one of the guest\n"
        var topic = Counts(), total = Counts()
        for (index, row) in table.enumerated() {
            text += line(row.snippet.title, row.counts)
            topic += row.counts
            total += row.counts
            if index + 1 == table.count || table[index + 1].snippet.topic != row.snippet.topic {
                text += line("  \(row.snippet.topic), all", topic)
                topic = Counts()
            }
        }
        return text + "\n" + line("all", total)
    }

    private static func line(_ name: String, _ counts: Counts) -> String {
        func column(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(width - text.count, 0)) + text }
        let hundredths = counts.guest > 0 ? counts.hot * 100 / counts.guest : 0
        let fraction = hundredths % 100
        return name + column("\(counts.guest)", max(40 - name.count, 2) + 4) + column("\(counts.hot)", 6) + column("\(counts.cold)", 6)
            + column("\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)", 8) + "\n"
    }
}
