import IR
import IRPasses
import Translation

// Guest state: reading and writing slots.
extension Lowering {
    /// A read makes no code where the slot is tracked: the value simply lives in the slot's home until it is used.
    mutating func lowerGet(_ op: Op) {
        let slot = SlotMap.slot(op.offset, op.type)
        if slot >= 0 {
            let current = places.slotValue[slot]
            if current < 0 || !isStillWanted(current) || ops[Int(current)].type != op.type {
                if current >= 0 { vacate(slot) }
                places.addHome(index, slot)
                return
            }
            // Another live value is known to be in this home (unoptimised IR reads a slot twice): make a copy.
            let register = places.homeRegister[slot]
            record(.read, index, register != Placement.none ? .register(register) : .slot(slot))
            if op.type.isVector {
                let target = defineFloat()
                if register != Placement.none { a.vmovaps(target, XMM(rawValue: register &- 16)) } else { a.vmovsd(target, Self.mem(op.offset)) }
            } else {
                let target = define()
                if register != Placement.none { a.mov(.b64, target, GPR(rawValue: register)) } else { a.mov(.b64, target, Self.mem(op.offset)) }
            }
            return
        }
        let memory = Self.mem(op.offset)
        switch op.type {
        case .i8: a.movzx(define(), memory, from: .b8)
        case .i16: a.movzx(define(), memory, from: .b16)
        case .i32: a.mov(.b32, define(), memory)
        case .f32: a.vmovss(defineFloat(), memory)
        // Wide slots that are not tracked: beyond what `SlotMap` covers, or misaligned.
        case .i64: a.mov(.b64, define(), memory)
        case .f64: a.vmovsd(defineFloat(), memory)
        default: failed = true
        }
    }

    private func isStillWanted(_ ref: Ref) -> Bool { liveness.lastUse[Int(ref)] > Ref(truncatingIfNeeded: index) }

    mutating func lowerPut(_ op: Op) {
        let value = Int(op.a)
        let slot = SlotMap.slot(op.offset, op.type)
        guard slot >= 0 else { return lowerNarrowPut(op) }
        // The op that made the value may have put it there already (`defineInHome`).
        if places.slotValue[slot] == op.a { return }
        let register = places.homeRegister[slot]
        vacate(slot)
        if register != Placement.none {
            if register >= 16 {
                loadFloat(value, into: XMM(rawValue: register &- 16))
            } else {
                load(value, into: GPR(rawValue: register))
            }
            places.addHome(value, slot)
            // The home serves later uses; the scratch register is free again.
            let held = places.register[value]
            if held != Placement.none, Placement.isScratch(held), places.home[value] >= 0,
               places.homeRegister[Int(places.home[value])] != Placement.none { places.release(held) }
            return
        }
        let memory = Self.mem(op.offset)
        if op.type.isVector {
            a.vmovsd(memory, useFloat(op.a))
        } else if let small = wideImmediate(op.a) {
            a.mov(.b64, memory, imm: small)
        } else {
            a.mov(.b64, memory, use(op.a))
        }
        record(.write, value, .slot(slot))
        places.addHome(value, slot)
    }

    private mutating func lowerNarrowPut(_ op: Op) {
        let memory = Self.mem(op.offset)
        switch op.type {
        case .i8: a.mov(.b8, memory, use(op.a))
        case .i16: a.mov(.b16, memory, use(op.a))
        case .i32: if let small = immediate(op.a) { a.mov(.b32, memory, imm: small) } else { a.mov(.b32, memory, use(op.a)) }
        case .i64: if let small = immediate(op.a) { a.mov(.b64, memory, imm: small) } else { a.mov(.b64, memory, use(op.a)) }
        case .f32: a.vmovss(memory, useFloat(op.a))
        case .f64: a.vmovsd(memory, useFloat(op.a))
        default: failed = true
        }
    }
}
