// What `-d int` and `-d mmu` show of a hart.

import Core
import Translation

extension Hart {
    /// A trap that is about to be taken, in QEMU's words.
    func describeTrap(_ number: UInt64, isInterrupt: Bool, pc: UInt64, value: UInt64) -> String {
        let name = isInterrupt ? HartInterrupt(rawValue: UInt32(truncatingIfNeeded: number)).map { "\($0)" } : ExceptionCause(rawValue: number).map { "\($0)" }
        return "riscv_cpu_do_interrupt: hart:\(self.number), async:\(isInterrupt ? 1 : 0), cause:\(Self.hex(number)), epc:0x\(Self.hex(pc)), tval:0x\(Self.hex(value)), desc=\(name ?? "(unknown)")\n"
    }

    /// What became of a translation.
    func describe(_ page: PageTranslation?, _ address: UInt64, _ kind: AccessKind, index: Int) -> String {
        let result = page.map { page in
            let rights = [(AccessRights.load, "r"), (.store, "w"), (.fetch, "x")].map { page.rights.contains($0.0) ? $0.1 : "-" }.joined()
            return "physical 0x\(Self.hex(page.physical)) \(rights) size 0x\(String(page.size, radix: 16))"
        }
        return "mmu: hart:\(number) \(kind.word) 0x\(Self.hex(address)) index \(index): \(result ?? "fault, cause \(recorded.cause.rawValue)")\n"
    }

    private static func hex(_ value: UInt64) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}

extension AccessKind {
    /// For messages.
    var word: String { self == .load ? "read" : self == .store ? "write" : "fetch" }
}
