// "Vector Integer Compare", "Vector Integer Add-with-Carry", "Vector Integer Merge" and "Move", and "Vector Mask
// Instructions".

extension VectorUnit {
    /// Mask vd[i] = f(vs2[i], vs1[i] or the scalar) for active elements.
    @inline(__always)
    private func test<T: VectorElement>(_ type: T.Type, _ f: (T, T) -> Bool) {
        let a = register(vs2, as: type), b = register(vs1, as: type)
        let isVector = instruction.hasVectorOperand, value = scalarElement(type)
        each { setMask(vd, $0, f(a[$0], isVector ? b[$0] : value)) }
    }

    func compare<T: VectorElement>(_ type: T.Type) {
        @inline(__always) func s(_ value: T) -> T.Signed { T.Signed(truncatingIfNeeded: value) }
        switch operation {
        case .mseq: return test(type) { $0 == $1 }
        case .msne: return test(type) { $0 != $1 }
        case .msltu: return test(type) { $0 < $1 }
        case .mslt: return test(type) { s($0) < s($1) }
        case .msleu: return test(type) { $0 <= $1 }
        case .msle: return test(type) { s($0) <= s($1) }
        case .msgtu: return test(type) { $0 > $1 }
        case .msgt: return test(type) { s($0) > s($1) }
        default: break
        }
        // The others use the mask as data: every element of the body is active.
        let d = register(vd, as: type), a = register(vs2, as: type), b = register(vs1, as: type)
        let isVector = instruction.hasVectorOperand, value = scalarElement(type)
        let hasCarry = !instruction.isUnmasked
        for index in Swift.min(start, length) ..< length {
            let right = isVector ? b[index] : value
            let carry: T = hasCarry && isActive(index) ? 1 : 0
            switch operation {
            case .adc: d[index] = a[index] &+ right &+ carry
            case .sbc: d[index] = a[index] &- right &- carry
            case .madc:
                let first = a[index].addingReportingOverflow(right)
                setMask(vd, index, first.overflow || first.partialValue.addingReportingOverflow(carry).overflow)
            case .msbc:
                let first = a[index].subtractingReportingOverflow(right)
                setMask(vd, index, first.overflow || first.partialValue.subtractingReportingOverflow(carry).overflow)
            case .merge: d[index] = isActive(index) ? right : a[index]
            default: d[index] = right
            }
        }
    }

    func runMask() {
        switch operation {
        case .cpop:
            var count: UInt64 = 0
            each { if maskBit(vs2, $0) { count &+= 1 } }
            return leave(scalar: count)
        case .first:
            for index in 0 ..< length where (instruction.isUnmasked || isActive(index)) && maskBit(vs2, index) {
                return leave(scalar: UInt64(truncatingIfNeeded: index))
            }
            return leave(scalar: ~0)
        case .msbf, .msof, .msif:
            var found = false
            for index in 0 ..< length where instruction.isUnmasked || isActive(index) {
                let isFirst = !found && maskBit(vs2, index)
                if isFirst { found = true }
                let value: Bool = switch operation { case .msbf: !found; case .msof: isFirst; default: !found || isFirst }
                setMask(vd, index, value)
            }
            return
        default: break
        }
        for index in Swift.min(start, length) ..< length {
            let a = maskBit(vs2, index), b = maskBit(vs1, index)
            let value: Bool = switch operation {
            case .maskAndNot: a && !b
            case .maskAnd: a && b
            case .maskOr: a || b
            case .maskXor: a != b
            case .maskOrNot: a || !b
            case .maskNand: !(a && b)
            case .maskNor: !(a || b)
            default: a == b
            }
            setMask(vd, index, value)
        }
    }
}
