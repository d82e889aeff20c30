// Vector and scalar floating-point instructions as tables: an operation's raw value is its encoding, read as
// described at `Assembler.vector`. Intel SDM volume 2; the names are the manual's. Data movement between
// register files and memory is in VectorMoves.swift.

/// `dst = a op b`.
package enum AVX3: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    // Scalar arithmetic: the upper part of dst comes from a.
    case vaddss = 0x02_2158, vaddsd = 0x23_3158, vsubss = 0x02_215C, vsubsd = 0x23_315C
    case vmulss = 0x02_2159, vmulsd = 0x23_3159, vdivss = 0x02_215E, vdivsd = 0x23_315E
    case vminss = 0x02_215D, vminsd = 0x23_315D, vmaxss = 0x02_215F, vmaxsd = 0x23_315F
    case vsqrtss = 0x02_2151, vsqrtsd = 0x23_3151
    case vcvtss2sd = 0x02_215A, vcvtsd2ss = 0x23_315A
    // Packed arithmetic.
    case vaddps = 0x04_0158, vaddpd = 0x24_1158, vsubps = 0x04_015C, vsubpd = 0x24_115C
    case vmulps = 0x04_0159, vmulpd = 0x24_1159, vdivps = 0x04_015E, vdivpd = 0x24_115E
    case vminps = 0x04_015D, vminpd = 0x24_115D, vmaxps = 0x04_015F, vmaxpd = 0x24_115F
    case vhaddps = 0x06_317C, vhaddpd = 0x06_117C
    // Fused multiply-add: 132 is dst = dst * b + a, 213 is dst = a * dst + b, 231 is dst = a * b + dst.
    case vfmadd132ss = 0x02_1299, vfmadd213ss = 0x02_12A9, vfmadd231ss = 0x02_12B9
    case vfmsub132ss = 0x02_129B, vfmsub213ss = 0x02_12AB, vfmsub231ss = 0x02_12BB
    case vfnmadd132ss = 0x02_129D, vfnmadd213ss = 0x02_12AD, vfnmadd231ss = 0x02_12BD
    case vfnmsub132ss = 0x02_129F, vfnmsub213ss = 0x02_12AF, vfnmsub231ss = 0x02_12BF
    case vfmadd132sd = 0x33_1299, vfmadd213sd = 0x33_12A9, vfmadd231sd = 0x33_12B9
    case vfmsub132sd = 0x33_129B, vfmsub213sd = 0x33_12AB, vfmsub231sd = 0x33_12BB
    case vfnmadd132sd = 0x33_129D, vfnmadd213sd = 0x33_12AD, vfnmadd231sd = 0x33_12BD
    case vfnmsub132sd = 0x33_129F, vfnmsub213sd = 0x33_12AF, vfnmsub231sd = 0x33_12BF
    case vfmadd132ps = 0x04_1298, vfmadd213ps = 0x04_12A8, vfmadd231ps = 0x04_12B8
    case vfmadd132pd = 0x34_1298, vfmadd213pd = 0x34_12A8, vfmadd231pd = 0x34_12B8
    case vfmsub231ps = 0x04_12BA, vfmsub231pd = 0x34_12BA, vfnmsub231ps = 0x04_12BE, vfnmsub231pd = 0x34_12BE
    case vfnmadd132ps = 0x04_129C, vfnmadd213ps = 0x04_12AC, vfnmadd231ps = 0x04_12BC
    case vfnmadd132pd = 0x34_129C, vfnmadd213pd = 0x34_12AC, vfnmadd231pd = 0x34_12BC
    // Logic. The EVEX forms of the floating-point ones need AVX-512DQ.
    case vandps = 0x04_0154, vandpd = 0x24_1154, vandnps = 0x04_0155, vandnpd = 0x24_1155
    case vorps = 0x04_0156, vorpd = 0x24_1156, vxorps = 0x04_0157, vxorpd = 0x24_1157
    case vpand = 0x04_11DB, vpandn = 0x04_11DF, vpor = 0x04_11EB, vpxor = 0x04_11EF
    // Integer arithmetic.
    case vpaddb = 0x04_11FC, vpaddw = 0x04_11FD, vpaddd = 0x04_11FE, vpaddq = 0x24_11D4
    case vpsubb = 0x04_11F8, vpsubw = 0x04_11F9, vpsubd = 0x04_11FA, vpsubq = 0x24_11FB
    case vpaddsb = 0x04_11EC, vpaddsw = 0x04_11ED, vpaddusb = 0x04_11DC, vpaddusw = 0x04_11DD
    case vpsubsb = 0x04_11E8, vpsubsw = 0x04_11E9, vpsubusb = 0x04_11D8, vpsubusw = 0x04_11D9
    case vpavgb = 0x04_11E0, vpavgw = 0x04_11E3, vpsadbw = 0x04_11F6
    case vpmullw = 0x04_11D5, vpmulhw = 0x04_11E5, vpmulhuw = 0x04_11E4, vpmulhrsw = 0x04_120B
    case vpmulld = 0x04_1240, vpmuldq = 0x24_1228, vpmuludq = 0x24_11F4
    case vpmaddwd = 0x04_11F5, vpmaddubsw = 0x04_1204
    case vpminub = 0x04_11DA, vpminuw = 0x04_123A, vpminud = 0x04_123B
    case vpminsb = 0x04_1238, vpminsw = 0x04_11EA, vpminsd = 0x04_1239
    case vpmaxub = 0x04_11DE, vpmaxuw = 0x04_123E, vpmaxud = 0x04_123F
    case vpmaxsb = 0x04_123C, vpmaxsw = 0x04_11EE, vpmaxsd = 0x04_123D
    case vpsignb = 0x06_1208, vpsignw = 0x06_1209, vpsignd = 0x06_120A
    // Comparisons to all-ones or zero; EVEX has them only with an opmask result.
    case vpcmpeqb = 0x06_1174, vpcmpeqw = 0x06_1175, vpcmpeqd = 0x06_1176, vpcmpeqq = 0x06_1229
    case vpcmpgtb = 0x06_1164, vpcmpgtw = 0x06_1165, vpcmpgtd = 0x06_1166, vpcmpgtq = 0x06_1237
    // Shifts by the low 64 bits of b; by each element of b.
    case vpsllw = 0x07_11F1, vpslld = 0x07_11F2, vpsllq = 0x27_11F3
    case vpsrlw = 0x07_11D1, vpsrld = 0x07_11D2, vpsrlq = 0x27_11D3
    case vpsraw = 0x07_11E1, vpsrad = 0x07_11E2
    case vpsllvd = 0x04_1247, vpsllvq = 0x34_1247, vpsrlvd = 0x04_1245, vpsrlvq = 0x34_1245, vpsravd = 0x04_1246
    // Rearrangement.
    case vunpcklps = 0x04_0114, vunpcklpd = 0x24_1114, vunpckhps = 0x04_0115, vunpckhpd = 0x24_1115
    case vpunpcklbw = 0x04_1160, vpunpcklwd = 0x04_1161, vpunpckldq = 0x04_1162, vpunpcklqdq = 0x24_116C
    case vpunpckhbw = 0x04_1168, vpunpckhwd = 0x04_1169, vpunpckhdq = 0x04_116A, vpunpckhqdq = 0x24_116D
    case vpacksswb = 0x04_1163, vpackssdw = 0x04_116B, vpackuswb = 0x04_1167, vpackusdw = 0x04_122B
    case vpshufb = 0x04_1200
    // Rounds of AES.
    case vaesenc = 0x06_12DC, vaesenclast = 0x06_12DD, vaesdec = 0x06_12DE, vaesdeclast = 0x06_12DF
    // EVEX only: 64-bit arithmetic shifts, products, minima and maxima; scaling by a power of two.
    case vpsravq = 0x64_1246, vpsraq = 0x67_11E2, vpmullq = 0x64_1240
    case vpminsq = 0x64_1239, vpmaxsq = 0x64_123D, vpminuq = 0x64_123B, vpmaxuq = 0x64_123F
    case vscalefss = 0x42_122D, vscalefsd = 0x63_122D
}

/// `dst = a op b` with an immediate.
package enum AVX3Immediate: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    case vroundss = 0x02_130A, vroundsd = 0x23_130B
    case vcmpss = 0x06_21C2, vcmpsd = 0x06_31C2, vcmpps = 0x06_01C2, vcmppd = 0x06_11C2
    case vshufps = 0x04_01C6, vshufpd = 0x24_11C6
    case vinsertps = 0x02_1321
    case vpclmulqdq = 0x04_1344
    case vpalignr = 0x04_130F
    case vblendps = 0x06_130C, vblendpd = 0x06_130D, vpblendw = 0x06_130E, vpblendd = 0x06_1302
    // EVEX only.
    case vpternlogd = 0x44_1325, vpternlogq = 0x64_1325
    case vfixupimmss = 0x42_1355, vfixupimmsd = 0x63_1355, vrangess = 0x42_1351, vrangesd = 0x63_1351
    case vreducess = 0x42_1357, vreducesd = 0x63_1357
}

/// `dst = op src`, or a comparison of the two.
package enum AVX2Operand: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    // Flags as if by an unsigned comparison; unordered sets ZF, PF and CF. vcomis raises invalid on quiet NaNs too.
    case vucomiss = 0x02_012E, vucomisd = 0x23_112E, vcomiss = 0x02_012F, vcomisd = 0x23_112F
    case vptest = 0x06_1217
    case vsqrtps = 0x04_0151, vsqrtpd = 0x24_1151
    case vcvtph2ps = 0x05_1213
    case vcvtdq2ps = 0x04_015B, vcvtps2dq = 0x04_115B, vcvttps2dq = 0x04_215B
    case vcvtdq2pd = 0x05_21E6, vcvtps2pd = 0x05_015A, vcvtpd2ps = 0x24_115A
    case vcvtpd2dq = 0x24_31E6, vcvttpd2dq = 0x24_11E6
    case vpabsb = 0x04_121C, vpabsw = 0x04_121D, vpabsd = 0x04_121E
    case vpmovsxbw = 0x05_1220, vpmovsxwd = 0x05_1223, vpmovsxdq = 0x05_1225
    case vpmovzxbw = 0x05_1230, vpmovzxwd = 0x05_1233, vpmovzxdq = 0x05_1235
    // From a quarter or an eighth of the width; the units of their EVEX displacements have no digit.
    case vpmovsxbd = 0x06_1221, vpmovsxbq = 0x06_1222, vpmovsxwq = 0x06_1224
    case vpmovzxbd = 0x06_1231, vpmovzxbq = 0x06_1232, vpmovzxwq = 0x06_1234
    case vmovshdup = 0x04_2116, vmovsldup = 0x04_2112
    case vpbroadcastb = 0x00_1278, vpbroadcastw = 0x01_1279, vpbroadcastd = 0x02_1258, vpbroadcastq = 0x23_1259
    case vbroadcastss = 0x02_1218
    case vaesimc = 0x06_12DB
}

/// `dst = op src` with an immediate.
package enum AVX2Immediate: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    case vpshufd = 0x04_1170, vpshufhw = 0x04_2170, vpshuflw = 0x04_3170
    case vroundps = 0x06_1308, vroundpd = 0x06_1309
    case vpermilps = 0x04_1304, vpermilpd = 0x24_1305, vpermq = 0x34_1300
    case vaeskeygenassist = 0x06_13DF
}

/// `dst = mask bit ? b : a`, the mask being the sign bits of a fourth register. No EVEX form.
package enum AVX4: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    case vpblendvb = 0x06_134C, vblendvps = 0x06_134A, vblendvpd = 0x06_134B
}

/// Shifts by a constant: as above, with the /digit of the opcode group in the highest hexadecimal digit.
package enum AVXShift: UInt32, CaseIterable, BitwiseCopyable, Sendable {
    case vpsrlw = 0x204_1171, vpsrld = 0x204_1172, vpsrlq = 0x224_1173, vpsrldq = 0x304_1173
    case vpsraw = 0x404_1171, vpsrad = 0x404_1172
    case vpsllw = 0x604_1171, vpslld = 0x604_1172, vpsllq = 0x624_1173, vpslldq = 0x704_1173
}

extension Assembler {
    package mutating func avx(_ op: AVX3, _ dst: XMM, _ a: XMM, _ b: XMM, _ length: VectorLength = .bits128) {
        vector(op.rawValue, reg: dst.rawValue, v: a.rawValue, rm: .direct(b), length: length)
    }

    package mutating func avx(_ op: AVX3, _ dst: XMM, _ a: XMM, _ b: Mem, _ length: VectorLength = .bits128) {
        vector(op.rawValue, reg: dst.rawValue, v: a.rawValue, rm: b, length: length)
    }

    package mutating func avx(_ op: AVX3Immediate, _ dst: XMM, _ a: XMM, _ b: XMM, imm: UInt8,
                              _ length: VectorLength = .bits128) {
        avx(op, dst, a, .direct(b), imm: imm, length)
    }

    package mutating func avx(_ op: AVX3Immediate, _ dst: XMM, _ a: XMM, _ b: Mem, imm: UInt8,
                              _ length: VectorLength = .bits128) {
        vector(op.rawValue, reg: dst.rawValue, v: a.rawValue, rm: b, length: length, immediate: imm,
               immediateBytes: 1)
    }

    package mutating func avx(_ op: AVX2Operand, _ dst: XMM, _ src: XMM, _ length: VectorLength = .bits128) {
        vector(op.rawValue, reg: dst.rawValue, v: 0, rm: .direct(src), length: length)
    }

    package mutating func avx(_ op: AVX2Operand, _ dst: XMM, _ src: Mem, _ length: VectorLength = .bits128) {
        vector(op.rawValue, reg: dst.rawValue, v: 0, rm: src, length: length)
    }

    package mutating func avx(_ op: AVX2Immediate, _ dst: XMM, _ src: XMM, imm: UInt8,
                              _ length: VectorLength = .bits128) {
        avx(op, dst, .direct(src), imm: imm, length)
    }

    package mutating func avx(_ op: AVX2Immediate, _ dst: XMM, _ src: Mem, imm: UInt8,
                              _ length: VectorLength = .bits128) {
        vector(op.rawValue, reg: dst.rawValue, v: 0, rm: src, length: length, immediate: imm, immediateBytes: 1)
    }

    package mutating func avx(_ op: AVX4, _ dst: XMM, _ a: XMM, _ b: XMM, mask: XMM,
                              _ length: VectorLength = .bits128) {
        avx(op, dst, a, .direct(b), mask: mask, length)
    }

    package mutating func avx(_ op: AVX4, _ dst: XMM, _ a: XMM, _ b: Mem, mask: XMM,
                              _ length: VectorLength = .bits128) {
        assert(mask.rawValue < 16)
        vector(op.rawValue, reg: dst.rawValue, v: a.rawValue, rm: b, length: length,
               immediate: mask.rawValue << 4, immediateBytes: 1)
    }

    package mutating func avx(_ op: AVXShift, _ dst: XMM, _ src: XMM, imm: UInt8,
                              _ length: VectorLength = .bits128) {
        let digit = UInt8(truncatingIfNeeded: op.rawValue >> 24)
        vector(op.rawValue & 0xFF_FFFF, reg: digit, v: dst.rawValue, rm: .direct(src), length: length,
               immediate: imm, immediateBytes: 1)
    }

    /// Eight or four floats to halves; the immediate is the rounding mode (4 = that of MXCSR).
    package mutating func vcvtps2ph(_ dst: XMM, _ src: XMM, imm: UInt8, _ length: VectorLength = .bits128) {
        vcvtps2ph(.direct(dst), src, imm: imm, length)
    }

    package mutating func vcvtps2ph(_ dst: Mem, _ src: XMM, imm: UInt8, _ length: VectorLength = .bits128) {
        vector(0x05_131D, reg: src.rawValue, v: 0, rm: dst, length: length, immediate: imm, immediateBytes: 1)
    }
}
