// Assembler text from the tables, in the form of `objdump -M no-aliases`: the mnemonic, one blank, operands separated by
// commas, registers by their ABI names, immediates in decimal except shift amounts and upper immediates, targets of
// branches as absolute hexadecimal addresses.

import Translation

/// The ABI names of registers.
enum RegisterNames {
    static let integer = [
        "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
        "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
    ]
    static let float = [
        "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
        "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
    ]
    static let csr: [UInt32: String] = [
        0x001: "fflags", 0x002: "frm", 0x003: "fcsr", 0xc00: "cycle", 0xc01: "time", 0xc02: "instret",
    ]
}

extension RISCV64 {
    /// The text and length of the instruction at `pc`: `.word` or `.short` for what this CPU does not know, length 0 if
    /// the window is too short.
    public func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) {
        guard let (bits, length) = RISCV64.fetch(window) else { return ("", 0) }
        guard let pattern = tree.find(bits) else {
            return ((length == 2 ? ".short 0x" : ".word 0x") + String(bits, radix: 16), Int(length))
        }
        return (Disassembler.text(pattern.pointee, Instruction(bits), at: pc), Int(length))
    }
}

enum Disassembler {
    /// The assembler text of `pattern` with the operands of `instruction`.
    static func text(_ pattern: Pattern, _ instruction: Instruction, at pc: UInt64) -> String {
        let syntax = pattern.syntax.description
        let parts = syntax.split(separator: " ", maxSplits: 1)
        guard let first = parts.first else { return "" }
        let mnemonic = first.hasSuffix("{aqrl}")
            ? first.dropLast(6) + operand(.aqrl, instruction, at: pc) : String(first)
        guard parts.count == 2 else { return String(mnemonic) }
        var text = mnemonic + " ", name = ""
        for character in parts[1] + ")" {
            switch character {
            case ",", "(", ")":
                text += Operand.byName[name].map { operand($0, instruction, at: pc) } ?? name
                text.append(character)
                name = ""
            case " ": break
            default: name.append(character)
            }
        }
        text.removeLast()
        // The dynamic rounding mode is what a reader assumes.
        if pattern.isRounded, text.hasSuffix(",dyn") { return String(text.dropLast(4)) }
        if text.hasSuffix(",rne"), exactConversions.contains(pattern.mnemonic) { return String(text.dropLast(4)) }
        return text
    }

    /// Conversions that never round: assemblers give them mode 0 and show only others.
    static let exactConversions: Set<String> = ["fcvt.d.w", "fcvt.d.wu", "fcvt.d.s", "fcvt.s.h", "fcvt.d.h"]

    private static func operand(_ operand: Operand, _ i: Instruction, at pc: UInt64) -> String {
        func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
        func name(_ register: Register) -> String { RegisterNames.integer[Int(register.number)] }
        func name(_ register: FloatRegister) -> String { RegisterNames.float[Int(register.number)] }
        func target(_ offset: Int64) -> String { hex(pc &+ UInt64(bitPattern: offset)) }
        func accesses(_ bits: UInt32) -> String {
            bits == 0 ? "unknown" : zip("iorw", [8, 4, 2, 1]).filter { bits & $0.1 != 0 }.map { String($0.0) }.joined()
        }
        switch operand {
        case .rd: return name(i.rd)
        case .rs1: return name(i.rs1)
        case .rs2: return name(i.rs2)
        case .fd: return name(i.fd)
        case .fs1: return name(i.fs1)
        case .fs2: return name(i.fs2)
        case .fs3: return name(i.fs3)
        case .rs2C: return name(i.rs2C)
        case .fs2C: return name(i.fs2C)
        case .rdLow: return name(i.rdLow)
        case .rs1Low: return name(i.rs1Low)
        case .rs2Low: return name(i.rs2Low)
        case .fdLow: return name(i.fdLow)
        case .fs2Low: return name(i.fs2Low)
        case .immI: return String(i.immI)
        case .immS: return String(i.immS)
        case .immB: return target(i.immB)
        case .immJ: return target(i.immJ)
        case .immU: return hex(UInt64(i.field(12, 20)))
        case .shamt: return hex(i.shamt)
        case .shamtW: return hex(i.shamtW)
        case .csr: return RegisterNames.csr[i.csr] ?? hex(UInt64(i.csr))
        case .uimm: return String(i.uimm)
        case .rm: return ["rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"][Int(i.rm)]
        case .pred: return accesses(i.predecessor)
        case .succ: return accesses(i.successor)
        case .aqrl: return ["", ".rl", ".aq", ".aqrl"][Int(i.field(25, 2))]
        case .fli: return LoadImmediateConstant.text(i.field(15, 5))
        case .immCI: return String(i.immCI)
        case .immCU: return hex(UInt64(truncatingIfNeeded: i.immCU &>> 12) & 0xfffff)
        case .shamtC: return hex(i.shamtC)
        case .immCI16: return String(i.immCI16)
        case .uimmCIW: return String(i.uimmCIW)
        case .uimmCL4: return String(i.uimmCL4)
        case .uimmCL8: return String(i.uimmCL8)
        case .uimmCI4: return String(i.uimmCI4)
        case .uimmCI8: return String(i.uimmCI8)
        case .uimmCSS4: return String(i.uimmCSS4)
        case .uimmCSS8: return String(i.uimmCSS8)
        case .immCB: return target(i.immCB)
        case .immCJ: return target(i.immCJ)
        case .uimmCLB: return String(i.uimmCLB)
        case .uimmCLH: return String(i.uimmCLH)
        }
    }
}
