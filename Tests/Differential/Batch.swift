// Batches of single instructions for the guest program `Guest/cases.c`: encodings drawn from the tables, made runnable.

import Foundation
import RISCV

struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z &>> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z &>> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z &>> 31
    }
}

/// One encoding and the number of register states it runs with; laid out as the guest program reads it.
struct CaseRecord {
    static let nop: UInt32 = 0x13

    var encoding: UInt32
    var before = CaseRecord.nop
    var count: UInt32
    /// What the guest program writes: 0 a hash of the state after, 1 both states, 2 the signal.
    var output: UInt8 = 1
    var base: UInt8 = 0
    /// 1: the base is made a memory address, mostly aligned; 2: the landing place of jumps; 3: always aligned; 14: an address
    /// in low memory full of addresses of the landing place; 15: where some are odd; 16: in low memory.
    var kind: UInt8 = 0
    var alignment: UInt8 = 8
    var displacement: Int64 = 0
    var seed: UInt64

    var bytes: [UInt8] {
        var data: [UInt8] = []
        func append(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { data += $0 } }
        append(encoding); append(before); append(count)
        append(output); append(base); append(kind); append(alignment)
        append(displacement); append(seed)
        return data
    }
}

/// The addresses that `Guest/run_case.S` and the linker settle.
enum CaseLayout {
    static let slot: UInt64 = 0x4000_0000
    static let instruction = slot + 4
    static let fallThrough = slot + 8
    static let landing = slot + 36
    static let scratch: UInt64 = 0x5000_0000
    static let linkerFlags = ["-Wl,--section-start=.slot=0x40000000", "-Wl,--section-start=.scratch=0x50000000",
                              "-Wl,-Ttext-segment=0x40020000", "-Wl,--no-warn-rwx-segments"]
}

extension XLEN {
    /// The compare-and-swap on pairs of registers.
    var pairSwap: String { self == .rv64 ? "amocas.q" : "amocas.d" }
}

extension CatalogueEntry {
    /// Instructions whose effect is not a function of the registers.
    var isComparable: Bool { mnemonic != "ecall" }
    /// Reads or writes vector state: runs with all of it prepared.
    var usesVectors: Bool { !extensions.isDisjoint(with: .vectors) || operands.contains(.csr) }

    /// A record of `count` cases for a random encoding, with operands that the guest program can serve: x31 is its own,
    /// jumps lead to its landing place, and addresses into its memory.
    func record(count: UInt32, _ xlen: XLEN, using random: inout Random) -> CaseRecord {
        while true {
            var bits = randomEncoding(using: &random)
            for operand in operands {
                switch operand {
                case .immB: bits = bits & ~operand.mask | 1 << 25
                case .immJ: bits = bits & ~operand.mask | 16 << 21
                case .immCB, .immCJ: bits = bits & ~operand.mask | 1 << 2
                case .csr:
                    let known: [UInt32] = [1, 2, 3, 1, 2, 3, 8, 9, 10, 15, 0xc20, 0xc21, 0xc22]
                    let number = random.next() % 8 == 0 ? UInt32(random.next() & 0xfff) : known[Int(random.next() % 13)]
                    // The counters tell the time, and the entropy source tells anything.
                    bits = bits & ~operand.mask | (number & 0xf60 == 0xc00 || number == 0x015 ? 1 : number) << 20
                // Odd pairs are illegal; the tests of the encoding space see to them.
                case .rd where mnemonic == xlen.pairSwap, .rs2 where mnemonic == xlen.pairSwap:
                    if random.next() & 15 != 0 { bits &= ~(1 << UInt32(operand == .rd ? 7 : 20)) }
                case .sreg2:
                    // Two equal registers are reserved.
                    if Operand.sreg1.value(in: bits) == operand.value(in: bits) { bits ^= 4 }
                default: break
                }
            }
            // Registers that groups of up to eight can begin with, more often than chance would have it.
            let grouping = UInt32(random.next() & 3)
            for operand in operands where operand.kind == .vectorRegister {
                bits &= ~((1 &<< grouping &- 1) &<< UInt32(operand.mask.trailingZeroBitCount))
            }
            if operands.contains(.seg), random.next() & 3 != 0 { bits &= random.next() & 1 == 0 ? 0x1fff_ffff : 0x3fff_ffff }
            if operands.contains(where: { $0.kind == .register && $0.value(in: bits) == 31 }) { continue }
            if mnemonic == xlen.pairSwap, operands.contains(where: { $0.kind == .register && $0.value(in: bits) == 30 }) { continue }
            var record = CaseRecord(encoding: bits, count: count, seed: random.next())
            if usesVectors {
                record.alignment = UInt8(grouping) | elementGroup
                if syntax.contains("(rs1)") {
                    record.base = UInt8(truncatingIfNeeded: Operand.rs1.value(in: bits))
                    record.kind = 5
                    if record.base == 0 { continue }
                    // QEMU dies of whole-register accesses that leave mapped memory.
                    if bits & 0x0e00_005f == 0x0200_0007, bits &>> 20 & 31 == 8 { record.kind = 6 }
                } else if mnemonic == "vsetvl" {
                    record.base = UInt8(truncatingIfNeeded: Operand.rs2.value(in: bits))
                    if random.next() & 7 != 0 { record.kind = 4 } else { record.base = 0 }
                    if record.base == 0 { record.kind = 0 }
                } else if mnemonic == "vfwmaccbf16.vf", random.next() & 3 != 0 {
                    // First `fmv.h.x fs1, x5`, as of fcvt.s.bf16.
                    record.before = 0xf402_8053 | UInt32(truncatingIfNeeded: Operand.fs1.value(in: bits)) << 7
                } else if operands.contains(.vtype11) || operands.contains(.vtype10), random.next() & 7 != 0 {
                    record.encoding &= 0xf0ff_ffff
                }
                return record
            }
            if let (base, displacement) = address(bits) {
                record.base = base
                record.displacement = displacement
                record.kind = mnemonic == "jalr" ? 2 : 1
                // QEMU's user mode does not survive misaligned atomic accesses that it does not allow.
                if mnemonic.hasPrefix("lr.") || mnemonic.hasPrefix("sc.") { record.kind = 3 }
                if mnemonic == xlen.pairSwap { record.alignment = xlen == .rv64 ? 16 : 8 }
                if mnemonic.hasPrefix("sc."), random.next() & 1 == 0 {
                    // Of the same width: whether others pair is left to the implementation.
                    record.before = (mnemonic == "sc.w" ? 0x1000_202f : 0x1000_302f) | UInt32(base) << 15
                }
            } else if mnemonic == "fcvt.s.bf16", random.next() & 3 != 0 {
                // First `fmv.h.x fs1, x5`: few of the random doubles and singles are boxed halves.
                record.before = 0xf402_8053 | UInt32(truncatingIfNeeded: Operand.fs1.value(in: bits)) << 7
            } else if operands.contains(.registerList) {
                // Above what a push stores or below what a pop loads. What a pop returns to must be the landing place.
                (record.base, record.displacement, record.kind) = mnemonic == "cm.push" ? (2, -112, 3) : (2, 0, mnemonic == "cm.pop" ? 16 : 14)
            } else if operands.contains(.index) {
                // First `csrw jvt, t0`, with a base that brings the entry into memory, or now and then one with a mode.
                record.before = 0x0172_9073
                (record.base, record.kind, record.alignment) = (5, 15, 64)
                record.displacement = Operand.index.value(in: bits) * Int64(xlen.bytes) & ~63
            } else if mnemonic == "c.jr" || mnemonic == "c.jalr" {
                record.base = UInt8(truncatingIfNeeded: Operand.rd.value(in: bits))
                record.kind = 2
            }
            return record
        }
    }

    /// What the guest program is told of element groups: 16 or 32 for those of four or eight, 64 for elements of 64 bits too.
    private var elementGroup: UInt8 {
        if mnemonic.hasPrefix("vsm3") { return 32 }
        if mnemonic.hasPrefix("vsha2") { return 16 | 64 }
        return mask & 0x7f == 0x7f && match & 0x7f == 0x77 ? 16 : 0
    }

    /// Whether the reference is known to do otherwise for a state; see docs/differences.md.
    func isKnownDifference(_ record: CaseRecord, _ before: CaseState) -> Bool {
        if mnemonic == "vcompress.vm" {
            // A mask among the registers that are compressed.
            let type = before.words[102] & 7, registers = type < 4 ? 1 << type : 1
            let mask = UInt64(record.encoding &>> 15 & 31), source = UInt64(record.encoding &>> 20 & 31)
            return mask >= source && mask < source + UInt64(registers)
        }
        // Half a register that holds an element group.
        if mnemonic.hasPrefix("vsha2") { return before.words[102] & 7 == 7 }
        guard mnemonic == "fcvt.s.bf16" || mnemonic == "vfwmaccbf16.vf", record.before == CaseRecord.nop else { return false }
        return before.f(Int(Operand.fs1.value(in: record.encoding))) &>> 16 != 0xffff_ffff_ffff
    }

    /// Base register and displacement of an instruction that names an address.
    private func address(_ bits: UInt32) -> (UInt8, Int64)? {
        guard syntax.hasSuffix(")"), let open = syntax.lastIndex(of: "(") else { return nil }
        let name = syntax[syntax.index(after: open)...].dropLast()
        let base = name == "sp" ? 2 : Operand(rawValue: String(name))?.value(in: bits) ?? 0
        let before = syntax[..<open].split(separator: " ").last.map(String.init) ?? ""
        return (UInt8(truncatingIfNeeded: base), Operand(rawValue: before)?.value(in: bits) ?? 0)
    }
}
