import IR
import Translation

// Element groups of ciphers and hashes on the host's own instructions for them: AES-NI and VAES, PCLMULQDQ, SHA-NI.
extension Lowering {
    /// Where fewer lanes are active: parts of a group are for the helper, which knows them illegal.
    private mutating func requireWholeGroups(_ lanes: Lanes) {
        guard lanes.isPartial else { return }
        a.mov(.b64, lanes.t1, Self.mem(StateSlots.laneLength))
        a.test(.b32, lanes.t1, imm: 3)
        leaveLanes(.ne)
    }

    mutating func emitLaneCipher(_ lanes: Lanes) {
        let form = lanes.form, isScalar = form.immediate == 1
        let mixesKey = lanes.operation == .aesDecryptMiddle
        // The inverse mixing of columns is of 128 bits only; rounds on 256 are VAES.
        let isWide = form.groupBytes >= 32 && (CPUFeatures.host.contains(.vaes) || lanes.operation == .aesAddKey) && (isScalar || !mixesKey)
        let chunk = isWide ? 32 : 16, length = Self.length(chunk)
        requireWholeGroups(lanes)
        if isScalar {
            loadChunk(Lanes.s, form.x, 16)
            if mixesKey { a.avx(.vaesimc, Lanes.s, Lanes.s) }
            if isWide { a.avx(.vpermq, Lanes.s, Lanes.s, imm: 0x44, .bits256) }
        }
        prepareTail(lanes, laneShift: form.laneShift)
        let round: AVX3 = switch lanes.operation {
        case .aesEncryptMiddle: .vaesenc
        case .aesEncryptLast: .vaesenclast
        // The host adds its key behind the mixing: it has to be mixed itself.
        case .aesDecryptMiddle: .vaesdec
        case .aesDecryptLast: .vaesdeclast
        default: .vpxor
        }
        for position in stride(from: 0, to: form.groupBytes, by: chunk) {
            let here = Int32(truncatingIfNeeded: position)
            loadChunk(Lanes.r, form.d + here, chunk)
            if !isScalar {
                loadChunk(Lanes.v, form.x + here, chunk)
                if mixesKey { a.avx(.vaesimc, Lanes.v, Lanes.v) }
            }
            a.avx(round, Lanes.r, Lanes.r, isScalar ? Lanes.s : Lanes.v, length)
            finishChunk(lanes, Lanes.r, laneShift: form.laneShift, chunk: chunk, at: position)
        }
    }

    mutating func emitLaneHash(_ lanes: Lanes) {
        let form = lanes.form
        requireWholeGroups(lanes)
        prepareTail(lanes, laneShift: form.laneShift)
        for position in stride(from: 0, to: form.groupBytes, by: 16) {
            let here = Int32(truncatingIfNeeded: position)
            switch lanes.operation {
            case .ghashMultiply, .ghashAddMultiply:
                loadChunk(Lanes.r, form.d + here, 16)
                if lanes.operation == .ghashAddMultiply { a.avx(.vpxor, Lanes.r, Lanes.r, Self.mem(form.y + here)) }
                loadChunk(Lanes.v, form.x + here, 16)
                multiplyGalois()
            case .sha256Schedule:
                loadChunk(Lanes.v, form.d + here, 16)
                loadChunk(Lanes.r, form.x + here, 16)
                loadChunk(Lanes.m, form.y + here, 16)
                // σ0 of words 1 to 4 and words 0 to 3; words 9 to 12; σ1 of what comes out and of words 14, 15.
                a.sha(.sha256msg1, Lanes.v, Lanes.r)
                a.avx(.vpalignr, Lanes.r, Lanes.m, Lanes.r, imm: 4)
                a.avx(.vpaddd, Lanes.v, Lanes.v, Lanes.r)
                a.sha(.sha256msg2, Lanes.v, Lanes.m)
                a.vmovdqa(Lanes.r, Lanes.v)
            default:
                loadChunk(Lanes.v, form.d + here, 16)
                loadChunk(Lanes.m, form.x + here, 16)
                // The words of two rounds are the low ones of XMM0, which is `r`.
                loadChunk(Lanes.r, form.y + here, 16)
                if lanes.operation == .sha256RoundsHigh { a.avx(.vpshufd, Lanes.r, Lanes.r, imm: 0xEE) }
                a.sha(.sha256rnds2, Lanes.v, Lanes.m)
                a.vmovdqa(Lanes.r, Lanes.v)
            }
            finishChunk(lanes, Lanes.r, laneShift: form.laneShift, chunk: 16, at: position)
        }
    }

    /// `r` = `r` · `v` in the field of GHASH; uses `m` and `s`.
    ///
    /// With its bytes reversed a block is a polynomial with the coefficient of 1 highest. The product of two such is short of
    /// one place, which one factor makes up for when it is multiplied by x first. The reduction works from the low end: twice
    /// it adds a multiple of the polynomial that clears 64 bits (Gueron and Kounavis, "Intel Carry-Less Multiplication
    /// Instruction and its Usage for Computing the GCM Mode").
    private mutating func multiplyGalois() {
        let (r, v, m, s) = (Lanes.r, Lanes.v, Lanes.m, Lanes.s)
        a.avx(.vpshufb, r, r, table(.reverse128))
        a.avx(.vpshufb, v, v, table(.reverse128))
        // v · x.
        a.avx(.vpshufd, m, v, imm: 0xFF)
        a.avx(.vpsrad, m, m, imm: 31)
        a.avx(.vpand, m, m, table(.ghash))
        a.avx(.vpsrlq, s, v, imm: 63)
        a.avx(.vpslldq, s, s, imm: 8)
        a.avx(.vpaddq, v, v, v)
        a.avx(.vpor, v, v, s)
        a.avx(.vpxor, v, v, m)
        // The product: high half in s, low half in r.
        a.avx(.vpclmulqdq, m, r, v, imm: 0x01)
        a.avx(.vpclmulqdq, s, r, v, imm: 0x10)
        a.avx(.vpxor, m, m, s)
        a.avx(.vpclmulqdq, s, r, v, imm: 0x11)
        a.avx(.vpclmulqdq, r, r, v, imm: 0x00)
        a.avx(.vpslldq, v, m, imm: 8)
        a.avx(.vpxor, r, r, v)
        a.avx(.vpsrldq, m, m, imm: 8)
        a.avx(.vpxor, s, s, m)
        for _ in 0 ..< 2 {
            a.avx(.vpclmulqdq, v, r, table(.ghash), imm: 0x10)
            a.avx(.vpshufd, r, r, imm: 0x4E)
            a.avx(.vpxor, r, r, v)
        }
        a.avx(.vpxor, r, r, s)
        a.avx(.vpshufb, r, r, table(.reverse128))
    }
}
