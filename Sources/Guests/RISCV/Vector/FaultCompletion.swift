// Vector loads and stores whose fast form met a fault: executed again by elements, so that `vstart` (or, for
// fault-only-first loads, `vl`) says exactly how far they came.

import Translation

extension RISCVGuest: FaultCompleting {
    public func completeFault(of vcpu: VCPU, code: any CodeSource) -> Bool {
        var bits: UInt32 = 0
        let pc = vcpu.pc
        let count = withUnsafeMutableBytes(of: &bits) { bytes in
            bytes.baseAddress.map { code.readCode(at: pc, into: $0, count: 4) } ?? 0
        }
        bits = UInt32(littleEndian: bits)
        guard count == 4, model.extensions.contains(.zve32x), let operation = RISCVGuest.vectorMemoryOperation(bits),
              let function = HelperTable.functions[Int(VectorUnit.helper)] else { return false }
        let instruction = Instruction(bits)
        func register(_ number: Register) -> UInt64 {
            number == .zero ? 0 : vcpu[UInt64.self, RISCVState.integer(Int(number.number))]
        }
        let vectors = VectorConfiguration(model)
        let descriptor = VectorUnit.descriptor(bits, operation, frm: vcpu.context & 7, registerShift: vectors.shift, vectors.capability)
        guard function(vcpu.state, descriptor, register(instruction.rs1), model.xlen.signExtended(register(instruction.rs2))) == 0 else { return false }
        vcpu.pc = pc &+ 4
        return true
    }

    /// What the vector load or store `bits` does; nil if it is none.
    static func vectorMemoryOperation(_ bits: UInt32) -> VectorOperation? {
        let i = Instruction(bits)
        guard bits & 0x5f == 0x07, [0, 5, 6, 7].contains(i.field(12, 3)) else { return nil }
        let isLoad = bits & 0x20 == 0
        switch (i.field(26, 2), i.field(20, 5)) {
        case (0, 0): return isLoad ? .load : .store
        case (0, 8): return isLoad ? .loadWhole : .storeWhole
        case (0, 11): return isLoad ? .loadMask : .storeMask
        case (0, 16): return isLoad ? .loadFaultFirst : nil
        case (2, _): return isLoad ? .loadStrided : .storeStrided
        case (1, _), (3, _): return isLoad ? .loadIndexed : .storeIndexed
        default: return nil
        }
    }
}
