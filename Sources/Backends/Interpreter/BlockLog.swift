// What `-d in_asm,op,op_opt,exec,cpu` shows of the interpreter. Nothing here runs unless it was asked for.
import IR
import Translation

/// Writes blocks and vCPUs to the translation log.
final class BlockLog: Sendable {
    private let log: TranslationLog
    private let guest: any Guest

    init(log: TranslationLog, guest: any Guest) {
        self.log = log
        self.guest = guest
    }

    func didTranslate(_ translator: TraceTranslator) {
        if log.items.contains(.inAsm) { log.write(translator.assembly()) }
        if log.items.contains(.op) { log.write("OP:\n" + IRPrinter.text(of: translator.arena.pointee) + "\n") }
    }

    func didOptimize(_ translator: TraceTranslator) {
        if log.items.contains(.opOpt) {
            log.write("OP after optimization:\n" + IRPrinter.text(of: translator.arena.pointee) + "\n")
        }
    }

    func willRun(_ block: UnsafeMutablePointer<Block>, _ vcpu: VCPU) {
        if log.items.contains(.exec) {
            log.write("Trace \(padded(block.pointee.pc)) [\(padded(block.pointee.context))] \(block.pointee.instructions)\n")
        }
        if log.items.contains(.cpu) { log.write(guest.describeState(of: vcpu)) }
    }

    private func padded(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
