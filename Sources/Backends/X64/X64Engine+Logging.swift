import Host
import IR
import Translation

// What `-d` shows of the engine's work: states and blocks as they are run, guest code, IR, and host code.
extension X64Engine {
    func log(_ vcpu: VCPU, _ log: TranslationLog) {
        if log.items.contains(.exec) { log.write("Trace \(hex(vcpu.pc)) [context \(hex(vcpu.context))]\n") }
        if log.items.contains(.cpu) { log.write(guest.describeState(of: vcpu)) }
    }

    func logTrace(_ log: TranslationLog, _ pc: UInt64) {
        if log.items.contains(.inAsm) {
            var text = "IN: \(hex(pc))\n"
            var done = 0
            for range in translator.ranges {
                var address = range.start
                while address &- range.start < UInt64(truncatingIfNeeded: range.length), done < translator.bytes.count,
                      let base = translator.bytes.baseAddress {
                    let window = CodeWindow(bytes: base + done, count: translator.bytes.count - done)
                    let line = guest.disassemble(window, at: address)
                    guard line.length > 0 else { break }
                    text += "\(hex(address)):  \(line.text)\n"
                    address &+= UInt64(truncatingIfNeeded: line.length)
                    done += line.length
                }
            }
            log.write(text + "\n")
        }
        if log.items.contains(.op) { log.write("OP:\n" + IRPrinter.text(of: translator.arena.pointee) + "\n") }
    }

    func logHostCode(_ log: TranslationLog, _ record: BlockRecord) {
        var text = "OUT: [size=\(record.hostEnd - record.hostStart)]\n"
        let base = mapping.executable + Int(record.hostStart)
        var offset = 0
        let boundaries = record.boundaries, words = table.pointee.boundaryWords.base
        for index in 0 ..< Int(boundaries.count) {
            let isLast = index + 1 == Int(boundaries.count)
            let end = isLast ? Int(record.hostEnd - record.hostStart) : Int(boundaries.offset(index + 1, words))
            text += "  -- guest addr \(hex(record.pc &+ UInt64(bitPattern: boundaries.pcDelta(index, words))))\n"
            offset = Int(boundaries.offset(index, words))
            var line = "\(hex(UInt64(UInt(bitPattern: base + offset)))): "
            while offset < end {
                let byte = base.load(fromByteOffset: offset, as: UInt8.self)
                line += (byte < 16 ? "0" : "") + String(byte, radix: 16) + " "
                offset += 1
            }
            text += line + "\n"
        }
        log.write(text + "\n")
    }

    private func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
