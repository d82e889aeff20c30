// Programs that the tests run: the cross compiler, QEMU, Apus.

import Foundation
import RISCV

struct ToolError: Error, CustomStringConvertible {
    let description: String
}

/// How many of a part's checks (instructions, encoding space, programs) found no difference.
struct Outcome {
    var passed = 0
    var failed = 0
    static func += (a: inout Outcome, b: Outcome) {
        a.passed += b.passed
        a.failed += b.failed
    }
}

enum Tools {
    /// The reference emulator, QEMU 10: the one that APUS_QEMU names, or the guest kit's; that of riscv32 stands beside it.
    static func qemu(_ xlen: XLEN) -> String? {
        let kit = NSHomeDirectory() + "/.cache/guest-kit/bin/q10-riscv64"
        return [ProcessInfo.processInfo.environment["APUS_QEMU"], kit].compactMap { $0 }
            .map { xlen == .rv64 ? $0 : $0.replacingOccurrences(of: "riscv64", with: "riscv32") }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }
    /// The CPUs of QEMU with the extensions of this guest's `InstructionCatalogue.models`, and as little else as QEMU lets one
    /// choose.
    static func qemuCPU(_ model: String, _ xlen: XLEN) -> String {
        let most = xlen.baseName + ",b=on,zicond=on,zfh=on,zfbfmin=on,zcb=on,zcmop=on,zimop=on,zacas=on,zabha=on,zama16b=on,zk=on,zks=on,v=on,zvfh=on,zvbb=on"
            + ",zvknc=on,zvkng=on,zvksc=on,zvksg=on,zvknha=on,zvfbfwma=on" + (xlen == .rv64 ? ",zicfilp=on,zicfiss=on" : "")
        return model.hasPrefix("max") ? most + model.dropFirst(3) : xlen.baseName
    }

    /// Runs a program to its end and returns what it wrote.
    static func run(_ program: String, _ arguments: [String], input: [UInt8] = [], seconds: Int = 60) throws -> Data {
        let process = Process()
        // A case that runs away must not stop the tests.
        process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
        process.arguments = ["\(seconds)", program] + arguments
        let standardInput = Pipe(), standardOutput = Pipe()
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        // `waitUntilExit` looks every 50 ms only.
        let end = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in end.signal() }
        try process.run()
        // Inputs are smaller than outputs and read first, but may exceed a pipe.
        let feeder = Thread {
            // A program that dies before it has read all is told of by its status.
            try? standardInput.fileHandleForWriting.write(contentsOf: Data(input))
            try? standardInput.fileHandleForWriting.close()
        }
        feeder.start()
        let output = standardOutput.fileHandleForReading.readDataToEndOfFile()
        end.wait()
        guard process.terminationStatus == 0 else {
            throw ToolError(description: "\(program) \(arguments.joined(separator: " ")): status \(process.terminationStatus)")
        }
        return output
    }

    /// Builds a freestanding guest program from sources of the `Guest` folder.
    /// - Parameter compressed: not for programs that must run on every CPU model.
    static func buildGuest(_ sources: [String], compressed: Bool = false, xlen: XLEN, flags: [String] = [], as name: String,
                           in folder: String) throws -> String {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Guest").path
        let output = folder + "/" + name
        _ = try run("riscv64-linux-gnu-gcc", [
            "-march=\(xlen.baseName)g" + (compressed ? "c" : ""), xlen == .rv64 ? "-mabi=lp64d" : "-mabi=ilp32d", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-builtin",
            "-fno-tree-loop-distribute-patterns", "-Wall", "-Wextra",
        ] + flags + sources.map { $0.hasPrefix("/") ? $0 : here + "/" + $0 } + ["-o", output])
        return output
    }
}
