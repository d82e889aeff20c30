// The VEX and EVEX prefixes. Intel SDM volume 2, sections 2.3 and 2.7; tuple types of table 2-34.
// EVEX is chosen when a register numbered 16 or more appears, or when an instruction has no other form. Left
// out: opmasks as predicates, broadcast, embedded rounding, 512-bit length.

extension Assembler {
    /// A VEX or EVEX instruction.
    ///
    /// `code` is read by hexadecimal digit, `0x W T P M OO`:
    /// - W: bit 0 VEX.W, bit 1 EVEX.W, bit 2 set if only EVEX encodes it;
    /// - T: unit of EVEX's 8-bit displacement: 0…3 = 1, 2, 4, 8 bytes, 4 = the vector, 5 = half the vector,
    ///   6 = the instruction has no EVEX form on vector registers, 7 = 16 bytes;
    /// - P: 0 none, 1 = 66, 2 = F3, 3 = F2;  M: 1 = 0F, 2 = 0F 38, 3 = 0F 3A;  OO: the opcode byte.
    /// - Parameters:
    ///   - v: the register of the `vvvv` field; 0 if unused.
    mutating func vector(_ code: UInt32, reg: UInt8, v: UInt8, rm: Mem, length: VectorLength = .bits128,
                         immediate value: UInt8 = 0, immediateBytes: Int = 0) {
        guard hasRoom() else { return }
        let high = (reg | v | (rm.isDirect ? rm.baseNumber : 0)) & 16
        let map = UInt8(truncatingIfNeeded: code >> 8) & 15
        let pp = UInt8(truncatingIfNeeded: code >> 12) & 3
        var compression: UInt8 = 0
        if high != 0 || code & 0x40_0000 != 0 {
            let tuple = UInt8(truncatingIfNeeded: code >> 16) & 15
            assert(tuple != 6)
            compression = switch tuple {
            case 4: 4 + length.rawValue
            case 5: 3 + length.rawValue
            case 7: 4
            default: tuple
            }
            evexPrefix(map: map, pp: pp, wide: code & 0x20_0000 != 0, reg: reg, v: v, rm: rm, length: length)
        } else {
            vexPrefix(map: map, pp: pp, wide: code & 0x10_0000 != 0, reg: reg, v: v, rm: rm, length: length)
        }
        byte(UInt8(truncatingIfNeeded: code))
        modRM(reg: reg & 15, rm: rm, trailing: immediateBytes, compression: compression)
        if immediateBytes != 0 { byte(value) }
    }

    @inline(__always)
    private mutating func vexPrefix(map: UInt8, pp: UInt8, wide: Bool, reg: UInt8, v: UInt8, rm: Mem,
                                    length: VectorLength) {
        // Register extensions and vvvv are stored inverted.
        let notR: UInt8 = reg & 8 == 0 ? 0x80 : 0
        let tail = (v & 15) << 3 ^ 0x78 | length.rawValue << 2 | pp
        if map == 1, !wide, (rm.baseNumber | rm.indexNumber) & 8 == 0 {
            byte(0xC5)
            byte(notR | tail)
        } else {
            let notX: UInt8 = rm.indexNumber & 8 == 0 ? 0x40 : 0
            let notB: UInt8 = rm.baseNumber & 8 == 0 ? 0x20 : 0
            byte(0xC4)
            byte(notR | notX | notB | map)
            byte((wide ? 0x80 : 0) | tail)
        }
    }

    @inline(__always)
    private mutating func evexPrefix(map: UInt8, pp: UInt8, wide: Bool, reg: UInt8, v: UInt8, rm: Mem,
                                     length: VectorLength) {
        let notR: UInt8 = reg & 8 == 0 ? 0x80 : 0
        // A register in rm has its bit 4 where memory has bit 3 of the index.
        let extendsX = rm.isDirect ? rm.baseNumber & 16 : rm.indexNumber & 8
        let notX: UInt8 = extendsX == 0 ? 0x40 : 0
        let notB: UInt8 = rm.baseNumber & 8 == 0 ? 0x20 : 0
        let notHighR: UInt8 = reg & 16 == 0 ? 0x10 : 0
        byte(0x62)
        byte(notR | notX | notB | notHighR | map)
        byte((wide ? 0x80 : 0) | (v & 15) << 3 ^ 0x78 | 4 | pp)
        byte(length.rawValue << 5 | (v & 16 == 0 ? 8 : 0))
    }
}
