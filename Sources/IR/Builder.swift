/// Appends ops to an arena: the handle with which a guest's instruction semantics are written.
///
/// A builder and the values it makes are plain handles to one arena and must not outlive it.
@frozen
public struct Builder: @unchecked Sendable {
    public let arena: UnsafeMutablePointer<OpArena>

    public init(_ arena: UnsafeMutablePointer<OpArena>) { self.arena = arena }

    /// Appends `op`; past the capacity it is dropped and the arena marked.
    @discardableResult
    public func emit(_ op: Op) -> Value {
        let index = arena.pointee.count
        guard index < arena.pointee.capacity else {
            arena.pointee.overflowed = true
            return Value(arena, 0, op.type)
        }
        arena.pointee.ops[index] = op
        arena.pointee.count = index &+ 1
        return Value(arena, Ref(truncatingIfNeeded: index), op.type)
    }

    // MARK: leaves and state

    public func constant(_ value: UInt64, _ type: ValueType = .i64) -> Value {
        emit(Op(.const, type, imm: type.isInteger ? value & type.mask : value))
    }
    public func constant(_ value: Int64) -> Value { constant(UInt64(bitPattern: value)) }

    /// Reads guest state at `offset` bytes from the state pointer.
    public func get(_ offset: Int32, _ type: ValueType = .i64) -> Value {
        emit(Op(.get, type, imm: UInt64(bitPattern: Int64(offset))))
    }
    /// Writes guest state at `offset` bytes from the state pointer.
    public func put(_ offset: Int32, _ value: Value) {
        emit(Op(.put, value.type, value.ref, imm: UInt64(bitPattern: Int64(offset))))
    }

    /// The low 32 bits of `value`, an i64. Where it is the result of the last op, and that op makes i32s as well, it makes
    /// one from the start.
    public func narrowed(_ value: Value) -> Value {
        let index = Int(value.ref)
        guard value.type == .i64, !arena.pointee.overflowed, index == arena.pointee.count &- 1 else { return value.low32 }
        let op = arena.pointee.ops + index
        switch op.pointee.code {
        case .compare, .fcompare, .fclass, .storeConditional: break
        case .load, .atomicRMW, .compareAndSwap:
            guard MemoryAccess(rawValue: op.pointee.aux).bytes <= 4 else { return value.low32 }
        case .const: op.pointee.imm &= 0xffff_ffff
        case .signExtend, .zeroExtend:
            let source = arena.pointee.ops[Int(op.pointee.a)].type
            guard op.pointee.aux == 0 else { return value.low32 }
            if source == .i32 { return Value(arena, op.pointee.a, .i32) }
        default: return value.low32
        }
        op.pointee.type = .i32
        return Value(arena, value.ref, .i32)
    }

    // MARK: generic forms

    public func unary(_ code: Opcode, _ a: Value, _ type: ValueType? = nil, aux: UInt16 = 0) -> Value {
        emit(Op(code, type ?? a.type, aux: aux, a.ref))
    }
    public func binary(_ code: Opcode, _ a: Value, _ b: Value, _ type: ValueType? = nil, aux: UInt16 = 0) -> Value {
        emit(Op(code, type ?? a.type, aux: aux, a.ref, b.ref))
    }
    public func ternary(_ code: Opcode, _ a: Value, _ b: Value, _ c: Value, _ type: ValueType, aux: UInt16 = 0) -> Value {
        emit(Op(code, type, aux: aux, a.ref, b.ref, c.ref))
    }

    /// `whenTrue` if `condition` is not 0, else `whenFalse`.
    public func select(_ condition: Value, _ whenTrue: Value, _ whenFalse: Value) -> Value {
        ternary(.select, condition, whenTrue, whenFalse, whenTrue.type)
    }

    // MARK: memory

    private func indexed(_ access: MemoryAccess) -> UInt16 {
        access.mmuIndex == 0 ? access.rawValue | (arena.pointee.mmuIndex & 15) &<< 8 : access.rawValue
    }

    /// Loads from `address + displacement`, extended to `type`.
    public func load(_ address: Value, _ displacement: Int64 = 0, _ access: MemoryAccess, _ type: ValueType = .i64) -> Value {
        emit(Op(.load, type, aux: indexed(access), address.ref, imm: UInt64(bitPattern: displacement)))
    }
    /// Stores the low `access.bytes` of `value` at `address + displacement`.
    public func store(_ address: Value, _ displacement: Int64 = 0, _ value: Value, _ access: MemoryAccess) {
        emit(Op(.store, value.type, aux: indexed(access), address.ref, value.ref, imm: UInt64(bitPattern: displacement)))
    }
    /// The result is the old value, extended to `type` as `access` says.
    public func atomicRMW(_ operation: AtomicOperation, _ address: Value, _ operand: Value, _ access: MemoryAccess,
                          _ type: ValueType = .i64) -> Value {
        emit(Op(.atomicRMW, type, aux: indexed(access), address.ref, operand.ref, imm: operation.rawValue))
    }
    /// The result is the old value, extended to `type` as `access` says.
    public func compareAndSwap(_ address: Value, expected: Value, new: Value, _ access: MemoryAccess, _ type: ValueType = .i64) -> Value {
        emit(Op(.compareAndSwap, type, aux: indexed(access), address.ref, expected.ref, new.ref))
    }
    /// Stores `value` if the vCPU's reservation for `address` still holds; i64 0 if it did, 1 if not.
    public func storeConditional(_ address: Value, _ value: Value, _ access: MemoryAccess) -> Value {
        emit(Op(.storeConditional, .i64, aux: indexed(access), address.ref, value.ref))
    }
    public func fence(_ kind: FenceKind) { emit(Op(.fence, .none, imm: kind.rawValue)) }

    /// The sticky floating-point exception flags as i64.
    public func getFloatFlags() -> Value { emit(Op(.getFloatFlags, .i64)) }
    /// Replaces the sticky flags by the low five bits of `value`.
    public func putFloatFlags(_ value: Value) { emit(Op(.putFloatFlags, .none, value.ref)) }

    // MARK: helpers

    /// Calls function `index` of the helper table with up to three integer arguments; the result is i64.
    public func helper(_ index: HelperIndex, _ effects: HelperEffects, _ a: Value? = nil, _ b: Value? = nil, _ c: Value? = nil) -> Value {
        emit(Op(.helper, .i64, aux: effects.rawValue, a?.ref ?? -1, b?.ref ?? -1, c?.ref ?? -1, imm: UInt64(index)))
    }

    /// Says what the helper call that must come next does; see `LaneForm`.
    public func lanes(_ form: LaneForm, mask: Int32 = 0) {
        emit(Op(.lanes, .none, aux: UInt16(truncatingIfNeeded: mask &>> 3), imm: form.rawValue))
    }

    // MARK: control

    public func instruction(at pc: UInt64, length: Int) {
        emit(Op(.instruction, .none, aux: UInt16(truncatingIfNeeded: length), imm: pc))
    }
    public func branch(_ condition: Condition, _ a: Value, _ b: Value, to target: UInt64) {
        emit(Op(.branch, a.type, aux: condition.rawValue, a.ref, b.ref, imm: target))
    }
    public func jump(to target: UInt64) { emit(Op(.jump, .none, imm: target)) }
    public func jump(to target: Value) { emit(Op(.jumpIndirect, .none, target.ref)) }
    /// - Parameter type: that of the guest's addresses.
    public func call(_ target: UInt64, returningTo next: UInt64, _ type: ValueType = .i64) {
        let next = constant(next, type)
        emit(Op(.call, .none, next.ref, imm: target))
    }
    public func call(_ target: Value, returningTo next: UInt64) { emit(Op(.callIndirect, .none, target.ref, imm: next)) }
    public func ret(to target: Value) { emit(Op(.ret, .none, target.ref)) }
    /// Leaves translated code; `reason` is an `ExitReason` of the Translation module.
    public func exit(_ reason: UInt16, at pc: UInt64) { emit(Op(.exit, .none, aux: reason, imm: pc)) }
    public func jumpContext(to pc: UInt64) { emit(Op(.jumpContext, .none, imm: pc)) }
}

/// The index of a function in the process-wide helper table (`HelperTable` of the Translation module).
public typealias HelperIndex = UInt16
