// Random programs: QEMU against the engines in this process, by the registers and memory they end with.

import Foundation
import Glibc
import Interpreter
import RISCV
import Translation
import X64

/// All of the program's memory can be executed.
private final class ProgramCode: CodeSource {
    func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int {
        let end = SequenceProgram.origin + UInt64(SequenceProgram.size)
        guard pc >= SequenceProgram.origin, pc < end, let source = UnsafeRawPointer(bitPattern: UInt(pc)) else { return 0 }
        let available = min(count, Int(end - pc))
        buffer.copyMemory(from: source, byteCount: available)
        return available
    }
    func isWritable(_ pc: UInt64) -> Bool { true }
}

struct Sequences {
    var programs = 100
    var seed: UInt64 = 1
    var engines = CaseEngine.Choice.allCases
    var qemu: String
    var xlen: XLEN

    func run(in folder: String) throws -> Outcome {
        var differing = 0
        let ran = max(0, programs)
        let engines = try self.engines.map { choice in
            guard let engine = CaseEngine.make(choice, ProgramCode(), xlen: xlen) else { throw ToolError(description: "no engine \(choice.rawValue)") }
            return (choice, engine)
        }
        for number in 0 ..< ran {
            let seed = self.seed &+ UInt64(number)
            var program = SequenceProgram(seed: seed &* 0x2545_f491_4f6c_dd1d, xlen)
            let source = folder + "/sequence.S", image = folder + "/sequence.bin"
            try program.make().write(toFile: source, atomically: true, encoding: .utf8)
            let executable = try Tools.buildGuest([source], compressed: true, xlen: xlen, flags: SequenceProgram.linkerFlags, as: "sequence", in: folder)
            _ = try Tools.run("riscv64-linux-gnu-objcopy", ["-O", "binary", "-j", ".program", executable, image])
            let reference: Data
            do { reference = try Tools.run(qemu, ["-cpu", Tools.qemuCPU("max", xlen), executable]) } catch {
                print("program of seed \(seed): QEMU itself fails: \(error)")
                keep(executable, seed)
                differing += 1
                continue
            }
            let expected = [UInt8](reference)
            let code = [UInt8](try Data(contentsOf: URL(fileURLWithPath: image)))
            let start = SequenceProgram.origin
            var isDifferent = false
            for (choice, engine) in engines {
                let actual = try execute(code, start, engine)
                if actual.output == expected { continue }
                isDifferent = true
                print("program of seed \(seed) [\(choice.rawValue)]: \(actual.end)")
                for line in differences(expected, actual.output).prefix(12) { print("   " + line) }
            }
            if isDifferent {
                differing += 1
                keep(executable, seed)
            }
        }
        print("\(ran) programs on \(xlen.baseName), \(self.engines.map(\.rawValue).joined(separator: ", ")): \(differing) differ")
        return Outcome(passed: ran - differing, failed: differing)
    }

    /// Leaves a program in the folder that `KEEP_SEQUENCES` names.
    private func keep(_ executable: String, _ seed: UInt64) {
        guard let kept = ProcessInfo.processInfo.environment["KEEP_SEQUENCES"] else { return }
        try? FileManager.default.copyItem(atPath: executable, toPath: kept + "/sequence-\(seed)")
    }

    private func differences(_ expected: [UInt8], _ actual: [UInt8]) -> [String] {
        guard expected.count == actual.count else { return ["QEMU wrote \(expected.count) bytes, here \(actual.count)"] }
        func word(_ bytes: [UInt8], _ index: Int) -> UInt64 {
            bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) }
        }
        return (0 ..< expected.count / 8).compactMap { index in
            let a = word(expected, index), b = word(actual, index)
            if a == b { return nil }
            let name = index < 32 ? "x\(index)" : index < 64 ? "f\(index - 32)" : index == 64 ? "fcsr" : "memory+\((index - 128) * 8)"
            return "\(name): qemu \(hex(a)) here \(hex(b))"
        }
    }

    /// Runs the program on an engine that has forgotten all others; what it wrote and how it ended.
    private func execute(_ code: [UInt8], _ start: UInt64, _ engine: any Engine) throws -> (output: [UInt8], end: String) {
        let wanted = UnsafeMutableRawPointer(bitPattern: UInt(SequenceProgram.origin))
        guard let memory = mmap(wanted, SequenceProgram.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
              memory == wanted, code.count <= SequenceProgram.size else { throw ToolError(description: "no memory at a fixed address") }
        code.withUnsafeBytes { if let base = $0.baseAddress { memory.copyMemory(from: base, byteCount: code.count) } }
        engine.invalidate(start ..< start + UInt64(SequenceProgram.size))
        let vcpu = engine.makeVCPU()
        vcpu.pc = start
        var output: [UInt8] = []
        for _ in 0 ..< 10_000_000 {
            let reason = engine.run(vcpu)
            switch reason {
            case .interrupted, .instructionFence, .idle:
                if reason == .instructionFence { engine.synchronize(0 ..< .max) }
            case .systemCall:
                vcpu.pc &+= 4
                func argument(_ number: Int) -> UInt64 { vcpu[UInt64.self, RISCVState.integer(10 + number)] }
                if argument(7) == 93 { return (output, "ended") }
                let from = argument(1), count = argument(2)
                guard from >= start, from &+ count <= start + UInt64(SequenceProgram.size),
                      let bytes = UnsafeRawPointer(bitPattern: UInt(from)) else { return (output, "wrote nonsense") }
                output += UnsafeRawBufferPointer(start: bytes, count: Int(count))
            default:
                return (output, "\(reason) at \(hex(vcpu.pc))")
            }
        }
        return (output, "does not end")
    }
}
