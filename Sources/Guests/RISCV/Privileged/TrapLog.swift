// What `-d int` and `-d mmu` show of a hart.

import Core
import Translation

extension Hart {
    /// QEMU's words for traps, by their numbers.
    private static let interruptNames = ["u_software", "s_software", "vs_software", "m_software", "u_timer", "s_timer", "vs_timer", "m_timer", "u_external", "s_external", "vs_external", "m_external"]
    private static let exceptionNames: [UInt64: String] = [
        0: "misaligned_fetch", 1: "fault_fetch", 2: "illegal_instruction", 3: "breakpoint", 4: "misaligned_load", 5: "fault_load", 6: "misaligned_store", 7: "fault_store",
        8: "user_ecall", 9: "supervisor_ecall", 10: "hypervisor_ecall", 11: "machine_ecall", 12: "exec_page_fault", 13: "load_page_fault", 15: "store_page_fault",
        20: "guest_exec_page_fault", 21: "guest_load_page_fault", 22: "virt_illegal_instruction", 23: "guest_store_page_fault",
    ]

    /// A trap that is about to be taken, in QEMU's words.
    func describeTrap(_ number: UInt64, isInterrupt: Bool, pc: UInt64, value: UInt64) -> String {
        let name = isInterrupt ? (number < 12 ? Self.interruptNames[Int(number)] : nil) : Self.exceptionNames[number]
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
