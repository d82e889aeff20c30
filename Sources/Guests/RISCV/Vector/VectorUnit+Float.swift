// "Vector Floating-Point Instructions": arithmetic, fused products, reductions, comparisons, all by the soft float, so that
// results and flags do not depend on the host. NaN results are canonical.

import SoftFloat

extension VectorUnit {
    static func format(_ shift: Int) -> FloatFormat {
        switch shift {
        case 1: .f16
        case 2: .f32
        default: .f64
        }
    }

    /// Element `index` of the group at `number`, `1 << shift` bytes, zero-extended.
    @inline(__always)
    func element(_ number: Int, _ index: Int, _ shift: Int) -> UInt64 {
        switch shift {
        case 0: UInt64(register(number, as: UInt8.self)[index])
        case 1: UInt64(register(number, as: UInt16.self)[index])
        case 2: UInt64(register(number, as: UInt32.self)[index])
        default: register(number, as: UInt64.self)[index]
        }
    }

    @inline(__always)
    func setElement(_ number: Int, _ index: Int, _ shift: Int, _ value: UInt64) {
        switch shift {
        case 0: register(number, as: UInt8.self)[index] = UInt8(truncatingIfNeeded: value)
        case 1: register(number, as: UInt16.self)[index] = UInt16(truncatingIfNeeded: value)
        case 2: register(number, as: UInt32.self)[index] = UInt32(truncatingIfNeeded: value)
        default: register(number, as: UInt64.self)[index] = value
        }
    }

    /// vs1[i] or the scalar.
    @inline(__always)
    private func second(_ index: Int) -> UInt64 { instruction.hasVectorOperand ? element(vs1, index, sew) : unboxed }

    mutating func runFloat() {
        var x = FloatEnvironment(rounding ?? .nearestEven)
        let f = Self.format(sew)
        let signBit: UInt64 = 1 &<< UInt64((8 &<< sew) &- 1)
        switch operation {
        case .fadd: binary { f.add($0, $1, &x) }
        case .fsub: binary { f.subtract($0, $1, &x) }
        case .frsub: binary { f.subtract($1, $0, &x) }
        case .fmul: binary { f.multiply($0, $1, &x) }
        case .fdiv: binary { f.divide($0, $1, &x) }
        case .frdiv: binary { f.divide($1, $0, &x) }
        case .fmin: binary { f.minimumNumber($0, $1, &x) }
        case .fmax: binary { f.maximumNumber($0, $1, &x) }
        case .fsgnj: binary { $0 & ~signBit | $1 & signBit }
        case .fsgnjn: binary { $0 & ~signBit | ~$1 & signBit }
        case .fsgnjx: binary { $0 ^ $1 & signBit }
        // vd × vs1 ± vs2; vs1 × vs2 ± vd.
        case .fmadd: fused(&x, f, overwritesFactor: true, false, false)
        case .fnmadd: fused(&x, f, overwritesFactor: true, true, true)
        case .fmsub: fused(&x, f, overwritesFactor: true, false, true)
        case .fnmsub: fused(&x, f, overwritesFactor: true, true, false)
        case .fmacc: fused(&x, f, overwritesFactor: false, false, false)
        case .fnmacc: fused(&x, f, overwritesFactor: false, true, true)
        case .fmsac: fused(&x, f, overwritesFactor: false, false, true)
        case .fnmsac: fused(&x, f, overwritesFactor: false, true, false)
        case .fredsum: reduceFloat { f.add($0, $1, &x) }
        case .fredmin: reduceFloat { f.minimumNumber($0, $1, &x) }
        case .fredmax: reduceFloat { f.maximumNumber($0, $1, &x) }
        case .mfeq: testFloat { f.isEqual($0, $1, &x) }
        case .mfne: testFloat { !f.isEqual($0, $1, &x) }
        case .mflt: testFloat { f.isLess($0, $1, signalling: true, &x) }
        case .mfle: testFloat { f.isLessOrEqual($0, $1, signalling: true, &x) }
        case .mfgt: testFloat { f.isLess($1, $0, signalling: true, &x) }
        case .mfge: testFloat { f.isLessOrEqual($1, $0, signalling: true, &x) }
        default: runFloatWidths(&x, f)
        }
        floatFlags |= x.flags.rawValue
    }

    /// vd[i] = f(vs2[i], vs1[i] or the scalar).
    @inline(__always)
    private func binary(_ compute: (UInt64, UInt64) -> UInt64) {
        each { setElement(vd, $0, sew, compute(element(vs2, $0, sew), second($0))) }
    }

    private func fused(_ x: inout FloatEnvironment, _ f: FloatFormat, overwritesFactor: Bool, _ negateProduct: Bool, _ negateAddend: Bool) {
        each {
            let old = element(vd, $0, sew), first = element(vs2, $0, sew), other = second($0)
            setElement(vd, $0, sew, overwritesFactor
                ? f.multiplyAdd(old, other, first, negateProduct: negateProduct, negateAddend: negateAddend, &x)
                : f.multiplyAdd(first, other, old, negateProduct: negateProduct, negateAddend: negateAddend, &x))
        }
    }

    /// In element order, which the unordered sum may take too.
    @inline(__always)
    private func reduceFloat(_ compute: (UInt64, UInt64) -> UInt64) {
        guard length > 0 else { return }
        var sum = element(vs1, 0, sew)
        each { sum = compute(sum, element(vs2, $0, sew)) }
        setElement(vd, 0, sew, sum)
    }

    @inline(__always)
    private func testFloat(_ compute: (UInt64, UInt64) -> Bool) {
        each { setMask(vd, $0, compute(element(vs2, $0, sew), second($0))) }
    }

    // MARK: widths

    private func runFloatWidths(_ x: inout FloatEnvironment, _ f: FloatFormat) {
        let wide = Self.format(sew &+ 1)
        func widened(_ value: UInt64) -> UInt64 { f.convert(value, to: wide, &x) }
        /// Wide vd[i] = compute(vs2[i], vs1[i] or the scalar), both widened.
        func widening(_ compute: (UInt64, UInt64) -> UInt64) {
            each { setElement(vd, $0, sew &+ 1, compute(widened(element(vs2, $0, sew)), widened(second($0)))) }
        }
        func wideningFused(_ negateProduct: Bool, _ negateAddend: Bool) {
            each {
                let a = widened(element(vs2, $0, sew)), b = widened(second($0))
                setElement(vd, $0, sew &+ 1, wide.multiplyAdd(a, b, element(vd, $0, sew &+ 1), negateProduct: negateProduct,
                                                              negateAddend: negateAddend, &x))
            }
        }
        switch operation {
        case .fwadd: widening { wide.add($0, $1, &x) }
        case .fwsub: widening { wide.subtract($0, $1, &x) }
        case .fwmul: widening { wide.multiply($0, $1, &x) }
        case .fwaddw: each { setElement(vd, $0, sew &+ 1, wide.add(element(vs2, $0, sew &+ 1), widened(second($0)), &x)) }
        case .fwsubw: each { setElement(vd, $0, sew &+ 1, wide.subtract(element(vs2, $0, sew &+ 1), widened(second($0)), &x)) }
        case .fwmacc: wideningFused(false, false)
        case .fwnmacc: wideningFused(true, true)
        case .fwmsac: wideningFused(false, true)
        case .fwnmsac: wideningFused(true, false)
        case .fwredsum:
            guard length > 0 else { return }
            var sum = element(vs1, 0, sew &+ 1)
            each { sum = wide.add(sum, widened(element(vs2, $0, sew)), &x) }
            setElement(vd, 0, sew &+ 1, sum)
        default: runFloatUnary(&x, f)
        }
    }

    private func runFloatUnary(_ x: inout FloatEnvironment, _ f: FloatFormat) {
        let wide = Self.format(sew &+ 1)
        let bits = 8 &<< sew
        let isSigned = vs1 & 1 != 0
        // rtz variants, by the field that selects the conversion.
        if vs1 & 6 == 6 { x.rounding = .towardZero }
        switch operation {
        case .fsqrt: each { setElement(vd, $0, sew, f.squareRoot(element(vs2, $0, sew), &x)) }
        case .fclass: each { setElement(vd, $0, sew, f.classify(element(vs2, $0, sew))) }
        case .frsqrt7: each { setElement(vd, $0, sew, FloatEstimate.reciprocalRoot(element(vs2, $0, sew), f, &x)) }
        case .frec7: each { setElement(vd, $0, sew, FloatEstimate.reciprocal(element(vs2, $0, sew), f, &x)) }
        case .fcvtToInteger: each { setElement(vd, $0, sew, f.toInteger(element(vs2, $0, sew), bits: bits, signed: isSigned, &x)) }
        case .fcvtFromInteger: each { setElement(vd, $0, sew, f.fromInteger(element(vs2, $0, sew), bits: bits, signed: isSigned, &x)) }
        case .fwcvtToInteger:
            each { setElement(vd, $0, sew &+ 1, f.toInteger(element(vs2, $0, sew), bits: 2 &* bits, signed: isSigned, &x)) }
        case .fwcvtFromInteger:
            each { setElement(vd, $0, sew &+ 1, wide.fromInteger(element(vs2, $0, sew), bits: bits, signed: isSigned, &x)) }
        case .fwcvtFloat: each { setElement(vd, $0, sew &+ 1, f.convert(element(vs2, $0, sew), to: wide, &x)) }
        case .fncvtToInteger:
            each { setElement(vd, $0, sew, wide.toInteger(element(vs2, $0, sew &+ 1), bits: bits, signed: isSigned, &x)) }
        case .fncvtFromInteger:
            each { setElement(vd, $0, sew, f.fromInteger(element(vs2, $0, sew &+ 1), bits: 2 &* bits, signed: isSigned, &x)) }
        case .fncvtFloat where vs1 == 0x15:
            // Rounding to odd: toward zero, and the last bit set where anything was lost.
            each {
                var local = FloatEnvironment(.towardZero)
                var result = wide.convert(element(vs2, $0, sew &+ 1), to: f, &local)
                if local.flags.contains(.inexact) { result |= 1 }
                x.flags.formUnion(local.flags)
                setElement(vd, $0, sew, result)
            }
        default: each { setElement(vd, $0, sew, wide.convert(element(vs2, $0, sew &+ 1), to: f, &x)) }
        }
    }
}
