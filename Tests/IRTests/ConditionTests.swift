import IR
import Testing

@Test func invertedConditionsAreOpposite() {
    let samples: [UInt64] = [0, 1, 2, 0x7f, 0x80, 0xff, ~0, 1 << 63, (1 << 63) - 1]
    for condition in Condition.allCases {
        for a in samples { for b in samples {
            #expect(condition.holds(a, b, .i64) != condition.inverted.holds(a, b, .i64))
            #expect(condition.holds(a, b, .i64) == condition.swapped.holds(b, a, .i64))
        } }
    }
}
