// Makes a failing trace small: takes ops away while it still fails.
import IR

public enum TraceShrinking {
    /// Simplifies the trace in `arena` as long as `fails` holds for what is left. The trace stays valid.
    public static func shrink(_ arena: UnsafeMutablePointer<OpArena>, while fails: () -> Bool) {
        var changed = true
        var rounds = 0
        while changed, rounds < 8 {
            changed = false
            rounds += 1
            var index = arena.pointee.count - 1
            while index >= 0 {
                index -= 1
                guard index >= 0 else { break }
                let saved = copy(arena)
                let op = arena.pointee.ops[index]
                // Instructions stay where they are, four bytes apart.
                if op.code == .instruction { continue }
                if op.traits.hasResult {
                    // A value becomes a constant; an unused constant goes.
                    if op.code == .const {
                        guard !isUsed(index, arena) else { continue }
                        remove(index, arena)
                    } else {
                        arena.pointee.ops[index] = Op(.const, op.type, imm: op.type.bits >= 8 ? 5 : 0)
                    }
                } else {
                    remove(index, arena)
                }
                if fails() { changed = true } else { restore(saved, arena) }
            }
        }
    }

    private static func copy(_ arena: UnsafeMutablePointer<OpArena>) -> [Op] {
        Array(UnsafeBufferPointer(start: arena.pointee.ops, count: arena.pointee.count))
    }

    private static func restore(_ ops: [Op], _ arena: UnsafeMutablePointer<OpArena>) {
        for (index, op) in ops.enumerated() { arena.pointee.ops[index] = op }
        arena.pointee.count = ops.count
    }

    private static func isUsed(_ index: Int, _ arena: UnsafeMutablePointer<OpArena>) -> Bool {
        for user in index + 1 ..< arena.pointee.count {
            let op = arena.pointee.ops[user]
            if op.a == Ref(index) || op.b == Ref(index) || op.c == Ref(index) { return true }
        }
        return false
    }

    private static func remove(_ index: Int, _ arena: UnsafeMutablePointer<OpArena>) {
        let removed = Ref(index)
        for user in index + 1 ..< arena.pointee.count {
            var op = arena.pointee.ops[user]
            if op.a > removed { op.a -= 1 }
            if op.b > removed { op.b -= 1 }
            if op.c > removed { op.c -= 1 }
            arena.pointee.ops[user - 1] = op
        }
        arena.pointee.count -= 1
    }
}
