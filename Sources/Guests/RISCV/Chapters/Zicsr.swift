// "Zicsr" Extension for Control and Status Register Instructions, with the registers an application can reach: the
// floating-point ones, the counters of Zicntr, seed of Zkr and jvt of Zcmt. The counters of Zihpm are kept from programs by
// the operating system, as they are under Linux. Every other number is an illegal instruction.

import IR
import Translation

extension Emit {
    enum CSROperation { case write, set, clear }

    /// `fflags`.
    private var floatFlags: Value {
        let flags = builder.getFloatFlags()
        return xlen == .rv64 ? flags : flags.low32
    }

    /// - Parameter isWritten: false for CSRRS and CSRRC with x0 or 0, which write nothing and may name read-only registers.
    mutating func accessCSR(_ i: Instruction, _ operation: CSROperation, _ operand: Value, isWritten: Bool) {
        func updated(_ old: Value) -> Value {
            switch operation {
            case .write: operand
            case .set: old | operand
            case .clear: old.andNot(operand)
            }
        }
        if isMachine {
            switch i.csr {
            case 0x001 ... 0x003: guard claimUnit(isFloat: true, isVector: false) else { return }
            case 0x008, 0x009, 0x00a, 0x00f, 0xc20, 0xc21, 0xc22: guard claimUnit(isFloat: false, isVector: true) else { return }
            case 0x015, 0x017: break
            default: return accessMachineCSR(i, operation, operand, isWritten: isWritten)
            }
        }
        let frm = constant(UInt64(dynamicRounding))
        switch i.csr {
        case 0x001 where extensions.contains(.f): // fflags
            let old = floatFlags
            if isWritten { builder.putFloatFlags(updated(old)) }
            self[i.rd] = old
        case 0x002 where extensions.contains(.f): // frm
            self[i.rd] = frm
            if isWritten { setControl(updated(frm) & constant(7 as UInt64)) }
        case 0x003 where extensions.contains(.f): // fcsr
            let old = floatFlags | constant(UInt64(dynamicRounding) &<< 5)
            self[i.rd] = old
            if isWritten {
                let new = updated(old)
                builder.putFloatFlags(new)
                setControl(new.shiftedRightUnsigned(by: constant(5 as UInt64)) & constant(7 as UInt64))
            }
        case 0x015 where extensions.contains(.zkr): // seed: a read alone would be taken for one without effect
            guard isWritten else { return illegal() }
            self[i.rd] = builder.helper(EntropySource.helper, .readsState)
        case 0x017 where extensions.contains(.zcmt): // jvt
            let old = builder.get(RISCVState.jumpTable, xlen.type)
            let new = isWritten ? updated(old) : old
            self[i.rd] = old
            if isWritten { setJumpTable(new) }
        case 0xc00, 0xc01, 0xc02: // cycle, time, instret
            guard extensions.contains(.zicntr), !isWritten else { return illegal() }
            self[i.rd] = builder.helper(Clock.helper, .readsState)
        case 0xc80, 0xc81, 0xc82: // cycleh, timeh, instreth
            guard xlen == .rv32, extensions.contains(.zicntr), !isWritten else { return illegal() }
            self[i.rd] = builder.helper(Clock.helper, .readsState).shiftedRightUnsigned(by: constant64(32))
        case 0x008, 0x009, 0x00a, 0x00f, 0xc20, 0xc21, 0xc22:
            guard extensions.contains(.zve32x) else { return illegal() }
            accessVectorCSR(i, isWritten ? updated : nil)
        default:
            illegal()
        }
    }
}

extension Pattern {
    static let csr: [Pattern] = [
        Pattern("csrrw rd, csr, rs1", "............ ..... 001 ..... 1110011", .zicsr) { x, i in
            x.accessCSR(i, .write, x[i.rs1], isWritten: true)
        },
        Pattern("csrrs rd, csr, rs1", "............ ..... 010 ..... 1110011", .zicsr) { x, i in
            x.accessCSR(i, .set, x[i.rs1], isWritten: i.rs1 != .zero)
        },
        Pattern("csrrc rd, csr, rs1", "............ ..... 011 ..... 1110011", .zicsr) { x, i in
            x.accessCSR(i, .clear, x[i.rs1], isWritten: i.rs1 != .zero)
        },
        Pattern("csrrwi rd, csr, uimm", "............ ..... 101 ..... 1110011", .zicsr) { x, i in
            x.accessCSR(i, .write, x.constant(i.uimm), isWritten: true)
        },
        Pattern("csrrsi rd, csr, uimm", "............ ..... 110 ..... 1110011", .zicsr) { x, i in
            x.accessCSR(i, .set, x.constant(i.uimm), isWritten: i.uimm != 0)
        },
        Pattern("csrrci rd, csr, uimm", "............ ..... 111 ..... 1110011", .zicsr) { x, i in
            x.accessCSR(i, .clear, x.constant(i.uimm), isWritten: i.uimm != 0)
        },
    ]
}
