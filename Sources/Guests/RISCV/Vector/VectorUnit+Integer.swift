// "Vector Integer Arithmetic Instructions" whose operands and results all have SEW bits, and "Vector Fixed-Point Arithmetic
// Instructions".

import Translation

extension VectorUnit {
    /// vd[i] = f(vs2[i], vs1[i] or the scalar).
    @inline(__always)
    func map<T: VectorElement>(_ type: T.Type, _ f: (T, T) -> T) {
        let d = register(vd, as: type), a = register(vs2, as: type), b = register(vs1, as: type)
        var value = scalarElement(type)
        let isVector = instruction.hasVectorOperand
        withUnsafePointer(to: &value) { single in
            let right = isVector ? UnsafePointer(b) : single, step = isVector ? 1 : 0
            each { d[$0] = f(a[$0], right[$0 &* step]) }
        }
    }

    /// vd[i] = f(vd[i], vs1[i] or the scalar, vs2[i]).
    @inline(__always)
    func accumulate<T: VectorElement>(_ type: T.Type, _ f: (T, T, T) -> T) {
        let d = register(vd, as: type), a = register(vs2, as: type), b = register(vs1, as: type)
        let isVector = instruction.hasVectorOperand
        let value = scalarElement(type)
        each { d[$0] = f(d[$0], isVector ? b[$0] : value, a[$0]) }
    }

    func integer<T: VectorElement>(_ type: T.Type) {
        typealias S = T.Signed
        @inline(__always) func s(_ value: T) -> S { S(truncatingIfNeeded: value) }
        @inline(__always) func u(_ value: S) -> T { T(truncatingIfNeeded: value) }
        switch operation {
        case .add: map(type) { $0 &+ $1 }
        case .sub: map(type) { $0 &- $1 }
        case .rsub: map(type) { $1 &- $0 }
        case .minu: map(type) { Swift.min($0, $1) }
        case .maxu: map(type) { Swift.max($0, $1) }
        case .min: map(type) { s($0) < s($1) ? $0 : $1 }
        case .max: map(type) { s($0) > s($1) ? $0 : $1 }
        case .and: map(type) { $0 & $1 }
        case .or: map(type) { $0 | $1 }
        case .xor: map(type) { $0 ^ $1 }
        // Shifts take their amount modulo the width.
        case .sll: map(type) { $0 &<< $1 }
        case .srl: map(type) { $0 &>> $1 }
        case .sra: map(type) { u(s($0) &>> s($1)) }
        case .divu: map(type) { $1 == 0 ? T.max : $0.dividedReportingOverflow(by: $1).partialValue }
        case .remu: map(type) { $1 == 0 ? $0 : $0.remainderReportingOverflow(dividingBy: $1).partialValue }
        case .div: map(type) { $1 == 0 ? T.max : u(s($0).dividedReportingOverflow(by: s($1)).partialValue) }
        case .rem: map(type) { $1 == 0 ? $0 : u(s($0).remainderReportingOverflow(dividingBy: s($1)).partialValue) }
        case .mul: map(type) { $0 &* $1 }
        case .mulhu: map(type) { $0.multipliedFullWidth(by: $1).high }
        case .mulh: map(type) { u(s($0).multipliedFullWidth(by: s($1)).high) }
        // A negative multiplicand counts as less by 2^SEW.
        case .mulhsu: map(type) { $0.multipliedFullWidth(by: $1).high &- (s($0) < 0 ? $1 : 0) }
        case .madd: accumulate(type) { $1 &* $0 &+ $2 }
        case .nmsub: accumulate(type) { $2 &- $1 &* $0 }
        case .macc: accumulate(type) { $1 &* $2 &+ $0 }
        default: accumulate(type) { $0 &- $1 &* $2 }
        }
    }

    // MARK: fixed point

    private var roundingMode: UInt64 { state.load(fromByteOffset: Int(RISCVState.vectorControl), as: UInt64.self) &>> 1 & 3 }

    private func saturate(_ happened: Bool) {
        guard happened else { return }
        let control = state.load(fromByteOffset: Int(RISCVState.vectorControl), as: UInt64.self)
        state.storeBytes(of: control | 1, toByteOffset: Int(RISCVState.vectorControl), as: UInt64.self)
    }

    /// `value >> shift`, rounded as vxrm says.
    private static func rounded(_ value: Int128, _ shift: Int, _ mode: UInt64) -> Int128 {
        guard shift > 0 else { return value }
        let half = value &>> Int128(shift &- 1) & 1
        let below = value & ((1 &<< Int128(shift)) &- 1)
        let odd = value &>> Int128(shift) & 1
        let increment: Int128
        switch mode {
        case 0: increment = half
        case 1: increment = half != 0 && (below & ((1 &<< Int128(shift &- 1)) &- 1) != 0 || odd != 0) ? 1 : 0
        case 2: increment = 0
        default: increment = odd == 0 && below != 0 ? 1 : 0
        }
        return (value &>> Int128(shift)) &+ increment
    }

    func fixedPoint<T: VectorElement>(_ type: T.Type) {
        typealias S = T.Signed
        let mode = roundingMode
        let lowest = Int128(S.min), highest = Int128(S.max), greatest = Int128(T.max)
        let bits = T.bitWidth
        @inline(__always) func s(_ value: T) -> Int128 { Int128(S(truncatingIfNeeded: value)) }
        @inline(__always) func clamp(_ value: Int128, _ low: Int128, _ high: Int128) -> T {
            if value < low {
                saturate(true)
                return T(truncatingIfNeeded: low)
            }
            if value > high {
                saturate(true)
                return T(truncatingIfNeeded: high)
            }
            return T(truncatingIfNeeded: value)
        }
        switch operation {
        case .saddu: map(type) { clamp(Int128($0) &+ Int128($1), 0, greatest) }
        case .sadd: map(type) { clamp(s($0) &+ s($1), lowest, highest) }
        case .ssubu: map(type) { clamp(Int128($0) &- Int128($1), 0, greatest) }
        case .ssub: map(type) { clamp(s($0) &- s($1), lowest, highest) }
        case .aaddu: map(type) { T(truncatingIfNeeded: Self.rounded(Int128($0) &+ Int128($1), 1, mode)) }
        case .aadd: map(type) { T(truncatingIfNeeded: Self.rounded(s($0) &+ s($1), 1, mode)) }
        case .asubu: map(type) { T(truncatingIfNeeded: Self.rounded(Int128($0) &- Int128($1), 1, mode)) }
        case .asub: map(type) { T(truncatingIfNeeded: Self.rounded(s($0) &- s($1), 1, mode)) }
        case .smul: map(type) { clamp(Self.rounded(s($0) &* s($1), bits &- 1, mode), lowest, highest) }
        case .ssrl: map(type) { T(truncatingIfNeeded: Self.rounded(Int128($0), Int(truncatingIfNeeded: $1) & (bits &- 1), mode)) }
        case .ssra: map(type) { T(truncatingIfNeeded: Self.rounded(s($0), Int(truncatingIfNeeded: $1) & (bits &- 1), mode)) }
        default:
            let d = register(vd, as: type), a = register(vs2, as: T.Wide.self), b = register(vs1, as: type)
            let isVector = instruction.hasVectorOperand, value = scalarElement(type)
            let isSigned = operation == .nclip
            each {
                let shift = Int(truncatingIfNeeded: isVector ? b[$0] : value) & (2 &* bits &- 1)
                if isSigned {
                    d[$0] = clamp(Self.rounded(Int128(T.SignedWide(truncatingIfNeeded: a[$0])), shift, mode), lowest, highest)
                } else {
                    d[$0] = clamp(Self.rounded(Int128(a[$0]), shift, mode), 0, greatest)
                }
            }
        }
    }
}
