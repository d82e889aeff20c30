// Vector and floating-point instructions against GNU binutils; see Listing. The case names of the tables are
// the mnemonics, so each table is walked whole, with low registers (VEX) and high ones (EVEX).
import Testing
import X64

@Suite(.enabled(if: Listing.isPossible, "needs GNU as and objdump for x86-64"))
struct VectorFormsTests {
    private static let high: [XMM] = [1, 10, 16, 23, 31].map { XMM($0) }
    private static let lengths: [VectorLength] = [.bits128, .bits256]
    /// Displacements that are multiples of some unit of EVEX's compressed form and not of others.
    private static let places: [(Mem, String)] = [
        (.base(.rax), "[rax]"), (.base(.r13, 0), "[r13+0]"), (.base(.rsp, 8), "[rsp+8]"), (.base(.r12, 4), "[r12+4]"),
        (.base(.rdi, 508), "[rdi+508]"), (.base(.rdi, 512), "[rdi+512]"), (.base(.rdi, -2048), "[rdi-2048]"),
        (.base(.rdi, 16), "[rdi+16]"), (.base(.rdi, 32), "[rdi+32]"), (.base(.rdi, 2), "[rdi+2]"),
        (.base(.rdi, 4064), "[rdi+4064]"), (.base(.rdi, 4080), "[rdi+4080]"), (.base(.rdi, 0x12345), "[rdi+0x12345]"),
        (.indexed(.rbx, .r9, 8, 64), "[rbx+r9*8+64]"), (.indexed(.r8, .rcx, 4, 1), "[r8+rcx*4+1]"),
        (.indexOnly(.r15, 2, 256), "[r15*2+256]"), (.absolute(64), "[64]"),
    ]

    /// Low registers are combined fully; high ones only where the encoding exists.
    private static func registers(_ code: UInt32) -> [XMM] { code >> 16 & 15 == 6 ? vectors : vectors + high }

    private static func lengths(_ code: UInt32, scalar: Bool = false) -> [VectorLength] {
        [4, 5, 6, 7].contains(code >> 16 & 15) && !scalar ? lengths : [.bits128]
    }

    private static func expectAgreement(_ listing: Listing) throws {
        let problems = try listing.disagreements()
        #expect(problems.isEmpty, "\(problems.joined(separator: "\n"))")
    }

    @Test func threeOperands() throws {
        let list = Listing(capacity: 1 << 22)
        let bitwise: Set<AVX3> = [.vpand, .vpandn, .vpor, .vpxor]
        let shiftsByVector: Set<AVX3> = [.vpsllw, .vpslld, .vpsllq, .vpsrlw, .vpsrld, .vpsrlq, .vpsraw, .vpsrad, .vpsraq]
        for op in AVX3.allCases {
            let registers = Self.registers(op.rawValue)
            for length in Self.lengths(op.rawValue) {
                let third: VectorLength = shiftsByVector.contains(op) ? .bits128 : length
                for (index, a) in registers.enumerated() {
                    let first = name(a, length)
                    for b in registers {
                        let c = registers[(index + Int(b.rawValue)) % registers.count]
                        let isHigh = (a.rawValue | b.rawValue | c.rawValue) & 16 != 0
                        let word = isHigh && bitwise.contains(op) ? "\(op)d" : "\(op)"
                        list.check("\(word) \(first), \(name(b, length)), \(name(c, third))") { $0.avx(op, a, b, c, length) }
                    }
                }
                for (index, (mem, text)) in Self.places.enumerated() {
                    for a in [vectors[index % vectors.count], registers[registers.count - 1 - index % 5]] {
                        let word = a.rawValue > 15 && bitwise.contains(op) ? "\(op)d" : "\(op)"
                        list.check("\(word) \(name(a, length)), \(name(a, length)), \(text)") {
                            $0.avx(op, a, a, mem, length)
                        }
                    }
                }
            }
        }
        try Self.expectAgreement(list)
    }

    @Test func threeOperandsWithImmediate() throws {
        let list = Listing()
        for op in AVX3Immediate.allCases {
            let registers = Self.registers(op.rawValue)
            // The EVEX form is named for what it adds, a scale in the upper half of the immediate.
            let evexName = op == .vroundss ? "vrndscaless" : op == .vroundsd ? "vrndscalesd" : "\(op)"
            let isScalar = op == .vcmpss || op == .vcmpsd
            for length in Self.lengths(op.rawValue, scalar: isScalar) where op != .vpclmulqdq || length == .bits128 {
                for (index, a) in registers.enumerated() {
                    for b in registers {
                        let c = registers[(index + Int(b.rawValue)) % registers.count]
                        let isHigh = (a.rawValue | b.rawValue | c.rawValue) & 16 != 0
                        list.check("\(isHigh ? evexName : "\(op)") \(name(a, length)), \(name(b, length)), "
                            + "\(name(c, length)), \(index)") { $0.avx(op, a, b, c, imm: UInt8(index), length) }
                    }
                }
                for (index, (mem, text)) in Self.places.enumerated() {
                    for a in [vectors[index % vectors.count], registers[registers.count - 1 - index % 5]] {
                        list.check("\(a.rawValue > 15 ? evexName : "\(op)") \(name(a, length)), \(name(a, length)), "
                            + "\(text), 1") { $0.avx(op, a, a, mem, imm: 1, length) }
                    }
                }
            }
        }
        try Self.expectAgreement(list)
    }

    @Test func twoOperands() throws {
        let list = Listing()
        let narrowing: Set<AVX2Operand> = [.vcvtpd2ps, .vcvtpd2dq, .vcvttpd2dq]
        let broadcasts: Set<AVX2Operand> = [.vpbroadcastb, .vpbroadcastw, .vpbroadcastd, .vpbroadcastq, .vbroadcastss]
        for op in AVX2Operand.allCases {
            let registers = Self.registers(op.rawValue)
            for length in broadcasts.contains(op) ? Self.lengths : Self.lengths(op.rawValue, scalar: op == .vaesimc) {
                let isHalf = op.rawValue >> 16 & 15 == 5 || broadcasts.contains(op) || "\(op)".hasPrefix("vpmov")
                let dst: VectorLength = narrowing.contains(op) ? .bits128 : length
                let src: VectorLength = isHalf ? .bits128 : length
                for a in registers {
                    for b in registers {
                        list.check("\(op) \(name(a, dst)), \(name(b, src))") { $0.avx(op, a, b, length) }
                    }
                }
                for (index, (mem, text)) in Self.places.enumerated() {
                    let size = narrowing.contains(op) ? pointer(length == .bits128 ? 16 : 32) : ""
                    for a in [vectors[index % vectors.count], registers[registers.count - 1 - index % 5]] {
                        list.check("\(op) \(name(a, dst)), \(size)\(text)") { $0.avx(op, a, mem, length) }
                    }
                }
            }
        }
        for op in AVX2Immediate.allCases {
            let registers = Self.registers(op.rawValue)
            for length in op == .vpermq ? [.bits256] : op == .vaeskeygenassist ? [.bits128] : Self.lengths {
                for a in registers {
                    for b in registers {
                        list.check("\(op) \(name(a, length)), \(name(b, length)), 9") { $0.avx(op, a, b, imm: 9, length) }
                    }
                }
                for (mem, text) in Self.places {
                    list.check("\(op) \(name(XMM(9), length)), \(text), 3") { $0.avx(op, XMM(9), mem, imm: 3, length) }
                }
            }
        }
        for length in Self.lengths {
            for a in vectors + Self.high {
                let wide = name(a, length)
                list.check("vcvtps2ph xmm20, \(wide), 4") { $0.vcvtps2ph(XMM(20), a, imm: 4, length) }
                list.check("vcvtps2ph xmm2, \(wide), 4") { $0.vcvtps2ph(XMM(2), a, imm: 4, length) }
                for (mem, text) in Self.places {
                    list.check("vcvtps2ph \(text), \(wide), 4") { $0.vcvtps2ph(mem, a, imm: 4, length) }
                }
            }
        }
        try Self.expectAgreement(list)
    }

    @Test func blendsAndShifts() throws {
        let list = Listing()
        for length in Self.lengths {
            for op in AVX4.allCases {
                for a in vectors {
                    for b in vectors {
                        for c in vectors {
                            list.check("\(op) \(name(a, length)), \(name(b, length)), \(name(c, length)), "
                                + name(b, length)) { $0.avx(op, a, b, c, mask: b, length) }
                        }
                    }
                    for (mem, text) in Self.places {
                        list.check("\(op) \(name(a, length)), \(name(a, length)), \(text), \(name(XMM(13), length))") {
                            $0.avx(op, a, a, mem, mask: XMM(13), length)
                        }
                    }
                }
            }
            for op in AVXShift.allCases {
                for a in vectors + Self.high {
                    for b in vectors + Self.high {
                        list.check("\(op) \(name(a, length)), \(name(b, length)), 11") {
                            $0.avx(op, a, b, imm: 11, length)
                        }
                    }
                }
            }
        }
        try Self.expectAgreement(list)
    }

    @Test func moves() throws {
        let list = Listing()
        let all = vectors + Self.high
        for op in VectorMove.allCases {
            let isScalar = op == .vmovss || op == .vmovsd
            for length in isScalar ? [.bits128] : Self.lengths {
                for a in all {
                    for b in all {
                        var word = op == .vmovss ? "vmovaps" : op == .vmovsd ? "vmovapd" : "\(op)"
                        if (a.rawValue | b.rawValue) & 16 != 0 { word = Self.evexName(word) }
                        list.check("\(word) \(name(a, length)), \(name(b, length))") { $0.move(op, a, b, length) }
                    }
                    let word = a.rawValue > 15 ? Self.evexName("\(op)") : "\(op)"
                    for (mem, text) in Self.places {
                        list.check("\(word) \(name(a, length)), \(text)") { $0.move(op, a, mem, length) }
                        list.check("\(word) \(text), \(name(a, length))") { $0.move(op, mem, a, length) }
                    }
                }
            }
        }
        for a in all {
            for b in all {
                list.check("vmovss \(name(a)), \(name(b)), xmm6") { $0.vmovss(a, b, XMM(6)) }
                list.check("vmovsd \(name(a)), \(name(b)), xmm6") { $0.vmovsd(a, b, XMM(6)) }
                list.check("vmovq \(name(a)), \(name(b))") { $0.vmovq(a, b) }
            }
            for r in fewRegisters {
                list.check("vmovd \(name(a)), \(name(.b32, r))") { $0.vmovd(a, r) }
                list.check("vmovd \(name(.b32, r)), \(name(a))") { $0.vmovd(r, a) }
                list.check("vmovq \(name(a)), \(name(.b64, r))") { $0.vmovq(a, r) }
                list.check("vmovq \(name(.b64, r)), \(name(a))") { $0.vmovq(r, a) }
            }
            for (mem, text) in Self.places {
                list.check("vmovd \(name(a)), \(text)") { $0.vmovd(a, mem) }
                list.check("vmovd \(text), \(name(a))") { $0.vmovd(mem, a) }
                list.check("vmovq \(name(a)), \(text)") { $0.vmovq(a, mem) }
                list.check("vmovq \(text), \(name(a))") { $0.vmovq(mem, a) }
            }
        }
        for r in fewRegisters {
            for a in vectors {
                for length in Self.lengths {
                    list.check("vmovmskps \(name(.b32, r)), \(name(a, length))") { $0.vmovmskps(r, a, length) }
                    list.check("vmovmskpd \(name(.b32, r)), \(name(a, length))") { $0.vmovmskpd(r, a, length) }
                    list.check("vpmovmskb \(name(.b32, r)), \(name(a, length))") { $0.vpmovmskb(r, a, length) }
                }
            }
        }
        for (mem, text) in Self.places {
            list.check("vldmxcsr \(text)") { $0.vldmxcsr(mem) }
            list.check("vstmxcsr \(text)") { $0.vstmxcsr(mem) }
        }
        list.check("vzeroupper") { $0.vzeroupper() }
        try Self.expectAgreement(list)
    }

    private static func evexName(_ word: String) -> String {
        word == "vmovdqu" ? "vmovdqu32" : word == "vmovdqa" ? "vmovdqa32" : word
    }

    @Test func conversionsAndLanes() throws {
        let list = Listing()
        let all = vectors + Self.high
        for size in wideSizes {
            for op in IntegerToFloat.allCases {
                for a in all {
                    for r in fewRegisters {
                        list.check("\(op) \(name(a)), xmm3, \(name(size, r))") { $0.convert(op, size, a, XMM(3), r) }
                    }
                    for (mem, text) in Self.places {
                        list.check("\(op) \(name(a)), xmm3, \(pointer(size.bytes))\(text)") {
                            $0.convert(op, size, a, XMM(3), mem)
                        }
                    }
                }
            }
            for op in FloatToInteger.allCases {
                for r in fewRegisters {
                    for a in all { list.check("\(op) \(name(size, r)), \(name(a))") { $0.convert(op, size, r, a) } }
                    for (mem, text) in Self.places {
                        list.check("\(op) \(name(size, r)), \(text)") { $0.convert(op, size, r, mem) }
                    }
                }
            }
        }
        let lanes: [(OperandSize, String)] = [(.b8, "b"), (.b16, "w"), (.b32, "d"), (.b64, "q")]
        for (size, letter) in lanes {
            let registerSize: OperandSize = size == .b64 ? .b64 : .b32
            for a in all {
                for r in fewRegisters {
                    list.check("vpinsr\(letter) \(name(a)), xmm5, \(name(registerSize, r)), 1") {
                        $0.vpinsr(size, a, XMM(5), r, lane: 1)
                    }
                    list.check("vpextr\(letter) \(name(registerSize, r)), \(name(a)), 1") {
                        $0.vpextr(size, r, a, lane: 1)
                    }
                }
                for (mem, text) in Self.places {
                    list.check("vpinsr\(letter) \(name(a)), xmm5, \(text), 1") { $0.vpinsr(size, a, XMM(5), mem, lane: 1) }
                    list.check("vpextr\(letter) \(text), \(name(a)), 1") { $0.vpextr(size, mem, a, lane: 1) }
                }
            }
        }
        try Self.expectAgreement(list)
    }
}
