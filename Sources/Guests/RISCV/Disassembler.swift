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
        0x001: "fflags", 0x002: "frm", 0x003: "fcsr", 0x008: "vstart", 0x009: "vxsat", 0x00a: "vxrm", 0x00f: "vcsr", 0xc20: "vl",
        0xc21: "vtype", 0xc22: "vlenb", 0x015: "seed", 0x017: "jvt", 0xc00: "cycle", 0xc01: "time", 0xc02: "instret",
        0xc80: "cycleh", 0xc81: "timeh", 0xc82: "instreth",
    ]
}

extension RISCVGuest {
    /// The text and length of the instruction at `pc`: `.word` or `.short` for what this CPU does not know, length 0 if
    /// the window is too short.
    public func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) {
        guard let (bits, length) = RISCVGuest.fetch(window) else { return ("", 0) }
        guard let pattern = tree.find(bits) else {
            return ((length == 2 ? ".short 0x" : ".word 0x") + String(bits, radix: 16), Int(length))
        }
        return (Disassembler.text(pattern.pointee, Instruction(bits), at: pc, xlen), Int(length))
    }
}

enum Disassembler {
    /// The assembler text of `pattern` with the operands of `instruction`.
    static func text(_ pattern: Pattern, _ instruction: Instruction, at pc: UInt64, _ xlen: XLEN) -> String {
        let syntax = pattern.syntax.description
        let parts = syntax.split(separator: " ", maxSplits: 1)
        guard let first = parts.first else { return "" }
        var mnemonic = String(first)
        if let open = first.firstIndex(of: "{"), let close = first.firstIndex(of: "}"),
           let named = Operand.byName[String(first[first.index(after: open) ..< close])] {
            mnemonic = first[..<open] + operand(named, instruction, at: pc, xlen) + first[first.index(after: close)...]
        }
        guard parts.count == 2 else { return mnemonic }
        var text = mnemonic + " ", name = ""
        for character in parts[1] + ")" {
            switch character {
            case ",", "(", ")":
                text += Operand.byName[name].map { operand($0, instruction, at: pc, xlen) } ?? name
                text.append(character)
                name = ""
            case " ": break
            default: name.append(character)
            }
        }
        text.removeLast()
        // Unmasked: the operand is not shown at all.
        if text.last == "," { text.removeLast() }
        // The dynamic rounding mode is what a reader assumes.
        if pattern.isRounded, text.hasSuffix(",dyn") { return String(text.dropLast(4)) }
        if text.hasSuffix(",rne"), exactConversions.contains(pattern.mnemonic) { return String(text.dropLast(4)) }
        return text
    }

    /// Conversions that never round: assemblers give them mode 0 and show only others.
    static let exactConversions: Set<String> = ["fcvt.d.w", "fcvt.d.wu", "fcvt.d.s", "fcvt.s.h", "fcvt.d.h"]

    /// A vector type as assemblers write it; a number if it is reserved.
    private static func vectorType(_ value: Int64) -> String {
        guard value &>> 8 == 0, value & 7 != 4, value &>> 3 & 7 < 4 else { return String(value) }
        let lengths = ["m1", "m2", "m4", "m8", "", "mf8", "mf4", "mf2"]
        return "e\(8 &<< (value &>> 3 & 7)),\(lengths[Int(value & 7)]),\(value & 0x40 != 0 ? "ta" : "tu"),\(value & 0x80 != 0 ? "ma" : "mu")"
    }

    private static func operand(_ operand: Operand, _ instruction: Instruction, at pc: UInt64, _ xlen: XLEN) -> String {
        func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
        func accesses(_ bits: Int64) -> String {
            bits == 0 ? "unknown" : zip("iorw", [8, 4, 2, 1]).filter { bits & $0.1 != 0 }.map { String($0.0) }.joined()
        }
        let value = operand.value(in: instruction.bits)
        switch operand.kind {
        case .register: return RegisterNames.integer[Int(value & 31)]
        case .floatRegister: return RegisterNames.float[Int(value & 31)]
        case .vectorRegister: return "v\(value & 31)"
        case .immediate: return String(value)
        case .hexadecimal: return hex(UInt64(bitPattern: value))
        case .target: return hex((pc &+ UInt64(bitPattern: value)) & xlen.mask)
        case .special: break
        }
        switch operand {
        case .immU, .immCU: return hex(UInt64(bitPattern: value &>> 12) & 0xfffff)
        case .csr: return RegisterNames.csr[instruction.csr] ?? hex(UInt64(bitPattern: value))
        case .rm: return ["rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"][Int(value & 7)]
        case .aqrl: return ["", ".rl", ".aq", ".aqrl"][Int(value & 3)]
        case .mopR, .mopRR, .mopC, .index: return String(value)
        case .registerList: return RegisterList(instruction).text
        case .pushSize: return String(-RegisterList(instruction).adjustment(instruction, xlen))
        case .popSize: return String(RegisterList(instruction).adjustment(instruction, xlen))
        case .vm: return value == 0 ? "v0.t" : ""
        case .seg: return value == 0 ? "" : "seg\(value &+ 1)"
        case .vtype11, .vtype10: return vectorType(value)
        case .fli: return LoadImmediateConstant.text(UInt32(truncatingIfNeeded: value))
        default: return accesses(value)
        }
    }
}
