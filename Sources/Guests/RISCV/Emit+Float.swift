// Floating-point registers, rounding and the ops of the F, D, Zfhmin and Zfa chapters.
//
// Registers are 64 bits wide; narrower values are NaN-boxed ("NaN Boxing of Narrower Values" in the D chapter).

import IR
import Translation

extension Emit {
    /// The whole register as a double.
    subscript(double register: FloatRegister) -> Value {
        @inline(__always) get { builder.get(RISCVState.float(Int(register.number)), .f64) }
        @inline(__always) nonmutating set { builder.put(RISCVState.float(Int(register.number)), newValue) }
    }

    /// The boxed single in a register; the canonical NaN if it is not boxed properly.
    subscript(single register: FloatRegister) -> Value {
        @inline(__always) get { builder.unary(.unboxFloat, self[double: register], .f32) }
        @inline(__always) nonmutating set { self[double: register] = builder.unary(.boxFloat, newValue, .f64) }
    }

    /// The boxed half-precision number in a register.
    subscript(half register: FloatRegister) -> Value {
        @inline(__always) get { builder.unary(.unboxFloat, self[double: register], .f16) }
        @inline(__always) nonmutating set { self[double: register] = builder.unary(.boxFloat, newValue, .f64) }
    }

    /// The bits of a register.
    func bits(_ register: FloatRegister) -> Value { self[double: register].bits(as: .i64) }

    // MARK: rounding

    /// The dynamic rounding mode, `frm`: known to every block, for it is part of its translation context.
    var dynamicRounding: UInt32 { UInt32(truncatingIfNeeded: context & 7) }

    /// Takes over the rounding mode `rm` of an instruction; false if it is invalid.
    mutating func setRounding(_ rm: UInt32) -> Bool {
        guard let mode = Rounding(rawValue: UInt16(truncatingIfNeeded: rm == 7 ? dynamicRounding : rm)) else { return false }
        rounding = mode
        return true
    }

    /// `rounding` with its relation to the mode in which the host's unit runs. An invalid `frm` leaves that in the
    /// default mode (see `setControl`).
    func mode(negateProduct: Bool = false, negateAddend: Bool = false, signed: Bool = false, exact: Bool = false) -> UInt16 {
        let resident = Rounding(rawValue: UInt16(truncatingIfNeeded: dynamicRounding)) ?? .nearestEven
        return FloatMode(rounding, resident: rounding == resident, negateProduct: negateProduct, negateAddend: negateAddend,
                         signed: signed, exact: exact).rawValue
    }

    // MARK: arithmetic

    func float(_ code: Opcode, _ a: Value, _ b: Value) -> Value { builder.binary(code, a, b, aux: mode()) }
    func squareRoot(_ a: Value) -> Value { builder.unary(.fsqrt, a, aux: mode()) }
    func fused(_ a: Value, _ b: Value, _ c: Value, negateProduct: Bool = false, negateAddend: Bool = false) -> Value {
        builder.ternary(.fma, a, b, c, a.type, aux: mode(negateProduct: negateProduct, negateAddend: negateAddend))
    }
    func minMax(_ which: FloatMinMax, _ a: Value, _ b: Value) -> Value { builder.binary(.fminmax, a, b, aux: which.rawValue) }
    func compare(_ relation: FloatCompare, _ a: Value, _ b: Value) -> Value {
        builder.binary(.fcompare, a, b, .i64, aux: relation.rawValue)
    }
    func convert(_ a: Value, to type: ValueType) -> Value { builder.unary(.floatToFloat, a, type, aux: mode()) }
    func classify(_ a: Value) -> Value { builder.unary(.fclass, a, .i64) }
    func roundToIntegral(_ a: Value, exact: Bool) -> Value { builder.unary(.froundInt, a, aux: mode(exact: exact)) }

    /// To an integer of `type`; words are sign-extended, unsigned ones too.
    func toInteger(_ a: Value, _ type: ValueType, signed: Bool) -> Value {
        let result = builder.unary(.floatToInt, a, type, aux: mode(signed: signed))
        return type == .i32 ? result.signExtended() : result
    }
    func fromInteger(_ a: Value, _ type: ValueType, signed: Bool) -> Value {
        builder.unary(.intToFloat, a, type, aux: mode(signed: signed))
    }

    enum SignRule { case copy, negate, xor }

    /// FSGNJ, FSGNJN, FSGNJX of two values of the same float type.
    func injectSign(_ a: Value, _ b: Value, _ rule: SignRule) -> Value {
        let type: ValueType = a.type == .f16 ? .i16 : a.type == .f32 ? .i32 : .i64
        let sign = builder.constant(1 &<< UInt64(type.bits &- 1), type)
        let magnitude = builder.constant((1 &<< UInt64(type.bits &- 1)) &- 1, type)
        let x = a.bits(as: type)
        if a.ref == b.ref {
            switch rule {
            case .copy: return a
            case .negate: return (x ^ sign).bits(as: a.type)
            case .xor: return (x & magnitude).bits(as: a.type)
            }
        }
        let y = b.bits(as: type)
        switch rule {
        case .copy: return ((x & magnitude) | (y & sign)).bits(as: a.type)
        case .negate: return ((x & magnitude) | (~y & sign)).bits(as: a.type)
        case .xor: return (x ^ (y & sign)).bits(as: a.type)
        }
    }

    // MARK: control and status

    /// Makes `frm` (three bits) the dynamic rounding mode and ends the trace, for code is translated for one mode.
    mutating func setControl(_ frm: Value) {
        let wide = xlen == .rv64 ? frm : frm.zeroExtended()
        setContext(context & ~7 == 0 ? wide : wide | constant64(context & ~7))
        // The host's unit knows five modes; an invalid one has no instruction that could use it.
        let valid = select(frm.isLessUnsigned(than: constant(5 as UInt64)), frm, constant(0 as UInt64))
        builder.put(StateHeader.floatRounding, valid.low32)
        endInNewContext()
    }
}
