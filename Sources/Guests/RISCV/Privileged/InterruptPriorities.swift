// Which of several major interrupts comes first: "RISC-V Advanced Interrupt Architecture" 1.0, sections 5.1, 5.2.2 and 5.4.2.

/// A major interrupt with what decides its place.
struct RankedInterrupt {
    /// As `mtopi`, `stopi` and `vstopi` name it.
    let number: UInt64
    /// 0: by the default order; external interrupts: their own number, 256 where nobody tells it.
    let priority: Int
    /// Its place in the default order, relative to the external interrupt of the level: negative comes before it.
    let rank: Int
    let isExternal: Bool

    /// Smaller comes first.
    private var key: (Int, Int) { (priority == 0 && !isExternal ? (rank < 0 ? 0 : 257) : priority, rank) }

    static func first(_ a: RankedInterrupt?, _ b: RankedInterrupt?) -> RankedInterrupt? {
        guard let a else { return b }
        guard let b else { return a }
        return a.key <= b.key ? a : b
    }

    /// IPRIO of the top-interrupt registers.
    var shownPriority: UInt64 { priority == 0 ? (rank < 0 ? 0 : 255) : UInt64(min(priority, 255)) }
    /// The top-interrupt register that shows it.
    var top: UInt64 { number << 16 | shownPriority }
}

enum InterruptPriorities {
    /// All major interrupts, the highest default priority first; those for custom use last.
    private static let order: [Int] = [
        47, 23, 46, 45, 22, 44, 43, 21, 42, 41, 20, 40, 11, 3, 7, 9, 1, 5, 12, 10, 2, 6, 13, 14,
        39, 19, 38, 37, 18, 36, 35, 17, 34, 33, 16, 32, 15, 24, 25, 26, 27, 28, 29, 30, 31,
    ]
    private static let ranks: [Int] = {
        var ranks = [Int](repeating: order.count, count: 64)
        for (rank, number) in order.enumerated() { ranks[number] = rank }
        for number in 48 ..< 64 { ranks[number] = number }
        return ranks
    }()

    /// The first of the bits of `pending`.
    /// - Parameters:
    ///   - priorities: of each major interrupt.
    ///   - external: the level's own external interrupt, and its priority.
    static func first(_ pending: UInt64, _ priorities: [UInt8], external: Int, externalPriority: () -> Int) -> RankedInterrupt? {
        var best: RankedInterrupt?, bits = pending
        while bits != 0 {
            let number = bits.trailingZeroBitCount
            bits &= bits &- 1
            let isExternal = number == external
            let priority = isExternal ? externalPriority() : Int(priorities[number])
            best = RankedInterrupt.first(best, RankedInterrupt(number: UInt64(number), priority: priority, rank: ranks[number] - ranks[external],
                                                               isExternal: isExternal))
        }
        return best
    }
}
