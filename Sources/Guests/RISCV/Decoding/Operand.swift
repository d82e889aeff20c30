// The operands that assembler text of the tables can name, each with the bits it stands in and how it is printed.

/// An operand of an assembler text.
package enum Operand: String, CaseIterable, Sendable {
    case rd, rs1, rs2, fd, fs1, fs2, fs3
    case rs2C, fs2C, rdLow = "rd'", rs1Low = "rs1'", rs2Low = "rs2'", fdLow = "fd'", fs2Low = "fs2'"
    case immI, immS, immB, immU, immJ, shamt, shamtW, csr, uimm, rm, pred, succ, aqrl, fli
    case immCI, immCU, shamtC, immCI16, uimmCIW, uimmCL4, uimmCL8, uimmCI4, uimmCI8, uimmCSS4, uimmCSS8, immCB, immCJ
    case uimmCLB, uimmCLH

    /// The operand spelled `name` in an assembler text.
    static let byName: [String: Operand] = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    /// The encoding bits it stands in.
    package var mask: UInt32 {
        switch self {
        case .rd, .fd: 0x0000_0f80
        case .rs1, .fs1, .uimm, .fli: 0x000f_8000
        case .rs2, .fs2, .shamtW: 0x01f0_0000
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
        }
    }
}
