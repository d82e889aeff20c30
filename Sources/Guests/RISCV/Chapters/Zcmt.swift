// "Zcmt": jumps through a table that the CSR `jvt` points to. Its encodings are those of c.fsdsp, so that a CPU has either
// this or Zcd.
//
// Entries are read by ordinary loads each time, so that a changed table needs no fence. A mode other than 0 is reserved:
// it is part of the translation context, and the instructions are illegal under it.

import IR
import Translation

extension Emit {
    /// Whether `jvt` names the one mode there is.
    private var hasJumpTable: Bool { context & 8 == 0 }

    mutating func setJumpTable(_ value: Value) {
        builder.put(RISCVState.jumpTable, value)
        let isReserved = (value & constant(0x3f as UInt64)) != constant(0 as UInt64)
        setContext(constant64(context & ~8) | isReserved << constant64(3))
        endInNewContext()
    }

    mutating func jumpByTable(_ index: UInt64, isCall: Bool) {
        guard hasJumpTable else { return illegal() }
        let base = builder.get(RISCVState.jumpTable, xlen.type) & constant(~0x3f as UInt64)
        let entry = Int64(index) &* Int64(xlen.bytes)
        let target = builder.load(base, entry, MemoryAccess(bytes: xlen.bytes), xlen.type) & constant(~1 as UInt64)
        if isCall {
            self[.ra] = constant(next)
            builder.call(target, returningTo: next)
        } else {
            builder.jump(to: target)
        }
        flow = .end
    }
}

extension Pattern {
    static let tableJump: [Pattern] = [
        Pattern("cm.jt index", "101 000 000 ..... 10", .zcmt) { x, i in x.jumpByTable(i.tableIndex, isCall: false) },
        Pattern("cm.jalt index", "101 000 nnn ..... 10", .zcmt) { x, i in x.jumpByTable(i.tableIndex, isCall: true) },
    ]
}
