// The disassembler agrees with GNU objdump on encodings of every instruction that the installed binutils know.

import Foundation
import RISCV
import Testing

/// The cross binutils of a Debian system, or those named by the environment variable `RISCV_BINUTILS` (a command prefix).
private struct Binutils {
    let prefix = ProcessInfo.processInfo.environment["RISCV_BINUTILS"] ?? "riscv64-linux-gnu-"

    /// Standard output of a tool; nil if it cannot be run or fails.
    func run(_ tool: String, _ arguments: [String]) -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [prefix + tool] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return process.terminationStatus == 0 ? String(decoding: data, as: UTF8.self) : nil
    }
}

@Suite struct DisassemblyTests {
    @Test(arguments: XLEN.allCases) func agreesWithObjdump(_ xlen: XLEN) throws {
        let tools = Binutils()
        guard tools.run("objdump", ["--version"]) != nil else { return }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-disassembly-\(xlen.bits)-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let source = folder.appendingPathComponent("a.s").path, object = folder.appendingPathComponent("a.o").path

        // Which extensions these tools know.
        try "".write(toFile: source, atomically: true, encoding: .utf8)
        var march = xlen.baseName + "imafdc_zicsr_zifencei"
        let abi = xlen == .rv64 ? "-mabi=lp64d" : "-mabi=ilp32d"
        var known: Extensions = [.m, .zmmul, .a, .zaamo, .zalrsc, .f, .d, .c, .zca, .zcd, .zicsr, .zifencei, .zicntr, .rv32, .rv64, .zcf]
        for (name, extensions) in Extensions.named where !known.isSuperset(of: extensions) {
            if tools.run("as", ["-march=\(march)_\(name)", abi, source, "-o", object]) != nil {
                march += "_" + name
                known.formUnion(extensions)
            }
        }

        let guest = try RISCVGuest(model: CPUModel(parsing: "max", xlen: xlen))
        var generator = SplitMix(state: 3)
        var text = ".option norelax\n", expected: [(pc: UInt64, bits: UInt32, text: String)] = []
        var pc: UInt64 = 0
        for entry in InstructionCatalogue.entries(xlen) where InstructionCatalogue.model(for: entry, xlen) == "max" && known.isSuperset(of: entry.extensions) {
            for _ in 0 ..< 40 {
                var bits = entry.randomEncoding(using: &generator) & ~entry.ignored
                if entry.operands.contains(.csr) {
                    bits = bits & 0x000f_ffff | [1, 2, 3, 0xc00, 0xc01, 0xc02].randomElement(using: &generator)! << 20
                }
                // These never round, and tools know them with mode 0 only.
                if ["fcvt.d.w", "fcvt.d.wu", "fcvt.d.s", "fcvt.s.h", "fcvt.d.h", "fcvt.s.bf16"].contains(entry.mnemonic) { bits &= ~0x7000 }
                guard let disassembled = guest.text(of: bits, at: pc) else { continue }
                // The shortest no-operation has two spellings; hints with x0 as destination get special names from some
                // tools.
                if entry.length == 2, entry.operands.contains(.rd), bits >> 7 & 31 == 0 { continue }
                if bits == 1 { continue }
                if entry.length == 2, entry.operands.contains(.shamtC), bits & 0x107c == 0 { continue }
                text += ".insn \(entry.length), \(bits)\n"
                expected.append((pc, bits, disassembled))
                pc += UInt64(entry.length)
            }
        }
        try text.write(toFile: source, atomically: true, encoding: .utf8)
        #expect(tools.run("as", ["-march=\(march)", abi, source, "-o", object]) != nil)
        let listing = try #require(tools.run("objdump", ["-d", "-M", "no-aliases", object]))
        var theirs: [UInt64: String] = [:]
        for line in listing.split(separator: "\n") {
            let columns = line.split(separator: "\t").map { $0.trimmingCharacters(in: .whitespaces) }
            guard columns.count >= 3, let address = UInt64(columns[0].dropLast(), radix: 16) else { continue }
            var operands = columns.count > 3 ? columns[3] : ""
            if let comment = operands.range(of: " #") { operands = String(operands[..<comment.lowerBound]) }
            if let symbol = operands.range(of: " <") {
                operands = String(operands[..<symbol.lowerBound])
                let start = operands.lastIndex(of: ",").map { operands.index(after: $0) } ?? operands.startIndex
                operands.insert(contentsOf: "0x", at: start)
            }
            theirs[address] = operands.isEmpty ? columns[2] : columns[2] + " " + operands
        }
        var differences: [String] = []
        for (pc, bits, ours) in expected where theirs[pc] != ours {
            differences.append("\(String(bits, radix: 16)): \(ours) / \(theirs[pc] ?? "-")")
        }
        if !differences.isEmpty { print(differences.prefix(100).joined(separator: "\n")) }
        #expect(differences.count == 0 && expected.count > 1000)
    }
}
