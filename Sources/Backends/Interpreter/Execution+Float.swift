// Floating-point ops, all by the soft float: results and flags do not depend on the host.
import IR
import SoftFloat
import Translation

extension Execution {
    @inline(__always)
    private func format(_ type: ValueType) -> FloatFormat {
        switch type {
        case .f16: .f16
        case .f32: .f32
        default: .f64
        }
    }

    func unboxed(_ op: UnsafePointer<Op>) -> UInt64 {
        let slot = value(op.pointee.a)
        let upper: UInt64 = op.pointee.type == .f16 ? ~0xffff : ~0xffff_ffff
        return slot & upper == upper ? slot & ~upper : format(op.pointee.type).canonicalNaN
    }

    /// The result of any floating-point op; the flags it raises are added to the state header's.
    @inline(never)
    func float(_ op: UnsafePointer<Op>) -> UInt64 {
        let aux = op.pointee.aux
        let mode = FloatMode(rawValue: aux)
        var x = FloatEnvironment(RoundingDirection(rawValue: UInt8(truncatingIfNeeded: aux & 7)) ?? .nearestEven,
                                 defaultNaN: mode.defaultNaN)
        let result: UInt64
        switch op.pointee.code {
        case .fminmax:
            x = FloatEnvironment()
            result = extreme(op, &x)
        case .fcompare:
            x = FloatEnvironment()
            result = relation(op, &x) ? 1 : 0
        default:
            result = compute(op, mode, &x)
        }
        if x.flags.rawValue != 0 {
            let field = state + Int(StateHeader.floatFlags)
            field.storeBytes(of: field.load(as: UInt32.self) | x.flags.rawValue, as: UInt32.self)
        }
        return result
    }

    private func compute(_ op: UnsafePointer<Op>, _ mode: FloatMode, _ x: inout FloatEnvironment) -> UInt64 {
        let type = op.pointee.type, own = format(type)
        let sourceType = ops[Int(op.pointee.a)].type
        let a = value(op.pointee.a)
        switch op.pointee.code {
        case .fadd: return own.add(a, value(op.pointee.b), &x)
        case .fsub: return own.subtract(a, value(op.pointee.b), &x)
        case .fmul: return own.multiply(a, value(op.pointee.b), &x)
        case .fdiv: return own.divide(a, value(op.pointee.b), &x)
        case .fsqrt: return own.squareRoot(a, &x)
        case .fma:
            return own.multiplyAdd(a, value(op.pointee.b), value(op.pointee.c), negateProduct: mode.negateProduct,
                                   negateAddend: mode.negateAddend, &x)
        case .floatToInt: return format(sourceType).toInteger(a, bits: type.bits, signed: mode.signed, &x)
        case .intToFloat: return own.fromInteger(a, bits: sourceType.bits, signed: mode.signed, &x)
        case .floatToFloat: return format(sourceType).convert(a, to: own, &x)
        case .froundInt: return own.roundToIntegral(a, exact: mode.exact, &x)
        case .fclass: return format(sourceType).classify(a)
        default: return 0
        }
    }

    private func extreme(_ op: UnsafePointer<Op>, _ x: inout FloatEnvironment) -> UInt64 {
        let own = format(op.pointee.type)
        let a = value(op.pointee.a), b = value(op.pointee.b)
        switch op.pointee.aux {
        case FloatMinMax.minimumNumber.rawValue: return own.minimumNumber(a, b, &x)
        case FloatMinMax.maximumNumber.rawValue: return own.maximumNumber(a, b, &x)
        case FloatMinMax.minimum.rawValue: return own.minimum(a, b, &x)
        default: return own.maximum(a, b, &x)
        }
    }

    private func relation(_ op: UnsafePointer<Op>, _ x: inout FloatEnvironment) -> Bool {
        let source = format(ops[Int(op.pointee.a)].type)
        let a = value(op.pointee.a), b = value(op.pointee.b)
        switch op.pointee.aux {
        case FloatCompare.equalQuiet.rawValue: return source.isEqual(a, b, &x)
        case FloatCompare.lessQuiet.rawValue: return source.isLess(a, b, signalling: false, &x)
        case FloatCompare.lessEqualQuiet.rawValue: return source.isLessOrEqual(a, b, signalling: false, &x)
        case FloatCompare.less.rawValue: return source.isLess(a, b, signalling: true, &x)
        default: return source.isLessOrEqual(a, b, signalling: true, &x)
        }
    }
}
