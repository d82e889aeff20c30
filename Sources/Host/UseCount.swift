/// Who needs something: each user holds a `Use` for as long as it does.
public final class UseCount: Sendable {
    private let count = Locked(0)

    public final class Use: Sendable {
        private let owner: UseCount
        fileprivate init(_ owner: UseCount) { self.owner = owner }
        deinit { owner.count.withLock { $0 -= 1 } }
    }

    public init() {}
    public func use() -> Use {
        count.withLock { $0 += 1 }
        return Use(self)
    }
    public var isInUse: Bool { count.withLock { $0 > 0 } }
}
