// Checks the assembler against GNU binutils: each form is emitted together with its text in Intel syntax; `as`
// assembles the text, `objdump` disassembles both, and the two disassemblies must agree line by line. Our
// encoding must also never be longer than that of `as`.
import Foundation
import X64

/// A batch of instructions and the text each one should be.
final class Listing {
    private let buffer: UnsafeMutablePointer<UInt8>
    private let capacity: Int
    var assembler: Assembler
    private var texts: [String] = []
    private var offsets: [Int] = []
    /// Any value but zero, so that a confusion of the two views shows.
    static let delta = 0x1234_5000

    init(capacity: Int = 1 << 21) {
        self.capacity = capacity
        buffer = .allocate(capacity: capacity)
        assembler = Assembler(write: buffer, limit: buffer + capacity, executableDelta: Self.delta)
    }

    deinit { buffer.deallocate() }

    func check(_ text: String, _ emit: (inout Assembler) -> Void) {
        texts.append(text)
        offsets.append(assembler.cursor - buffer)
        emit(&assembler)
    }

    /// A form with a RIP-relative operand `distance` bytes past the instruction's end.
    func checkRelative(_ text: String, _ distance: Int32, _ emit: (inout Assembler, Mem) -> Void) {
        var trial = assembler
        emit(&trial, .ripRelative(address: trial.here))
        let target = trial.here &+ UInt64(bitPattern: Int64(distance))
        check(text) { emit(&$0, .ripRelative(address: target)) }
    }

    static let isPossible: Bool = {
        ["/usr/bin/as", "/usr/bin/objdump"].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
            && ((try? run("/usr/bin/as", ["--version"])) ?? "").contains("x86_64")
    }()

    /// The first few disagreements, empty if there are none.
    func disagreements() throws -> [String] {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-asm-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let source = folder.appending(path: "in.s").path, object = folder.appending(path: "in.o").path
        let binary = folder.appending(path: "ours.bin")
        let size = assembler.cursor - buffer
        try Data(bytes: buffer, count: size).write(to: binary)
        try texts.joined(separator: "\n").appending("\n").write(toFile: source, atomically: true, encoding: .utf8)
        let messages = try Self.run("/usr/bin/as", ["-msyntax=intel", "-mnaked-reg", "-o", object, source])
        if !messages.isEmpty { return messages.split(separator: "\n").prefix(20).map { explain($0) } }
        let theirs = Self.parse(try Self.run("/usr/bin/objdump", ["-d", "-M", "intel", "-w", object]))
        let ours = Self.parse(try Self.run("/usr/bin/objdump",
            ["-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "-w", binary.path]))
        var problems: [String] = []
        if theirs.count != texts.count { problems.append("as made \(theirs.count) of \(texts.count)") }
        var byOffset: [Int: Line] = [:]
        for line in ours { byOffset[line.offset] = line }
        for (index, text) in texts.enumerated() where index < theirs.count {
            guard let mine = byOffset[offsets[index]] else {
                problems.append("\(text): no instruction starts where it should")
                continue
            }
            let length = (index + 1 < offsets.count ? offsets[index + 1] : size) - offsets[index]
            if mine.text != theirs[index].text || mine.length != length {
                problems.append("\(text): \(mine.bytes) is \(mine.text), not \(theirs[index].text)")
            } else if length > theirs[index].length {
                problems.append("\(text): \(mine.bytes) could be \(theirs[index].bytes)")
            }
        }
        if assembler.overflowed || assembler.outOfRange { problems.append("overflow") }
        return Array(problems.prefix(20))
    }

    /// A message of `as` with the line it is about.
    private func explain(_ message: Substring) -> String {
        let parts = message.split(separator: ":")
        guard parts.count > 2, let number = Int(parts[1]), texts.indices.contains(number - 1) else { return String(message) }
        return "\(texts[number - 1]):\(parts[2...].joined(separator: ":"))"
    }

    private struct Line {
        var offset: Int
        var bytes: String
        var text: String
        var length: Int { bytes.split(separator: " ").count }
    }

    private static func parse(_ output: String) -> [Line] {
        output.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\t", maxSplits: 2)
            guard parts.count == 3, parts[0].hasSuffix(":"),
                  let offset = Int(parts[0].dropLast().trimmingCharacters(in: .whitespaces), radix: 16) else { return nil }
            let text = parts[2].split(separator: "#", omittingEmptySubsequences: false)[0]
            return Line(offset: offset, bytes: String(parts[1]), text: text.trimmingCharacters(in: .whitespaces))
        }
    }

    private static func run(_ path: String, _ arguments: [String]) throws -> String {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}

// MARK: - Operands and their names

let sizes: [OperandSize] = [.b8, .b16, .b32, .b64]
let wideSizes: [OperandSize] = [.b32, .b64]
/// Registers whose numbers are special in some encoding, and neighbours.
let registers: [GPR] = [.rax, .rcx, .rsp, .rbp, .rsi, .rdi, .r8, .r12, .r13, .r15]
let fewRegisters: [GPR] = [.rax, .rbx, .rsi, .r9, .r13]
let vectors: [XMM] = [0, 3, 7, 8, 12, 15].map { XMM($0) }

func name(_ size: OperandSize, _ register: GPR) -> String {
    let low = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"]
    let number = Int(register.rawValue)
    if number >= 8 { return "r\(number)" + (["b", "w", "d", ""] as [String])[Int(size.rawValue)] }
    switch size {
    case .b8: return number < 4 ? String(low[number].prefix(1)) + "l" : low[number] + "l"
    case .b16: return low[number]
    case .b32: return "e" + low[number]
    case .b64: return "r" + low[number]
    }
}

func name(_ vector: XMM, _ length: VectorLength = .bits128) -> String {
    (length == .bits128 ? "xmm" : "ymm") + "\(vector.rawValue)"
}

func pointer(_ bytes: Int) -> String {
    switch bytes {
    case 1: "BYTE PTR "
    case 2: "WORD PTR "
    case 4: "DWORD PTR "
    case 8: "QWORD PTR "
    case 16: "XMMWORD PTR "
    default: "YMMWORD PTR "
    }
}

/// Memory operands with their text between brackets.
let memories: [(Mem, String)] = {
    var all: [(Mem, String)] = []
    let displacements: [Int32] = [0, 1, -128, 127, 128, 64, -4096, 0x1234_5678, .min]
    for (index, base) in ([.rax, .rsp, .rbp, .rdi, .r12, .r13, .r14] as [GPR]).enumerated() {
        for disp in [displacements[index % 9], displacements[(index + 3) % 9], 0] {
            all.append((.base(base, disp), "[\(name(.b64, base))+(\(disp))]"))
        }
        for (step, scale) in [1, 2, 4, 8].enumerated() {
            let scaled: GPR = ([.rcx, .rbp, .r12, .r9, .r13] as [GPR])[(index + step) % 5]
            let disp = displacements[(index + step) % 9]
            all.append((.indexed(base, scaled, scale, disp),
                        "[\(name(.b64, base))+\(name(.b64, scaled))*\(scale)+(\(disp))]"))
        }
    }
    for index in [.rax, .rbp, .r12, .r15] as [GPR] {
        all.append((.indexOnly(index, 8, 0x40), "[\(name(.b64, index))*8+0x40]"))
    }
    all.append((.indexOnly(.r13, 1, 4), "[r13+4]"))
    all.append((.indexed(.rbx, .rsp, 1, 4), "[rsp+rbx*1+4]"))
    all.append((.absolute(0x1234), "[0x1234]"))
    return all
}()

/// One memory operand of each shape, for instructions whose encoder is already covered.
let fewMemories: [(Mem, String)] = [memories[0], memories[9], memories[17], memories[38], memories[memories.count - 1]]
