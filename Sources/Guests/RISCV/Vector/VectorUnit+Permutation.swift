// "Vector Permutation Instructions", "Vector Integer Extension", viota and vid.

extension VectorUnit {
    func permute<T: VectorElement>(_ type: T.Type) {
        let d = register(vd, as: type), a = register(vs2, as: type), b = register(vs1, as: type)
        let value = scalarElement(type)
        /// The count of slides and gathers: all of the integer register, not its low SEW bits.
        let count = instruction.category == 3 ? UInt64(instruction.vs1) : scalar
        let maximum = UInt64(VectorType.maximum(registerShift: instruction.registerShift, sew: sew, lmul: instruction.lmul))
        @inline(__always) func gathered(_ index: UInt64) -> T { index < maximum ? a[Int(truncatingIfNeeded: index)] : 0 }
        switch operation {
        case .moveToScalar: leave(scalar: UInt64(bitPattern: Int64(T.Signed(truncatingIfNeeded: a[0]))))
        case .moveToFloat: leave(scalar: UInt64(truncatingIfNeeded: a[0]) | (T.bitWidth < 64 ? ~0 &<< UInt64(T.bitWidth) : 0))
        case .moveFromScalar, .moveFromFloat: if start < length { d[0] = value }
        case .slideup:
            // Elements below the offset are undisturbed.
            each { if UInt64(truncatingIfNeeded: $0) >= count { d[$0] = a[$0 &- Int(truncatingIfNeeded: count)] } }
        case .slidedown: each { d[$0] = count >= maximum ? 0 : gathered(UInt64(truncatingIfNeeded: $0) &+ count) }
        case .slide1up: each { d[$0] = $0 == 0 ? value : a[$0 &- 1] }
        case .slide1down: each { d[$0] = $0 == length &- 1 ? value : a[$0 &+ 1] }
        case .rgather:
            let isVector = instruction.hasVectorOperand
            each { d[$0] = gathered(isVector ? UInt64(truncatingIfNeeded: b[$0]) : count) }
        case .rgatherei16:
            let indices = register(vs1, as: UInt16.self)
            each { d[$0] = gathered(UInt64(indices[$0])) }
        case .compress:
            var next = 0
            for index in 0 ..< length where maskBit(vs1, index) {
                d[next] = a[index]
                next &+= 1
            }
        case .iota:
            var count: T = 0
            each {
                d[$0] = count
                if maskBit(vs2, $0) { count &+= 1 }
            }
        case .id: each { d[$0] = T(truncatingIfNeeded: $0) }
        case .extend: extend(type)
        default: break
        }
    }

    private func extend<T: VectorElement>(_ type: T.Type) {
        let d = register(vd, as: type)
        let isSigned = vs1 & 1 != 0
        @inline(__always) func from<N: FixedWidthInteger>(_: N.Type) {
            let a = register(vs2, as: N.self)
            each { d[$0] = T(truncatingIfNeeded: a[$0]) }
        }
        // What the source's width is: SEW over 8, 4, 2.
        switch (sew &- (4 &- vs1 &>> 1), isSigned) {
        case (0, false): from(UInt8.self)
        case (0, true): from(Int8.self)
        case (1, false): from(UInt16.self)
        case (1, true): from(Int16.self)
        case (_, false): from(UInt32.self)
        case (_, true): from(Int32.self)
        }
    }

    /// Moves whole registers, from the element that `vstart` names on.
    func moveWhole() {
        let bytes = ((vs1 & 7) &+ 1) &<< instruction.registerShift
        let done = Swift.min(start &<< sew, bytes)
        let d = UnsafeMutableRawPointer(register(vd, as: UInt8.self)), s = UnsafeRawPointer(register(vs2, as: UInt8.self))
        (d + done).copyMemory(from: s + done, byteCount: bytes &- done)
    }
}

extension VectorType {
    static func maximum(registerShift: Int, sew: Int, lmul: Int) -> Int {
        let shift = registerShift &+ lmul &- sew
        return shift >= 0 ? 1 &<< shift : 0
    }
}
