// The operations of the V extension, each once for all of its operand forms.

/// What a vector instruction computes; named by the mnemonic without its `v`, or in words where several instructions
/// that differ in one field only are one operation.
enum VectorOperation: UInt8, Sendable {
    case add, sub, rsub, minu, min, maxu, max, and, or, xor, sll, srl, sra, nsrl, nsra, mseq, msne, msltu, mslt
    case msleu, msle, msgtu, msgt, adc, madc, sbc, msbc, merge, copy, divu, div, remu, rem, mulhu, mul, mulhsu, mulh
    case madd, nmsub, macc, nmsac, waddu, wadd, wsubu, wsub, wadduw, waddw, wsubuw, wsubw, wmulu, wmulsu, wmul
    case wmaccu, wmacc, wmaccus, wmaccsu, saddu, sadd, ssubu, ssub, smul, ssrl, ssra, nclipu, nclip, aaddu, aadd
    case asubu, asub, redsum, redand, redor, redxor, redminu, redmin, redmaxu, redmax, wredsumu, wredsum, maskAndNot
    case maskAnd, maskOr, maskXor, maskOrNot, maskNand, maskNor, maskXnor, cpop, first, msbf, msof, msif, iota, id
    case moveToScalar, moveFromScalar, moveToFloat, moveFromFloat, slideup, slidedown, slide1up, slide1down, rgather
    case rgatherei16, compress, moveWhole, extend, fadd, fsub, fmin, fmax, fsgnj, fsgnjn, fsgnjx, fdiv, frdiv, fmul
    case frsub, fredsum, fredmin, fredmax, fwredsum, fmadd, fnmadd, fmsub, fnmsub, fmacc, fnmacc, fmsac, fnmsac
    case fwadd, fwsub, fwmul, fwaddw, fwsubw, fwmacc, fwnmacc, fwmsac, fwnmsac, fsqrt, frsqrt7, frec7, fclass
    case fcvtToInteger, fcvtFromInteger, fwcvtToInteger, fwcvtFromInteger, fwcvtFloat, fncvtToInteger
    case fncvtFromInteger, fncvtFloat, mfeq, mfle, mflt, mfne, mfgt, mfge, load, loadFaultFirst, loadStrided
    case loadIndexed, store, storeStrided, storeIndexed, loadWhole, storeWhole, loadMask, storeMask
    // Zvbb and Zvbc; Zvkned, Zvkg, Zvknh, Zvksh and Zvksed, on element groups; BF16.
    case andNot, reverseBits, reverseBitsInBytes, reverseBytes, leadingZeros, trailingZeros, countOnes, rol, ror, wsll, clmul, clmulh
    case aesEncryptLast, aesEncryptMiddle, aesDecryptLast, aesDecryptMiddle, aesAddKey, aesKeySchedule1, aesKeySchedule2
    case gmul, ghsh, sha2ms, sha2ch, sha2cl, sm3c, sm3me, sm4k, sm4r, fwcvtBrain, fncvtBrain, fwmaccBrain
}
