// "Transformed Instruction or Pseudoinstruction for mtinst or htinst": a load, store or AMO in its 32-bit form, without what a
// hypervisor cannot use, and with the distance of the fault from the access's own address in place of its base register.

import Translation

enum TransformedInstruction {
    /// - Parameters:
    ///   - value: the value of an integer register.
    ///   - fault: the faulting address.
    /// - Returns: 0 for an instruction that has no such form.
    static func of(_ bits: UInt32, xlen: XLEN, value: (Int) -> UInt64, fault: () -> UInt64) -> UInt64 {
        let isCompressed = bits & 3 != 3
        guard let wide = isCompressed ? expanded(bits, xlen) : bits else { return 0 }
        let base = Int(wide >> 15 & 31), function = wide >> 12 & 7
        let start: UInt64
        var kept: UInt32
        switch wide & 0x7f {
        case 0x03, 0x07: // loads
            start = value(base) &+ UInt64(bitPattern: Int64(Int32(bitPattern: wide) >> 20))
            kept = wide & 0x0000_7fff
        case 0x23, 0x27: // stores
            let offset = Int32(bitPattern: wide & 0xfe00_0000) >> 20 | Int32(bitPattern: wide >> 7 & 31)
            start = value(base) &+ UInt64(bitPattern: Int64(offset))
            kept = wide & 0x01f0_707f
        case 0x2f: // AMOs, LR, SC
            start = value(base)
            kept = wide & 0xfff0_7fff
        case 0x73 where function == 4: // HLV, HLVX, HSV
            start = value(base)
            kept = wide & 0xfff0_7fff
        default: return 0
        }
        let distance = UInt32(truncatingIfNeeded: (fault() &- start) & xlen.mask)
        kept |= (distance & 31) << 15
        return UInt64(isCompressed ? kept & ~2 : kept)
    }

    /// The 32-bit form of a compressed load or store, with an offset of its own.
    private static func expanded(_ bits: UInt32, _ xlen: XLEN) -> UInt32? {
        let short = bits >> 2 & 7 | 8, base = bits >> 7 & 7 | 8, full = bits >> 7 & 31, source = bits >> 2 & 31
        let wordOffset = bits >> 4 & 4 | bits >> 7 & 0x38 | bits << 1 & 0x40
        let doubleOffset = bits >> 7 & 0x38 | bits << 1 & 0xc0
        let stackWord = bits >> 2 & 0x1c | bits >> 7 & 0x20 | bits << 4 & 0xc0
        let stackDouble = bits >> 2 & 0x18 | bits >> 7 & 0x20 | bits << 4 & 0x1c0
        let storeWord = bits >> 7 & 0x3c | bits >> 1 & 0xc0
        let storeDouble = bits >> 7 & 0x38 | bits >> 1 & 0x1c0
        func load(_ opcode: UInt32, _ width: UInt32, _ rd: UInt32, _ rs: UInt32, _ offset: UInt32) -> UInt32 {
            offset << 20 | rs << 15 | width << 12 | rd << 7 | opcode
        }
        func store(_ opcode: UInt32, _ width: UInt32, _ rs2: UInt32, _ rs1: UInt32, _ offset: UInt32) -> UInt32 {
            (offset >> 5) << 25 | rs2 << 20 | rs1 << 15 | width << 12 | (offset & 31) << 7 | opcode
        }
        switch (bits & 3, bits >> 13) {
        case (0, 1): return load(0x07, 3, short, base, doubleOffset)
        case (0, 2): return load(0x03, 2, short, base, wordOffset)
        case (0, 3): return xlen == .rv64 ? load(0x03, 3, short, base, doubleOffset) : load(0x07, 2, short, base, wordOffset)
        case (0, 4): // Zcb
            let byte = bits >> 6 & 1 | bits >> 4 & 2
            switch bits >> 10 & 7 {
            case 0: return load(0x03, 4, short, base, byte)
            case 1: return load(0x03, bits >> 6 & 1 == 0 ? 5 : 1, short, base, byte & 2)
            case 2: return store(0x23, 0, short, base, byte)
            case 3: return bits >> 6 & 1 == 0 ? store(0x23, 1, short, base, byte & 2) : nil
            default: return nil
            }
        case (0, 5): return store(0x27, 3, short, base, doubleOffset)
        case (0, 6): return store(0x23, 2, short, base, wordOffset)
        case (0, 7): return xlen == .rv64 ? store(0x23, 3, short, base, doubleOffset) : store(0x27, 2, short, base, wordOffset)
        case (2, 1): return load(0x07, 3, full, 2, stackDouble)
        case (2, 2): return load(0x03, 2, full, 2, stackWord)
        case (2, 3): return xlen == .rv64 ? load(0x03, 3, full, 2, stackDouble) : load(0x07, 2, full, 2, stackWord)
        case (2, 5): return store(0x27, 3, source, 2, storeDouble)
        case (2, 6): return store(0x23, 2, source, 2, storeWord)
        case (2, 7): return xlen == .rv64 ? store(0x23, 3, source, 2, storeDouble) : store(0x27, 2, source, 2, storeWord)
        default: return nil
        }
    }
}
