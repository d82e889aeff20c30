// The text form of IR: one op a line, values named by the index of the op that made them. Stable, because golden
// tests and `-d op` show it. It is for reading only; there is no parser.
//
//     ---- 0x10078 4
//     %1 = get.i64 [-48]
//     %2 = load.s32.i64 [%1 + 16]
//     branch.lessU.i64 %1, %2 -> 0x10100

/// Prints traces.
public enum IRPrinter {
    /// All ops of `arena`, one a line, each line ended.
    public static func text(of arena: OpArena) -> String {
        text(of: UnsafeBufferPointer(start: arena.ops, count: arena.count))
    }

    /// All of `ops`, one a line, each line ended.
    public static func text(of ops: UnsafeBufferPointer<Op>) -> String {
        var result = ""
        for index in 0 ..< ops.count {
            result += line(of: ops[index], at: index, in: ops)
            result += "\n"
        }
        return result
    }

    /// The line of `op`, which stands at `index` of `ops` (asked for the types of its operands).
    public static func line(of op: Op, at index: Int, in ops: UnsafeBufferPointer<Op>) -> String {
        if op.code == .instruction { return "---- \(hex(op.imm)) \(op.aux)" }
        let left = op.traits.hasResult ? "%\(index) = " : ""
        return left + name(of: op, in: ops) + arguments(of: op)
    }

    // MARK: names

    /// The opcode with everything that selects a variant of it: `load.s32.i64`, `compare.lessU.i32`.
    private static func name(of op: Op, in ops: UnsafeBufferPointer<Op>) -> String {
        var parts = ["\(op.code)"]
        switch op.code {
        case .compare: parts += [condition(op.aux), type(of: op.a, in: ops)]
        case .branch: parts += [condition(op.aux), "\(op.type)"]
        case .signExtend, .zeroExtend:
            parts += [op.aux == 0 ? type(of: op.a, in: ops) : "low\(op.aux)", "\(op.type)"]
        case .truncate, .intToFloat, .floatToFloat, .bitcast:
            parts += ["\(type(of: op.a, in: ops)).\(op.type)"] + mode(op)
        case .floatToInt: parts += ["\(type(of: op.a, in: ops)).\(op.type)"] + mode(op)
        case .load: parts += [access(op.aux), "\(op.type)"]
        case .store: parts += [access(op.aux), "\(op.type)"]
        case .atomicRMW:
            parts += [AtomicOperation(rawValue: op.imm & 0xff).map { "\($0)" } ?? "?", access(op.aux), "\(op.type)"]
        case .compareAndSwap, .storeConditional: parts += [access(op.aux), "\(op.type)"]
        case .fence: parts += [FenceKind(rawValue: op.imm).map { "\($0)" } ?? "?"]
        case .fadd, .fsub, .fmul, .fdiv, .fsqrt, .fma, .froundInt: parts += ["\(op.type)"] + mode(op)
        case .fminmax: parts += [FloatMinMax(rawValue: op.aux & 3).map { "\($0)" } ?? "?", "\(op.type)"]
        case .fcompare: parts += [FloatCompare(rawValue: op.aux & 7).map { "\($0)" } ?? "?", type(of: op.a, in: ops)]
        case .fclass: parts += [type(of: op.a, in: ops)]
        case .helper: parts += effects(op.aux)
        default: if op.type != .none { parts += ["\(op.type)"] }
        }
        return parts.joined(separator: ".")
    }

    private static func condition(_ raw: UInt16) -> String { Condition(rawValue: raw).map { "\($0)" } ?? "?" }

    private static func type(of ref: Ref, in ops: UnsafeBufferPointer<Op>) -> String {
        ref >= 0 && Int(ref) < ops.count ? "\(ops[Int(ref)].type)" : "?"
    }

    private static func access(_ raw: UInt16) -> String {
        let access = MemoryAccess(rawValue: raw)
        var text = (access.signed ? "s" : "u") + "\(access.bytes &* 8)"
        if access.bigEndian { text += ".big" }
        if access.aligned { text += ".aligned" }
        if access.atomic { text += ".atomic" }
        if access.mmuIndex != 0 { text += ".mmu\(access.mmuIndex)" }
        return text
    }

    private static func mode(_ op: Op) -> [String] {
        switch op.code {
        case .fadd, .fsub, .fmul, .fdiv, .fsqrt, .fma, .froundInt, .intToFloat, .floatToInt, .floatToFloat: break
        default: return []
        }
        let mode = FloatMode(rawValue: op.aux)
        var parts = [mode.resident ? "dynamic(\(mode.rounding))" : "\(mode.rounding)"]
        if !mode.defaultNaN { parts.append("propagateNaN") }
        if mode.negateProduct { parts.append("negateProduct") }
        if mode.negateAddend { parts.append("negateAddend") }
        if mode.signed { parts.append("signed") }
        if mode.exact { parts.append("exact") }
        return parts
    }

    private static func effects(_ raw: UInt16) -> [String] {
        let effects = HelperEffects(rawValue: raw)
        var parts: [String] = []
        if effects.contains(.readsState) { parts.append("readsState") }
        if effects.contains(.writesState) { parts.append("writesState") }
        if effects.contains(.mayFault) { parts.append("mayFault") }
        if effects.contains(.raisesFlags) { parts.append("raisesFlags") }
        if effects.contains(.mayExit) { parts.append("mayExit") }
        return parts.isEmpty ? ["pure"] : parts
    }

    // MARK: arguments

    private static func arguments(of op: Op) -> String {
        switch op.code {
        case .const: " \(hex(op.imm))"
        case .get: " [\(op.offset)]"
        case .put: " [\(op.offset)], %\(op.a)"
        case .load: " \(address(op))"
        case .store: " \(address(op)), %\(op.b)"
        case .atomicRMW: " [%\(op.a)], %\(op.b)"
        case .compareAndSwap: " [%\(op.a)], %\(op.b), %\(op.c)"
        case .storeConditional: " [%\(op.a)], %\(op.b)"
        case .fence: ""
        case .helper: " \(op.imm)(" + [op.a, op.b, op.c].filter { $0 >= 0 }.map { "%\($0)" }.joined(separator: ", ") + ")"
        case .branch: " %\(op.a), %\(op.b) -> \(hex(op.imm))"
        case .jump, .jumpContext: " \(hex(op.imm))"
        case .call: " \(hex(op.imm)), return %\(op.a)"
        case .callIndirect: " %\(op.a), return \(hex(op.imm))"
        case .exit: " \(op.aux) at \(hex(op.imm))"
        default: operands(op)
        }
    }

    private static func operands(_ op: Op) -> String {
        let refs = [op.a, op.b, op.c].prefix(op.traits.operands)
        return refs.isEmpty ? "" : " " + refs.map { "%\($0)" }.joined(separator: ", ")
    }

    private static func address(_ op: Op) -> String {
        let displacement = op.displacement
        if displacement == 0 { return "[%\(op.a)]" }
        return displacement < 0 ? "[%\(op.a) - \(displacement.magnitude)]" : "[%\(op.a) + \(displacement)]"
    }

    private static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
