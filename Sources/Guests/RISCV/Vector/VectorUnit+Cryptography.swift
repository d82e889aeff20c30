// "Zvkned", "Zvkg", "Zvksed", "Zvknha", "Zvknhb" and "Zvksh": one step of a cipher or hash for each element group. The algorithms
// stand in the `Cryptography` folder; here they meet the registers.

extension VectorUnit {
    /// Runs `body` for every element group of the body part, with the number of its first element. No form has a mask.
    @inline(__always)
    private func groups(_ body: (Int) -> Void) {
        var index = start
        while index < length {
            body(index)
            index &+= instruction.elementGroup
        }
    }

    private typealias Words = SIMD4<UInt32>

    private func words(_ number: Int, _ index: Int) -> Words { UnsafeRawPointer(register(number, as: UInt32.self) + index).loadUnaligned(as: Words.self) }
    private func setWords(_ index: Int, _ value: Words) {
        UnsafeMutableRawPointer(register(vd, as: UInt32.self) + index).storeBytes(of: value, as: Words.self)
    }

    /// vd = f(vd, group of vs2, group of vs1), four words each.
    private func step(_ compute: (_ d: SIMD4<UInt32>, _ a: SIMD4<UInt32>, _ b: SIMD4<UInt32>) -> SIMD4<UInt32>) {
        let isScalar = instruction.hasScalarGroup, hasThird = operation == .ghsh || operation == .sha2ms || operation == .sha2ch || operation == .sha2cl
        groups { setWords($0, compute(words(vd, $0), words(vs2, isScalar ? 0 : $0), hasThird ? words(vs1, $0) : Words())) }
    }

    func runCryptography() {
        switch operation {
        case .aesEncryptMiddle: step { d, a, _ in AES.encrypted(d, isLast: false) ^ a }
        case .aesEncryptLast: step { d, a, _ in AES.encrypted(d, isLast: true) ^ a }
        // The key is added before the columns are mixed.
        case .aesDecryptMiddle: step { d, a, _ in AES.unmixed(AES.decrypted(d) ^ a) }
        case .aesDecryptLast: step { d, a, _ in AES.decrypted(d) ^ a }
        case .aesAddKey: step { d, a, _ in d ^ a }
        case .aesKeySchedule1:
            // Rounds beyond 1 to 10 count with bit 3 inverted.
            let field = vs1 & 15, round = field < 1 || field > 10 ? field ^ 8 : field
            step { _, a, _ in AES.expanded(a, by: AES.rotatedSubstitution(a[3]) ^ AES.roundConstant(round &- 1)) }
        case .aesKeySchedule2:
            let field = vs1 & 15, round = field < 2 || field > 14 ? field ^ 8 : field
            step { d, a, _ in
                AES.expanded(d, by: round & 1 != 0 ? AES.substituted(a[3]) : AES.rotatedSubstitution(a[3]) ^ AES.roundConstant(round &>> 1 &- 1))
            }
        case .gmul: step { d, a, _ in GaloisHash.product(d, a) }
        case .ghsh: step { d, a, b in GaloisHash.product(d ^ b, a) }
        case .sm4r: step { d, a, _ in SM4.rounds(d, a) }
        case .sm4k: step { _, a, _ in SM4.roundKeys(a, vs1 & 7) }
        case .sha2ms where sew == 2: step { SHA2.schedule256($0, $1, $2) }
        case .sha2ch where sew == 2: step { SHA2.rounds256($0, $1, $2[2], $2[3]) }
        case .sha2cl where sew == 2: step { SHA2.rounds256($0, $1, $2[0], $2[1]) }
        case .sha2ms, .sha2ch, .sha2cl: runLongHash()
        default: runSM3()
        }
    }

    private func runLongHash() {
        typealias Group = SIMD4<UInt64>
        func group(_ number: Int, _ index: Int) -> Group { UnsafeRawPointer(register(number, as: UInt64.self) + index).loadUnaligned(as: Group.self) }
        groups {
            let d = group(vd, $0), a = group(vs2, $0), b = group(vs1, $0)
            let result: Group = switch operation {
            case .sha2ms: SHA2.schedule512(d, a, b)
            case .sha2ch: SHA2.rounds512(d, a, b[2], b[3])
            default: SHA2.rounds512(d, a, b[0], b[1])
            }
            UnsafeMutableRawPointer(register(vd, as: UInt64.self) + $0).storeBytes(of: result, as: Group.self)
        }
    }

    /// SM3 is defined on big-endian words; the registers hold them as memory does.
    private func runSM3() {
        groups {
            let d = register(vd, as: UInt32.self) + $0, a = register(vs2, as: UInt32.self) + $0, b = register(vs1, as: UInt32.self) + $0
            if operation == .sm3c { SM3.twoRounds(d, a, vs1) } else { SM3.schedule(d, low: b, high: a) }
        }
    }
}
