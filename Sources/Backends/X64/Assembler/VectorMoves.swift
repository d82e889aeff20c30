// Moves between vector registers, general-purpose registers and memory, conversions between integers and
// scalars, lane insertion and extraction, and MXCSR. Intel SDM volume 2.

/// Moves between vector registers and memory; the raw value is the load's encoding (see `Assembler.vector`).
package enum VectorMove: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    case vmovss = 0x02_2110, vmovsd = 0x23_3110
    case vmovups = 0x04_0110, vmovupd = 0x24_1110, vmovaps = 0x04_0128, vmovapd = 0x24_1128
    case vmovdqu = 0x04_216F, vmovdqa = 0x04_116F

    /// The store has the opcode after the load's, or sixteen after it.
    var store: UInt32 { rawValue &+ (rawValue & 0xFF == 0x6F ? 0x10 : 1) }
}

/// Integer to scalar conversions; the upper part of the destination comes from `a`.
package enum IntegerToFloat: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    case vcvtsi2ss = 0x00_212A, vcvtsi2sd = 0x00_312A
    /// From unsigned integers; AVX-512F.
    case vcvtusi2ss = 0x40_217B, vcvtusi2sd = 0x40_317B
}

/// Scalar to integer conversions; those with two t truncate, the others round as MXCSR says.
package enum FloatToInteger: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    case vcvttss2si = 0x02_212C, vcvttsd2si = 0x03_312C, vcvtss2si = 0x02_212D, vcvtsd2si = 0x03_312D
    /// To unsigned integers; AVX-512F.
    case vcvttss2usi = 0x42_2178, vcvttsd2usi = 0x43_3178, vcvtss2usi = 0x42_2179, vcvtsd2usi = 0x43_3179
}

/// Intel SDM volume 2: SHA256RNDS2, SHA256MSG1, SHA256MSG2.
package enum SHA: UInt8, CaseIterable, Sendable {
    case sha256rnds2 = 0xCB, sha256msg1 = 0xCC, sha256msg2 = 0xCD
}

extension Assembler {
    /// A load. Of a register it copies the whole vector, also for the scalar moves.
    package mutating func move(_ op: VectorMove, _ dst: XMM, _ src: Mem, _ length: VectorLength = .bits128) {
        if src.isDirect { return move(op, dst, XMM(rawValue: src.baseNumber), length) }
        vector(op.rawValue, reg: dst.rawValue, v: 0, rm: src, length: length)
    }

    /// A store.
    package mutating func move(_ op: VectorMove, _ dst: Mem, _ src: XMM, _ length: VectorLength = .bits128) {
        if dst.isDirect { return move(op, XMM(rawValue: dst.baseNumber), src, length) }
        vector(op.store, reg: src.rawValue, v: 0, rm: dst, length: length)
    }

    /// A copy of the whole vector.
    package mutating func move(_ op: VectorMove, _ dst: XMM, _ src: XMM, _ length: VectorLength = .bits128) {
        let whole: VectorMove = switch op {
        case .vmovss: .vmovaps
        case .vmovsd: .vmovapd
        default: op
        }
        // The store form lets the high register sit where the two-byte VEX prefix reaches it.
        if src.rawValue >= 8, dst.rawValue < 8 {
            vector(whole.store, reg: src.rawValue, v: 0, rm: .direct(dst), length: length)
        } else {
            vector(whole.rawValue, reg: dst.rawValue, v: 0, rm: .direct(src), length: length)
        }
    }

    package mutating func vmovss(_ dst: XMM, _ src: Mem) { move(.vmovss, dst, src) }
    package mutating func vmovss(_ dst: Mem, _ src: XMM) { move(.vmovss, dst, src) }
    package mutating func vmovsd(_ dst: XMM, _ src: Mem) { move(.vmovsd, dst, src) }
    package mutating func vmovsd(_ dst: Mem, _ src: XMM) { move(.vmovsd, dst, src) }
    /// `dst` = `a` with its lowest float taken from `b`.
    package mutating func vmovss(_ dst: XMM, _ a: XMM, _ b: XMM) {
        vector(VectorMove.vmovss.rawValue, reg: dst.rawValue, v: a.rawValue, rm: .direct(b))
    }
    /// `dst` = `a` with its lower double taken from `b`.
    package mutating func vmovsd(_ dst: XMM, _ a: XMM, _ b: XMM) {
        vector(VectorMove.vmovsd.rawValue, reg: dst.rawValue, v: a.rawValue, rm: .direct(b))
    }
    package mutating func vmovaps(_ dst: XMM, _ src: XMM) { move(.vmovaps, dst, src) }
    package mutating func vmovaps(_ dst: XMM, _ src: Mem) { move(.vmovaps, dst, src) }
    package mutating func vmovaps(_ dst: Mem, _ src: XMM) { move(.vmovaps, dst, src) }
    package mutating func vmovups(_ dst: XMM, _ src: Mem) { move(.vmovups, dst, src) }
    package mutating func vmovups(_ dst: Mem, _ src: XMM) { move(.vmovups, dst, src) }
    package mutating func vmovdqu(_ dst: XMM, _ src: Mem) { move(.vmovdqu, dst, src) }
    package mutating func vmovdqu(_ dst: Mem, _ src: XMM) { move(.vmovdqu, dst, src) }
    package mutating func vmovdqa(_ dst: XMM, _ src: XMM) { move(.vmovdqa, dst, src) }

    /// The low 32 bits of `dst` from a register, the rest zero.
    package mutating func vmovd(_ dst: XMM, _ src: GPR) {
        vector(0x02_116E, reg: dst.rawValue, v: 0, rm: .direct(src))
    }
    package mutating func vmovd(_ dst: XMM, _ src: Mem) { vector(0x02_116E, reg: dst.rawValue, v: 0, rm: src) }
    package mutating func vmovd(_ dst: GPR, _ src: XMM) {
        vector(0x02_117E, reg: src.rawValue, v: 0, rm: .direct(dst))
    }
    package mutating func vmovd(_ dst: Mem, _ src: XMM) { vector(0x02_117E, reg: src.rawValue, v: 0, rm: dst) }

    /// The low 64 bits of `dst` from a register, the rest zero.
    package mutating func vmovq(_ dst: XMM, _ src: GPR) {
        vector(0x33_116E, reg: dst.rawValue, v: 0, rm: .direct(src))
    }
    package mutating func vmovq(_ dst: GPR, _ src: XMM) {
        vector(0x33_117E, reg: src.rawValue, v: 0, rm: .direct(dst))
    }
    package mutating func vmovq(_ dst: XMM, _ src: XMM) {
        // As in `move`, the store form can be the shorter one.
        if src.rawValue >= 8, dst.rawValue < 8 {
            vector(0x23_11D6, reg: src.rawValue, v: 0, rm: .direct(dst))
        } else {
            vector(0x23_217E, reg: dst.rawValue, v: 0, rm: .direct(src))
        }
    }
    package mutating func vmovq(_ dst: XMM, _ src: Mem) { vector(0x23_217E, reg: dst.rawValue, v: 0, rm: src) }
    package mutating func vmovq(_ dst: Mem, _ src: XMM) { vector(0x23_11D6, reg: src.rawValue, v: 0, rm: dst) }

    /// `size` (`.b32`, `.b64`) is that of the integer.
    package mutating func convert(_ op: IntegerToFloat, _ size: OperandSize, _ dst: XMM, _ a: XMM, _ src: GPR) {
        convert(op, size, dst, a, .direct(src))
    }
    package mutating func convert(_ op: IntegerToFloat, _ size: OperandSize, _ dst: XMM, _ a: XMM, _ src: Mem) {
        let tuple: UInt32 = size == .b64 ? 0x03_0000 : 0x02_0000
        vector(op.rawValue | tuple | wide(size), reg: dst.rawValue, v: a.rawValue, rm: src)
    }
    /// What cannot be represented gives the integer indefinite value (only the top bit set).
    package mutating func convert(_ op: FloatToInteger, _ size: OperandSize, _ dst: GPR, _ src: XMM) {
        convert(op, size, dst, .direct(src))
    }
    package mutating func convert(_ op: FloatToInteger, _ size: OperandSize, _ dst: GPR, _ src: Mem) {
        vector(op.rawValue | wide(size), reg: dst.rawValue, v: 0, rm: src)
    }

    /// `dst = a` with the lane (8, 16, 32 or 64 bits wide) of that index replaced.
    package mutating func vpinsr(_ size: OperandSize, _ dst: XMM, _ a: XMM, _ src: GPR, lane: UInt8) {
        vpinsr(size, dst, a, .direct(src), lane: lane)
    }
    package mutating func vpinsr(_ size: OperandSize, _ dst: XMM, _ a: XMM, _ src: Mem, lane: UInt8) {
        let code: UInt32 = switch size {
        case .b8: 0x00_1320
        case .b16: 0x01_11C4
        case .b32: 0x02_1322
        case .b64: 0x33_1322
        }
        vector(code, reg: dst.rawValue, v: a.rawValue, rm: src, immediate: lane, immediateBytes: 1)
    }
    /// `dst` = one lane, zero-extended.
    package mutating func vpextr(_ size: OperandSize, _ dst: GPR, _ src: XMM, lane: UInt8) {
        vpextr(size, .direct(dst), src, lane: lane)
    }
    package mutating func vpextr(_ size: OperandSize, _ dst: Mem, _ src: XMM, lane: UInt8) {
        if size == .b16, dst.isDirect {
            // The older form has its operands the other way round and is shorter.
            return vector(0x01_11C5, reg: dst.baseNumber, v: 0, rm: .direct(src),
                          immediate: lane, immediateBytes: 1)
        }
        let code: UInt32 = switch size {
        case .b8: 0x00_1314
        case .b16: 0x01_1315
        case .b32: 0x02_1316
        case .b64: 0x33_1316
        }
        vector(code, reg: src.rawValue, v: 0, rm: dst, immediate: lane, immediateBytes: 1)
    }
    package mutating func vpinsrd(_ dst: XMM, _ a: XMM, _ src: GPR, _ lane: UInt8) { vpinsr(.b32, dst, a, src, lane: lane) }
    package mutating func vpinsrq(_ dst: XMM, _ a: XMM, _ src: GPR, _ lane: UInt8) { vpinsr(.b64, dst, a, src, lane: lane) }
    package mutating func vpextrd(_ dst: GPR, _ src: XMM, _ lane: UInt8) { vpextr(.b32, dst, src, lane: lane) }
    package mutating func vpextrq(_ dst: GPR, _ src: XMM, _ lane: UInt8) { vpextr(.b64, dst, src, lane: lane) }

    /// The sign bits of the four (eight) floats.
    package mutating func vmovmskps(_ dst: GPR, _ src: XMM, _ length: VectorLength = .bits128) {
        vector(0x06_0150, reg: dst.rawValue, v: 0, rm: .direct(src), length: length)
    }
    /// The sign bits of the two (four) doubles.
    package mutating func vmovmskpd(_ dst: GPR, _ src: XMM, _ length: VectorLength = .bits128) {
        vector(0x06_1150, reg: dst.rawValue, v: 0, rm: .direct(src), length: length)
    }
    /// The sign bits of the bytes.
    package mutating func vpmovmskb(_ dst: GPR, _ src: XMM, _ length: VectorLength = .bits128) {
        vector(0x06_11D7, reg: dst.rawValue, v: 0, rm: .direct(src), length: length)
    }

    package mutating func vldmxcsr(_ src: Mem) { vector(0x06_01AE, reg: 2, v: 0, rm: src) }
    package mutating func vstmxcsr(_ dst: Mem) { vector(0x06_01AE, reg: 3, v: 0, rm: dst) }
    /// Clears the upper halves of all YMM registers.
    /// Steps of SHA-256. They have no VEX form: dst is the first source too; the rounds take their words from XMM0.
    package mutating func sha(_ op: SHA, _ dst: XMM, _ src: XMM) {
        guard hasRoom() else { return }
        let high = (dst.rawValue >> 1 & 4) | (src.rawValue >> 3 & 1)
        if high != 0 { byte(0x40 | high) }
        byte(0x0F)
        byte(0x38)
        byte(op.rawValue)
        byte(0xC0 | (dst.rawValue & 7) << 3 | src.rawValue & 7)
    }

    package mutating func vzeroupper() { fixed(0x77F8C5, bytes: 3) }
}
