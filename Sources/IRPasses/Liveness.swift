import IR

/// The backward pass: for each value how often and where it is used last; dead ops are seen by a use count of 0.
///
/// It changes no op. Values made only for dead ops count as dead too, since the sweep runs from the end.
public struct Liveness: @unchecked Sendable {
    /// How many live ops use the value, saturating at 255.
    public let uses: UnsafeMutablePointer<UInt8>
    /// The index of the last live op that uses the value; its own index if none does.
    public let lastUse: UnsafeMutablePointer<Ref>
    public let capacity: Int

    /// - Parameter capacity: of the arenas that will be given to `run`.
    public init(capacity: Int) {
        self.capacity = capacity
        uses = .allocate(capacity: capacity)
        lastUse = .allocate(capacity: capacity)
    }

    public func deallocate() {
        uses.deallocate()
        lastUse.deallocate()
    }

    /// Whether op `index` must be executed.
    @inline(__always)
    public func isLive(_ index: Int, _ ops: UnsafeMutablePointer<Op>) -> Bool {
        uses[index] != 0 || ops[index].code.hasEffect && !(ops[index].code == .helper && ops[index].aux == 0)
    }

    public func run(_ arena: OpArena) {
        let count = min(arena.count, capacity)
        let ops = arena.ops
        for index in 0 ..< count {
            uses[index] = 0
            lastUse[index] = Ref(truncatingIfNeeded: index)
        }
        var index = count
        while index > 0 {
            index &-= 1
            guard isLive(index, ops) else { continue }
            let op = ops[index]
            note(op.a, index)
            note(op.b, index)
            note(op.c, index)
        }
    }

    @inline(__always)
    private func note(_ ref: Ref, _ user: Int) {
        guard ref >= 0 else { return }
        let value = Int(ref)
        if uses[value] == 0 { lastUse[value] = Ref(truncatingIfNeeded: user) }
        if uses[value] < 255 { uses[value] &+= 1 }
    }
}
