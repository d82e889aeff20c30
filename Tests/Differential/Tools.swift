// Programs that the tests run: the cross compiler, QEMU, Apus.

import Foundation

struct ToolError: Error, CustomStringConvertible {
    let description: String
}

enum Tools {
    /// The reference emulator: QEMU_RISCV64, the guest kit's QEMU 10, or the system's.
    static var qemu: String? {
        let kit = NSHomeDirectory() + "/.cache/guest-kit/bin/q10-riscv64"
        let candidates = [ProcessInfo.processInfo.environment["QEMU_RISCV64"], kit, "/usr/bin/qemu-riscv64"]
        return candidates.compactMap { $0 }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }
    /// The CPU with the extensions of this guest's `max`, and as little else as QEMU lets one choose.
    static let qemuCPU = "rv64,zicond=on,zfhmin=on,zcb=on,zihpm=off,zicbom=off,zicboz=off"

    /// Runs a program to its end and returns what it wrote.
    static func run(_ program: String, _ arguments: [String], input: [UInt8] = [], seconds: Int = 60) throws -> Data {
        let process = Process()
        // A case that runs away must not stop the tests.
        process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
        process.arguments = ["\(seconds)", program] + arguments
        let standardInput = Pipe(), standardOutput = Pipe()
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        try process.run()
        // Inputs are smaller than outputs and read first, but may exceed a pipe.
        let feeder = Thread {
            standardInput.fileHandleForWriting.write(Data(input))
            try? standardInput.fileHandleForWriting.close()
        }
        feeder.start()
        let output = standardOutput.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw ToolError(description: "\(program) \(arguments.joined(separator: " ")): status \(process.terminationStatus)")
        }
        return output
    }

    /// Builds a freestanding guest program from sources of the `Guest` folder.
    static func buildGuest(_ sources: [String], flags: [String] = [], as name: String, in folder: String) throws -> String {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Guest").path
        let output = folder + "/" + name
        _ = try run("riscv64-linux-gnu-gcc", [
            "-march=rv64gc", "-mabi=lp64d", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-builtin",
            "-fno-tree-loop-distribute-patterns", "-Wall", "-Wextra",
        ] + flags + sources.map { $0.hasPrefix("/") ? $0 : here + "/" + $0 } + ["-o", output])
        return output
    }
}
