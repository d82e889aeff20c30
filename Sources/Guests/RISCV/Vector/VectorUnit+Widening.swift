// "Vector Widening Integer Add/Subtract", "… Multiply", "… Multiply-Add", "Vector Narrowing Integer Right Shift", and
// "Vector Integer Reduction Operations".

extension VectorUnit {
    /// Wide vd[i] = f(vd[i], vs2[i], vs1[i] or the scalar), operands extended as told.
    @inline(__always)
    func widen<T: VectorElement>(_ type: T.Type, signed: (Bool, Bool), _ f: (T.Wide, T.Wide, T.Wide) -> T.Wide) {
        let d = register(vd, as: T.Wide.self), a = register(vs2, as: type), b = register(vs1, as: type)
        let isVector = instruction.hasVectorOperand, value = scalarElement(type)
        @inline(__always) func extended(_ value: T, _ isSigned: Bool) -> T.Wide {
            isSigned ? T.Wide(truncatingIfNeeded: T.Signed(truncatingIfNeeded: value)) : T.Wide(truncatingIfNeeded: value)
        }
        each { d[$0] = f(d[$0], extended(a[$0], signed.0), extended(isVector ? b[$0] : value, signed.1)) }
    }

    /// As above where vs2 is wide already.
    @inline(__always)
    private func widenWide<T: VectorElement>(_ type: T.Type, signed: Bool, _ f: (T.Wide, T.Wide) -> T.Wide) {
        let d = register(vd, as: T.Wide.self), a = register(vs2, as: T.Wide.self), b = register(vs1, as: type)
        let isVector = instruction.hasVectorOperand, value = scalarElement(type)
        each {
            let right = isVector ? b[$0] : value
            d[$0] = f(a[$0], signed ? T.Wide(truncatingIfNeeded: T.Signed(truncatingIfNeeded: right)) : T.Wide(truncatingIfNeeded: right))
        }
    }

    func widths<T: VectorElement>(_ type: T.Type) {
        switch operation {
        case .waddu: widen(type, signed: (false, false)) { $1 &+ $2 }
        case .wadd: widen(type, signed: (true, true)) { $1 &+ $2 }
        case .wsubu: widen(type, signed: (false, false)) { $1 &- $2 }
        case .wsub: widen(type, signed: (true, true)) { $1 &- $2 }
        case .wadduw: widenWide(type, signed: false) { $0 &+ $1 }
        case .waddw: widenWide(type, signed: true) { $0 &+ $1 }
        case .wsubuw: widenWide(type, signed: false) { $0 &- $1 }
        case .wsubw: widenWide(type, signed: true) { $0 &- $1 }
        case .wmulu: widen(type, signed: (false, false)) { $1 &* $2 }
        case .wmulsu: widen(type, signed: (true, false)) { $1 &* $2 }
        case .wmul: widen(type, signed: (true, true)) { $1 &* $2 }
        case .wmaccu: widen(type, signed: (false, false)) { $0 &+ $1 &* $2 }
        case .wmacc: widen(type, signed: (true, true)) { $0 &+ $1 &* $2 }
        // The first sign is that of vs1 or rs1.
        case .wmaccsu: widen(type, signed: (false, true)) { $0 &+ $1 &* $2 }
        case .wmaccus: widen(type, signed: (true, false)) { $0 &+ $1 &* $2 }
        default:
            let d = register(vd, as: type), a = register(vs2, as: T.Wide.self), b = register(vs1, as: type)
            let isVector = instruction.hasVectorOperand, value = scalarElement(type)
            let isSigned = operation == .nsra
            each {
                let amount = T.Wide(truncatingIfNeeded: isVector ? b[$0] : value)
                if isSigned {
                    d[$0] = T(truncatingIfNeeded: T.SignedWide(truncatingIfNeeded: a[$0]) &>> T.SignedWide(truncatingIfNeeded: amount))
                } else {
                    d[$0] = T(truncatingIfNeeded: a[$0] &>> amount)
                }
            }
        }
    }

    /// vd[0] = vs1[0] with all active elements of vs2. Without elements nothing is written.
    func reduce<T: VectorElement>(_ type: T.Type) {
        guard length > 0 else { return }
        @inline(__always) func fold(_ f: (T, T) -> T) {
            let a = register(vs2, as: type)
            var sum = register(vs1, as: type)[0]
            each { sum = f(sum, a[$0]) }
            register(vd, as: type)[0] = sum
        }
        @inline(__always) func s(_ value: T) -> T.Signed { T.Signed(truncatingIfNeeded: value) }
        switch operation {
        case .redsum: fold { $0 &+ $1 }
        case .redand: fold { $0 & $1 }
        case .redor: fold { $0 | $1 }
        case .redxor: fold { $0 ^ $1 }
        case .redminu: fold { Swift.min($0, $1) }
        case .redmaxu: fold { Swift.max($0, $1) }
        case .redmin: fold { s($0) < s($1) ? $0 : $1 }
        case .redmax: fold { s($0) > s($1) ? $0 : $1 }
        default:
            let a = register(vs2, as: type), isSigned = operation == .wredsum
            var sum = register(vs1, as: T.Wide.self)[0]
            each { sum &+= isSigned ? T.Wide(truncatingIfNeeded: s(a[$0])) : T.Wide(truncatingIfNeeded: a[$0]) }
            register(vd, as: T.Wide.self)[0] = sum
        }
    }
}
