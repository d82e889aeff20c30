// The V extension in translation: vset instructions and CSRs in line; everything else calls the runtime (`VectorUnit`).

import IR
import Translation

extension Emit {
    private var vectorBytes: Int { vectorConfiguration.bytes }

    private func vectorSlot(_ offset: Int32) -> Value { builder.get(offset) }

    // MARK: configuration

    /// VSETVLI and VSETIVLI: the vector type is known here, so only the length is computed when the code runs.
    /// - Parameter immediate: the length asked for, if it stands in the encoding.
    mutating func setVector(_ i: Instruction, type bits: UInt64, immediate: UInt64? = nil) {
        let type = VectorType(bits, vectorBytes: vectorBytes, elementBits: vectorConfiguration.elementBits)
        let zero = constant64(0)
        builder.put(RISCVState.vectorStart, zero)
        builder.put(RISCVState.vectorType, constant64(type.bits))
        guard !type.isIllegal else {
            builder.put(RISCVState.vectorLength, zero)
            builder.put(RISCVState.vectorMode, constant64(VectorMode.illegal))
            builder.arena.pointee.belief = VectorMode.illegal
            self[i.rd] = zero
            return
        }
        let maximum = constant64(UInt64(type.maximumLength(vectorBytes: vectorBytes)))
        let mode = type.bits & VectorMode.typeMask
        builder.arena.pointee.belief = mode
        let length: Value
        if let immediate {
            length = constant64(min(immediate, UInt64(type.maximumLength(vectorBytes: vectorBytes))))
        } else if i.rs1 != .zero {
            let wanted = zeroExtended(i.rs1)
            length = select(wanted.isLessUnsigned(than: maximum), wanted, maximum)
        } else if i.rd != .zero {
            length = maximum
        } else {
            let old = vectorSlot(RISCVState.vectorLength)
            length = select(old.isLessUnsigned(than: maximum), old, maximum)
        }
        builder.put(RISCVState.vectorLength, length)
        builder.put(RISCVState.vectorMode, (length == maximum) << constant64(8) | constant64(mode))
        self[i.rd] = length
    }

    /// VSETVL: the vector type stands in a register.
    mutating func setVector(_ i: Instruction, typeIn register: Register) {
        // 0: keep the length; 1: the greatest; 2: what rs1 says.
        let kind: UInt64 = i.rs1 != .zero ? 2 : i.rd != .zero ? 1 : 0
        let descriptor = constant64(kind | UInt64(vectorBytes) &<< 8 | UInt64(vectorConfiguration.elementBits) &<< 32)
        self[i.rd] = builder.helper(VectorConfiguration.helper, .readsState, descriptor, zeroExtended(i.rs1), zeroExtended(register))
        builder.jump(to: next)
        flow = .end
    }

    /// A write of `vstart`: the word that specialised code compares changes with it.
    func setVectorStart(_ value: Value) {
        builder.put(RISCVState.vectorStart, value & constant64(UInt64(vectorBytes &* 8 &- 1)))
        _ = builder.helper(VectorConfiguration.refresh, .readsState, constant64(UInt64(vectorBytes)))
    }

    /// The control and status registers of vectors. `updated` makes the new value of one that is written.
    mutating func accessVectorCSR(_ i: Instruction, _ updated: ((Value) -> Value)?) {
        if i.csr >= 0xc20, updated != nil { return illegal() }
        let control = vectorSlot(RISCVState.vectorControl)
        let one = constant64(1), three = constant64(3)
        let old: Value = switch i.csr {
        case 0x008: vectorSlot(RISCVState.vectorStart)
        case 0x009: control & one
        case 0x00a: control.shiftedRightUnsigned(by: one) & three
        case 0x00f: control
        case 0xc20: vectorSlot(RISCVState.vectorLength)
        case 0xc21: vectorSlot(RISCVState.vectorType)
        default: constant64(UInt64(vectorBytes))
        }
        // The bit that says that the vector type is illegal is the register's last.
        let value = xlen == .rv64 ? old : i.csr == 0xc21 ? (old | old.shiftedRightUnsigned(by: constant64(32))).low32 : old.low32
        if let updated {
            let narrow = updated(value), new = xlen == .rv64 ? narrow : narrow.zeroExtended()
            switch i.csr {
            case 0x008: setVectorStart(new)
            case 0x009: builder.put(RISCVState.vectorControl, control & constant64(6) | new & one)
            case 0x00a: builder.put(RISCVState.vectorControl, control & one | (new & three) << one)
            default: builder.put(RISCVState.vectorControl, new & constant64(7))
            }
        }
        self[i.rd] = value
    }

    // MARK: instructions

    private func callUnit(_ i: Instruction, _ operation: VectorOperation, _ scalar: Value?, _ stride: Value?, _ effects: HelperEffects) {
        let descriptor = VectorUnit.descriptor(i.bits, operation, frm: context & 7, registerShift: vectorConfiguration.shift,
                                               vectorConfiguration.capability)
        let first = constant64(descriptor), second = scalar ?? constant64(0), third = stride ?? constant64(0)
        addForm(i, operation)
        _ = builder.helper(VectorUnit.helper, effects, first, second, third)
    }

    /// An instruction on vectors and perhaps an integer register.
    func vector(_ i: Instruction, _ operation: VectorOperation) {
        let category = i.field(12, 3)
        let scalar: Value? = category == 5 ? bits(i.fs1) : category == 4 || category == 6 ? signExtended(i.rs1) : nil
        callUnit(i, operation, scalar, nil, [.readsState, .mayExit])
    }

    /// One that raises floating-point flags.
    func vectorFloat(_ i: Instruction, _ operation: VectorOperation) {
        callUnit(i, operation, i.field(12, 3) == 5 ? bits(i.fs1) : nil, nil, [.readsState, .mayExit, .raisesFlags])
    }

    /// One whose result goes to an integer register.
    func vectorToInteger(_ i: Instruction, _ operation: VectorOperation) {
        vector(i, operation)
        self[i.rd] = vectorSlot(RISCVState.vectorScalar)
    }

    func vectorToFloat(_ i: Instruction, _ operation: VectorOperation) {
        vector(i, operation)
        self[double: i.fd] = builder.get(RISCVState.vectorScalar).bits(as: .f64)
    }

    func vectorMemory(_ i: Instruction, _ operation: VectorOperation) {
        let isStrided = operation == .loadStrided || operation == .storeStrided
        callUnit(i, operation, zeroExtended(i.rs1), isStrided ? signExtended(i.rs2) : nil, [.readsState, .mayExit, .mayFault])
    }
}

/// What an implementation chooses of the V extension.
struct VectorConfiguration {
    /// VLEN in bytes: 8 to 128, a power of two.
    let bytes: Int
    /// ELEN.
    let elementBits: Int
    let capability: VectorCapability

    var shift: Int { bytes.trailingZeroBitCount }

    init(_ model: CPUModel) {
        bytes = model.vectorBits / 8
        elementBits = model.extensions.contains(.zve64x) ? model.elementBits : 32
        var capability: VectorCapability = elementBits == 64 ? .element64 : []
        if model.xlen == .rv32 { capability.insert(.narrowAddresses) }
        if model.extensions.contains(.zve32f) { capability.insert(.single) }
        if model.extensions.contains(.zve64d) { capability.insert(.double) }
        if model.extensions.contains(.zvfh) { capability.insert(.half) }
        if !model.extensions.isDisjoint(with: [.zvfh, .zvfhmin]) { capability.insert(.halfConversions) }
        if model.extensions.contains(.zvknhb) { capability.insert(.longHashes) }
        self.capability = capability
    }

    /// VSETVL; the result is the new length.
    static let helper = HelperTable.register { state, descriptor, wanted, bits in
        let bytes = Int(descriptor &>> 8 & 0xff_ffff)
        let type = VectorType(bits, vectorBytes: bytes, elementBits: Int(descriptor &>> 32))
        let maximum = type.isIllegal ? 0 : UInt64(type.maximumLength(vectorBytes: bytes))
        let old = state.load(fromByteOffset: Int(RISCVState.vectorLength), as: UInt64.self)
        let length: UInt64 = switch descriptor & 3 { case 0: min(old, maximum); case 1: maximum; default: min(wanted, maximum) }
        state.storeBytes(of: length, toByteOffset: Int(RISCVState.vectorLength), as: UInt64.self)
        state.storeBytes(of: 0, toByteOffset: Int(RISCVState.vectorStart), as: UInt64.self)
        state.storeBytes(of: type.bits, toByteOffset: Int(RISCVState.vectorType), as: UInt64.self)
        VectorMode.update(state, vectorBytes: bytes)
        return length
    }

    static let refresh = HelperTable.register { state, bytes, _, _ in
        VectorMode.update(state, vectorBytes: Int(truncatingIfNeeded: bytes))
        return 0
    }
}
