// The operands that assembler text of the tables can name, each with the bits it stands in and how it is printed.

/// An operand of an assembler text.
package enum Operand: String, CaseIterable, Sendable {
    case rd, rs1, rs2, fd, fs1, fs2, fs3
    case rs2C, fs2C, rdLow = "rd'", rs1Low = "rs1'", rs2Low = "rs2'", fdLow = "fd'", fs2Low = "fs2'"
    case immI, immS, immB, immU, immJ, shamt, shamtW, csr, uimm, rm, pred, succ, aqrl, fli
    case immCI, immCU, shamtC, immCI16, uimmCIW, uimmCL4, uimmCL8, uimmCI4, uimmCI8, uimmCSS4, uimmCSS8, immCB, immCJ
    case uimmCLB, uimmCLH
    case bs, rnum, mopR, mopRR, mopC, registerList, pushSize, popSize, sreg1, sreg2, index
    case vd, vs1, vs2, vm, seg, simm5, uimm5, uimm6, vtype11, vtype10

    /// The operand spelled `name` in an assembler text.
    static let byName: [String: Operand] = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    /// The encoding bits it stands in.
    package var mask: UInt32 {
        switch self {
        case .rd, .fd, .vd: 0x0000_0f80
        case .rs1, .fs1, .uimm, .fli, .vs1, .simm5, .uimm5: 0x000f_8000
        case .rs2, .fs2, .shamtW, .vs2: 0x01f0_0000
        case .vm: 0x0200_0000
        case .uimm6: 0x040f_8000
        case .seg: 0xe000_0000
        case .vtype11: 0x7ff0_0000
        case .vtype10: 0x3ff0_0000
        case .fs3: 0xf800_0000
        case .shamt: 0x03f0_0000
        case .immI, .csr: 0xfff0_0000
        case .immS, .immB: 0xfe00_0f80
        case .immU, .immJ: 0xffff_f000
        case .rm: 0x0000_7000
        case .pred: 0x0f00_0000
        case .succ: 0x00f0_0000
        case .aqrl: 0x0600_0000
        case .rs2C, .fs2C: 0x007c
        case .rdLow, .rs2Low, .fdLow, .fs2Low: 0x001c
        case .rs1Low: 0x0380
        case .immCI, .immCU, .shamtC, .immCI16, .uimmCI4, .uimmCI8: 0x107c
        case .uimmCIW: 0x1fe0
        case .uimmCL4, .uimmCL8: 0x1c60
        case .uimmCSS4, .uimmCSS8: 0x1f80
        case .immCB: 0x1c7c
        case .immCJ: 0x1ffc
        case .uimmCLB: 0x0060
        case .uimmCLH: 0x0020
        case .bs: 0xc000_0000
        case .rnum: 0x00f0_0000
        case .mopR: 0x4c30_0000
        case .mopRR: 0x4c00_0000
        case .mopC: 0x0700
        case .registerList: 0x00f0
        case .pushSize, .popSize: 0x000c
        case .sreg1: 0x0380
        case .sreg2: 0x001c
        case .index: 0x03fc
        }
    }

    /// What stands there in `bits`: a register's number, an immediate as the instruction uses it.
    package func value(in bits: UInt32) -> Int64 {
        let i = Instruction(bits)
        switch self {
        case .rd: return Int64(i.rd.number)
        case .rs1: return Int64(i.rs1.number)
        case .rs2: return Int64(i.rs2.number)
        case .fd: return Int64(i.fd.number)
        case .fs1: return Int64(i.fs1.number)
        case .fs2: return Int64(i.fs2.number)
        case .fs3: return Int64(i.fs3.number)
        case .rs2C: return Int64(i.rs2C.number)
        case .fs2C: return Int64(i.fs2C.number)
        case .rdLow: return Int64(i.rdLow.number)
        case .rs1Low: return Int64(i.rs1Low.number)
        case .rs2Low: return Int64(i.rs2Low.number)
        case .fdLow: return Int64(i.fdLow.number)
        case .fs2Low: return Int64(i.fs2Low.number)
        case .immI: return i.immI
        case .immS: return i.immS
        case .immB: return i.immB
        case .immJ: return i.immJ
        case .immU: return i.immU
        case .shamt: return Int64(i.shamt)
        case .shamtW: return Int64(i.shamtW)
        case .csr: return Int64(i.csr)
        case .uimm: return Int64(i.uimm)
        case .rm: return Int64(i.rm)
        case .pred: return Int64(i.predecessor)
        case .succ: return Int64(i.successor)
        case .aqrl: return Int64(i.field(25, 2))
        case .fli: return Int64(i.field(15, 5))
        case .immCI: return i.immCI
        case .immCU: return i.immCU
        case .shamtC: return Int64(i.shamtC)
        case .immCI16: return i.immCI16
        case .uimmCIW: return i.uimmCIW
        case .uimmCL4: return i.uimmCL4
        case .uimmCL8: return i.uimmCL8
        case .uimmCI4: return i.uimmCI4
        case .uimmCI8: return i.uimmCI8
        case .uimmCSS4: return i.uimmCSS4
        case .uimmCSS8: return i.uimmCSS8
        case .immCB: return i.immCB
        case .immCJ: return i.immCJ
        case .uimmCLB: return i.uimmCLB
        case .uimmCLH: return i.uimmCLH
        case .bs: return Int64(i.byteSelect)
        case .rnum: return Int64(i.field(20, 4))
        case .mopR: return Int64(i.field(30, 1) &<< 4 | i.field(26, 2) &<< 2 | i.field(20, 2))
        case .mopRR: return Int64(i.field(30, 1) &<< 2 | i.field(26, 2))
        case .mopC: return Int64(i.field(8, 3) &<< 1 | 1)
        case .registerList: return Int64(i.field(4, 4))
        case .pushSize, .popSize: return Int64(i.field(2, 2))
        case .sreg1: return Int64(i.savedRegister1.number)
        case .sreg2: return Int64(i.savedRegister2.number)
        case .index: return Int64(i.tableIndex)
        case .vd: return Int64(i.vd)
        case .vs1: return Int64(i.vs1)
        case .vs2: return Int64(i.vs2)
        case .vm: return Int64(i.field(25, 1))
        case .seg: return Int64(i.field(29, 3))
        case .simm5: return Int64(Int32(bitPattern: i.bits &<< 12) &>> 27)
        case .uimm5: return Int64(i.field(15, 5))
        case .uimm6: return Int64(i.field(26, 1) &<< 5 | i.field(15, 5))
        case .vtype11: return Int64(i.field(20, 11))
        case .vtype10: return Int64(i.field(20, 10))
        }
    }

    /// What kind of thing the operand is.
    package enum Kind: Sendable { case register, floatRegister, vectorRegister, immediate, hexadecimal, target, special }

    package var kind: Kind {
        switch self {
        case .rd, .rs1, .rs2, .rs2C, .rdLow, .rs1Low, .rs2Low, .sreg1, .sreg2: .register
        case .fd, .fs1, .fs2, .fs3, .fs2C, .fdLow, .fs2Low: .floatRegister
        case .vd, .vs1, .vs2: .vectorRegister
        case .immB, .immJ, .immCB, .immCJ: .target
        case .shamt, .shamtW, .shamtC, .bs, .rnum: .hexadecimal
        case .immU, .immCU, .csr, .rm, .pred, .succ, .aqrl, .fli, .vm, .seg, .vtype11, .vtype10: .special
        case .mopR, .mopRR, .mopC, .registerList, .pushSize, .popSize: .special
        default: .immediate
        }
    }
}
