import IR
import SoftFloat
import Translation

/// Float ops in software, called from translated code with operands and op in the state block.
enum SlowFloat {
    /// Computes the op that `BackendState.slowDescriptor` describes; the result replaces the first operand, flags go to
    /// the guest's MXCSR.
    static let entry: @convention(c) (UnsafeMutableRawPointer) -> Void = { state in
        let arguments = (state + Int(BackendState.slowArgument)).assumingMemoryBound(to: UInt64.self)
        let descriptor = state.load(fromByteOffset: Int(BackendState.slowDescriptor), as: UInt32.self)
        let aux = state.load(fromByteOffset: Int(BackendState.slowDescriptor) + 4, as: UInt32.self)
        let type = ValueType(rawValue: UInt8(truncatingIfNeeded: descriptor >> 8)) ?? .f64
        let source = ValueType(rawValue: UInt8(truncatingIfNeeded: descriptor >> 16)) ?? .f64
        var flags: UInt32 = 0
        let result = evaluate(Opcode(rawValue: UInt8(truncatingIfNeeded: descriptor)) ?? .fadd, type, source,
                              UInt16(truncatingIfNeeded: aux), arguments[0], arguments[1], arguments[2], &flags)
        // What is known to be boxed stays so on this path too.
        arguments[0] = type == .f32 ? result | 0xFFFF_FFFF_0000_0000 : result
        let control = state.load(fromByteOffset: Int(BackendState.guestMXCSR), as: UInt32.self)
        let raised = UInt32(TrampolineWriter.mxcsr(fromFlags: UInt8(truncatingIfNeeded: flags & 31)))
        state.storeBytes(of: control | raised, toByteOffset: Int(BackendState.guestMXCSR), as: UInt32.self)
    }

    private static func format(_ type: ValueType) -> FloatFormat { type == .f16 ? .f16 : type == .f32 ? .f32 : .f64 }
    private static func bits(_ value: UInt64, _ type: ValueType) -> UInt64 {
        type == .f64 || type == .i64 ? value : value & ((1 << UInt64(type.bits)) - 1)
    }

    static func evaluate(_ code: Opcode, _ type: ValueType, _ source: ValueType, _ aux: UInt16,
                         _ a: UInt64, _ b: UInt64, _ c: UInt64, _ flags: inout UInt32) -> UInt64 {
        let mode = FloatMode(rawValue: aux)
        var x = FloatEnvironment(RoundingDirection(rawValue: UInt8(mode.rounding.rawValue)) ?? .nearestEven, defaultNaN: mode.defaultNaN)
        let a = bits(a, source), b = bits(b, source), c = bits(c, source)
        let f = format(source)
        let result: UInt64
        switch code {
        case .fadd: result = f.add(a, b, &x)
        case .fsub: result = f.subtract(a, b, &x)
        case .fmul: result = f.multiply(a, b, &x)
        case .fdiv: result = f.divide(a, b, &x)
        case .fsqrt: result = f.squareRoot(a, &x)
        case .fma: result = f.multiplyAdd(a, b, c, negateProduct: mode.negateProduct, negateAddend: mode.negateAddend, &x)
        case .fminmax:
            x.defaultNaN = true
            switch FloatMinMax(rawValue: aux) ?? .minimumNumber {
            case .minimumNumber: result = f.minimumNumber(a, b, &x)
            case .maximumNumber: result = f.maximumNumber(a, b, &x)
            case .minimum: result = f.minimum(a, b, &x)
            case .maximum: result = f.maximum(a, b, &x)
            }
        case .fcompare:
            switch FloatCompare(rawValue: aux) ?? .equalQuiet {
            case .equalQuiet: result = f.isEqual(a, b, &x) ? 1 : 0
            case .lessQuiet: result = f.isLess(a, b, signalling: false, &x) ? 1 : 0
            case .lessEqualQuiet: result = f.isLessOrEqual(a, b, signalling: false, &x) ? 1 : 0
            case .less: result = f.isLess(a, b, signalling: true, &x) ? 1 : 0
            case .lessEqual: result = f.isLessOrEqual(a, b, signalling: true, &x) ? 1 : 0
            }
        case .floatToInt: result = f.toInteger(a, bits: type.bits, signed: mode.signed, &x)
        case .intToFloat: result = format(type).fromInteger(a, bits: source.bits, signed: mode.signed, &x)
        case .floatToFloat: result = f.convert(a, to: format(type), &x)
        case .froundInt: result = f.roundToIntegral(a, exact: mode.exact, &x)
        case .fclass: result = f.classify(a)
        default: result = 0
        }
        flags |= x.flags.rawValue
        return result
    }
}
