// "Zvfbfmin" and "Zvfbfwma": BF16 elements, which are the upper halves of singles.

import SoftFloat

extension VectorUnit {
    mutating func runBrainFloat() {
        var x = FloatEnvironment(rounding ?? .nearestEven)
        /// Exact but for NaNs, which become canonical; signalling ones are noted.
        func widened(_ value: UInt64) -> UInt64 { FloatFormat.bf16.convert(value, to: .f32, &x) }
        switch operation {
        case .fwcvtBrain: each { setElement(vd, $0, 2, widened(element(vs2, $0, 1))) }
        case .fncvtBrain: each { setElement(vd, $0, 1, FloatFormat.f32.convert(element(vs2, $0, 2), to: .bf16, &x)) }
        default:
            // A scalar that is not boxed properly is the canonical NaN of its format.
            let boxed = scalar &>> 16 == 0xffff_ffff_ffff ? scalar & 0xffff : FloatFormat.bf16.canonicalNaN
            each {
                let other = instruction.hasVectorOperand ? element(vs1, $0, 1) : boxed
                // Of NaN operands only whether one is signalling counts: widened without a look at it.
                let product = FloatFormat.f32.multiplyAdd(element(vs2, $0, 1) &<< 16, other &<< 16, element(vd, $0, 2), negateProduct: false,
                                                          negateAddend: false, &x)
                setElement(vd, $0, 2, product)
            }
        }
        floatFlags |= x.flags.rawValue
    }
}
