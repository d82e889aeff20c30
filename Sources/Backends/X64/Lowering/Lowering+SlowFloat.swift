import IR
import Translation

// Float ops that go to software: what the host rounds or saturates differently.
extension Lowering {
    /// The whole op in software, in line.
    mutating func lowerFloatSlow(_ op: Op) {
        var operands = (Placement.none, Placement.none, Placement.none)
        if op.a >= 0 { operands.0 = anyRegister(op.a) }
        if op.b >= 0 { operands.1 = anyRegister(op.b) }
        if op.c >= 0 { operands.2 = anyRegister(op.c) }
        let isFloat = op.type.isVector
        let result = isFloat ? 16 &+ takeFloat().rawValue : takeInteger().rawValue
        emitSlowFloat(op, operands: operands, result: result, isFloat: isFloat)
        isBoxed[index] = op.type == .f32
        if isFloat { deliver(XMM(rawValue: result &- 16)) } else { deliver(GPR(rawValue: result)) }
    }

    private mutating func anyRegister(_ ref: Ref) -> UInt8 {
        type(ref).isVector ? 16 &+ useFloat(ref).rawValue : use(ref).rawValue
    }

    mutating func writeColdSlowFloat(_ code: ColdCode) {
        bind(code)
        let result = UInt8(truncatingIfNeeded: code.aux)
        emitSlowFloat(ops[Int(code.imm)], operands: (code.x, code.y, code.z), result: result, isFloat: result >= 16)
        a.jmp(executable(code.resume))
    }

    /// Calls the software op; all registers but `result` are kept.
    mutating func emitSlowFloat(_ op: Op, operands: (UInt8, UInt8, UInt8), result: UInt8, isFloat: Bool) {
        store(operands.0, 0)
        store(operands.1, 1)
        store(operands.2, 2)
        let source = op.a >= 0 ? type(op.a) : .none
        let descriptor = UInt32(op.code.rawValue) | UInt32(op.type.rawValue) << 8 | UInt32(source.rawValue) << 16
        a.mov(.b32, Self.mem(BackendState.slowDescriptor), imm: Int32(bitPattern: descriptor))
        a.mov(.b32, Self.mem(BackendState.slowDescriptor + 4), imm: Int32(op.aux))
        a.call(trampolines.slowFloat)
        let memory = Self.mem(BackendState.slowArgument)
        if isFloat { a.vmovsd(XMM(rawValue: result &- 16), memory) } else { a.mov(.b64, GPR(rawValue: result), memory) }
    }

    private mutating func store(_ register: UInt8, _ number: Int32) {
        guard register != Placement.none else { return }
        let memory = Self.mem(BackendState.slowArgument + number * 8)
        if register >= 16 { a.vmovsd(memory, XMM(rawValue: register &- 16)) } else { a.mov(.b64, memory, GPR(rawValue: register)) }
    }
}
