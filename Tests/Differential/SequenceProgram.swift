// Random programs of hundreds of instructions with loops, branches, calls, indirect jumps and memory, as assembler text.
//
// Computation is drawn from the tables and written as `.insn`; control flow is written with labels. Some registers keep
// their roles through the whole program: ra and t0 link, tp is the stack of return addresses, sp, gp, s0
// and s1 point into memory, s10 and s11 count loops.

import RISCV

struct SequenceProgram {
    static let origin: UInt64 = 0x5000_0000
    static let size = 1 << 20
    static let linkerFlags = ["-Wl,--section-start=.program=0x50000000", "-Wl,--no-warn-rwx-segments", "-Wl,--build-id=none"]

    /// Registers that random instructions must not write.
    private static let reserved: Set<Int64> = [1, 2, 3, 4, 5, 8, 9, 26, 27, 31]
    private static let bases: [UInt32] = [2, 3, 8, 9]

    private var random: Random
    private var text = ""
    private var label = 0
    private var table = ""
    private let pool: [CatalogueEntry]

    private let xlen: XLEN

    init(seed: UInt64, _ xlen: XLEN) {
        self.xlen = xlen
        random = Random(state: seed)
        let unwanted: Set<String> = ["ecall", "ebreak", "c.ebreak", "jal", "jalr", "c.j", "c.jal", "c.jr", "c.jalr", "wrs.nto", "wrs.sto",
                                     "beq", "bne", "blt", "bge", "bltu", "bgeu", "c.beqz", "c.bnez", "auipc", "c.addi16sp"]
        // An SC of another width than its LR may succeed or fail, and fcvt.s.bf16 differs (docs/differences.md): one width a
        // program. cbo.zero would empty the program's memory; ssamoswap is illegal without a shadow stack.
        let otherWidth: Set<String> = random.next() & 1 == 0 ? ["lr.w", "sc.w"] : ["lr.d", "sc.d"]
        pool = InstructionCatalogue.entries(xlen).filter {
            !unwanted.contains($0.mnemonic) && !otherWidth.contains($0.mnemonic) && $0.mnemonic != "fcvt.s.bf16"
                && !$0.mnemonic.hasPrefix("cbo.") && !$0.mnemonic.hasPrefix("ssamoswap") && InstructionCatalogue.model(for: $0, xlen) == "max" && $0.extensions.isDisjoint(with: .vectors)
        }
    }

    private var load: String { xlen == .rv64 ? "ld" : "lw" }
    private var store: String { xlen == .rv64 ? "sd" : "sw" }
    private mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }

    /// The whole program.
    mutating func make() -> String {
        let functions = 3 + below(3)
        text = ".option arch, +c\n.option norelax\n.section .program, \"awx\", @progbits\n.globl _start\n_start:\n lla sp, memory + 8192\n lla t6, initial\n"
        for number in 1 ... 30 where number != 2 { text += " \(load) x\(number), \(number * 8)(t6)\n" }
        for number in 0 ..< 32 { text += " fld f\(number), \(256 + number * 8)(t6)\n" }
        text += " lla tp, dump\n lla gp, memory + 4096\n lla s0, memory + 2560\n lla s1, memory + 6144\n fsrmi \(below(5))\n"
        let chapters = 2 + below(3)
        for _ in 0 ..< chapters { loop(depth: 0, callable: 0 ..< functions) }
        text += finish
        for function in 0 ..< functions {
            text += ".balign 2\nfunction\(function):\n"
            let isLeaf = function == functions - 1
            if !isLeaf { text += " addi tp, tp, -16\n \(store) ra, 0(tp)\n" }
            block(8 + below(20), callable: nil)
            // One call of a later function at most keeps the number of calls small.
            if !isLeaf {
                call(function + 1 ..< functions)
                block(below(12), callable: nil)
                text += " \(load) ra, 0(tp)\n addi tp, tp, 16\n"
            }
            text += " ret\n"
            text += "tail\(function):\n"
            block(4 + below(6), callable: nil)
            text += " jr t0\n"
        }
        text += table
        text += ".balign 64\nmemory:\n"
        for _ in 0 ..< 1536 { text += " .dword \(random.next())\n" }
        text += ".balign 64\ninitial:\n"
        for number in 0 ..< 64 { text += " .dword \(number < 32 ? integer() : float())\n" }
        text += ".skip 256\ndump: .skip 1024\n"
        return text
    }

    private mutating func integer() -> UInt64 {
        switch below(4) {
        case 0: UInt64(below(100))
        case 1: UInt64(bitPattern: Int64(truncatingIfNeeded: random.next()) >> Int64(below(60)))
        default: random.next()
        }
    }

    private mutating func float() -> UInt64 {
        switch below(3) {
        case 0: (Double(below(2000)) / 8 - 100).bitPattern
        case 1: 0xffff_ffff_0000_0000 | UInt64((Float(below(2000)) / 8 - 100).bitPattern)
        default: random.next()
        }
    }

    private mutating func loop(depth: Int, callable: Range<Int>) {
        let counter = depth == 0 ? "s10" : "s11", name = newLabel()
        text += " li \(counter), \(1 + below(depth == 0 ? 60 : 12))\n\(name):\n"
        for _ in 0 ..< 2 + below(3) {
            if depth == 0, below(3) == 0 { loop(depth: 1, callable: callable) }
            block(5 + below(25), callable: callable)
        }
        text += " addi \(counter), \(counter), -1\n"
        // A branch over a jump reaches any distance.
        let out = newLabel()
        text += " beqz \(counter), \(out)\n j \(name)\n\(out):\n"
    }

    private mutating func newLabel() -> String {
        label += 1
        return "label\(label)"
    }

    private mutating func call(_ callable: Range<Int>) {
        let function = callable.lowerBound + below(callable.count)
        switch below(5) {
        case 0: text += " lla t0, function\(function)\n jalr ra, 0(t0)\n"
        case 1: text += " jal t0, tail\(function)\n"
        case 2: text += " lla t0, tail\(function)\n jalr t0, 0(t0)\n"
        case 3: text += " lla ra, function\(function)\n jalr ra, 0(ra)\n"
        default: text += " jal ra, function\(function)\n"
        }
    }

    /// Straight code with forward branches and, if `callable` is given, calls and computed jumps.
    private mutating func block(_ count: Int, callable: Range<Int>?) {
        var pending: (label: String, after: Int)?
        for index in 0 ..< count {
            if let (name, after) = pending, after <= index {
                text += "\(name):\n"
                pending = nil
            }
            switch below(20) {
            case 0, 1:
                if pending == nil {
                    let name = newLabel(), a = below(31), b = below(31)
                    let relation = ["beq", "bne", "blt", "bge", "bltu", "bgeu"][below(6)]
                    text += below(4) == 0 ? " \(relation) x\(a), x\(a), \(name)\n" : " \(relation) x\(a), x\(b), \(name)\n"
                    pending = (name, index + 1 + below(8))
                }
            case 2:
                if pending == nil {
                    let name = newLabel()
                    text += " \(["beqz", "bnez"][below(2)]) x\(8 + below(8)), \(name)\n"
                    pending = (name, index + 1 + below(8))
                }
            case 3: if let callable, below(3) == 0 { call(callable) }
            case 4: if callable != nil, pending == nil, below(2) == 0 { computedJump() }
            case 5: text += " fsrmi \(below(5))\n"
            case 6: text += " csrr x\(10 + below(8)), fflags\n"
            default: text += instruction()
            }
        }
        if let pending { text += "\(pending.label):\n" }
    }

    private mutating func computedJump() {
        let names = (0 ..< 4).map { _ in newLabel() }, end = newLabel(), source = 10 + below(8)
        table += ".balign 8\ntable\(label):\n" + names.map { " .\(xlen == .rv64 ? "dword" : "word") \($0)\n" }.joined()
        let name = "table\(label)"
        text += " andi t0, x\(source), 3\n slli t0, t0, \(xlen == .rv64 ? 3 : 2)\n lla ra, \(name)\n add t0, t0, ra\n \(load) t0, 0(t0)\n"
        // Neither register must look like a return.
        text += " mv a0, t0\n jr a0\n"
        for name in names {
            text += "\(name):\n" + instruction() + instruction() + " j \(end)\n"
        }
        text += "\(end):\n"
    }

    /// One computing instruction, with operands that keep the program sane.
    private mutating func instruction() -> String {
        while true {
            let entry = pool[below(pool.count)]
            var bits = entry.randomEncoding(using: &random)
            if entry.operands.contains(.csr) {
                // Reads, and writes of the flags; an arbitrary frm would make later instructions illegal.
                bits = bits & ~Operand.csr.mask | 1 << 20
            }
            var before = ""
            if entry.syntax.hasSuffix("(rs1)") {
                let base = SequenceProgram.bases[below(4)]
                bits = bits & ~Operand.rs1.mask | base << 15
                if entry.mnemonic.hasPrefix("sc."), below(4) != 0 {
                    before = " .insn 4, \((entry.mnemonic == "sc.w" ? 0x1000_252f : 0x1000_352f) | base << 15)\n"
                }
            } else if entry.syntax.hasSuffix("(rs1')") {
                bits = bits & ~Operand.rs1Low.mask | UInt32(below(2)) << 7
            }
            if entry.mnemonic == "fence.i", below(8) != 0 { continue }
            guard isFine(entry, bits) else { continue }
            return before + " .insn \(entry.length), \(bits)\n"
        }
    }

    private func isFine(_ entry: CatalogueEntry, _ bits: UInt32) -> Bool {
        // Compressed forms of one register operand write what they read.
        let isCompressed = entry.length == 2
        // Odd registers of a pair and rounds above 10 are illegal; x31 has another role.
        if entry.mnemonic == xlen.pairSwap {
            for operand in [Operand.rd, .rs2] where operand.value(in: bits) & 1 != 0 || operand.value(in: bits) == 30 { return false }
        }
        // QEMU's constant zero takes what an AMOCAS to x0 reads (docs/differences.md).
        if entry.mnemonic.hasPrefix("amocas"), Operand.rd.value(in: bits) == 0 { return false }
        if entry.mnemonic == "aes64ks1i", Operand.rnum.value(in: bits) > 10 { return false }
        for operand in entry.operands where operand.kind == .register {
            let value = operand.value(in: bits)
            if value == 31 { return false }
            let isDestination = operand == .rd || operand == .rdLow
                || isCompressed && operand == .rs1Low && !entry.syntax.hasSuffix("(rs1')")
            if isDestination, SequenceProgram.reserved.contains(value) { return false }
        }
        return true
    }

    /// Writes all registers and the memory to standard output and ends.
    private var finish: String {
        var text = " lla t6, dump\n"
        for number in 1 ... 30 { text += " \(store) x\(number), \(number * 8)(t6)\n" }
        for number in 0 ..< 32 { text += " fsd f\(number), \(256 + number * 8)(t6)\n" }
        text += " frcsr t0\n \(store) t0, 512(t6)\n"
        text += " li a0, 1\n lla a1, dump\n li a2, 1024\n li a7, 64\n ecall\n"
        text += " li a0, 1\n lla a1, memory\n li a2, 12288\n li a7, 64\n ecall\n li a0, 0\n li a7, 93\n ecall\n"
        return text
    }
}
