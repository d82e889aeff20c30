// Instructions that only advise: Zihintpause and Zawrs. The hints of Zihintntl (`add x0, x0, x2`…) and Zicbop
// (`ori x0, …`) are ordinary instructions that write x0.

import Translation

extension Pattern {
    static let hints: [Pattern] = [
        Pattern("pause", "0000 0001 0000 00000 000 00000 0001111", .zihintpause) { x, i in x.exitAfter(.idle) },
        // A wait may end at any time; what it waits for is another hart's store, so this one gives way.
        Pattern("wrs.nto", "000000001101 00000 000 00000 1110011", .zawrs) { x, i in x.exitAfter(.idle) },
        Pattern("wrs.sto", "000000011101 00000 000 00000 1110011", .zawrs) { x, i in x.exitAfter(.idle) },
    ]
}
