// How fast a request was, in qemu-io's words.

import Block

enum TransferReport {
    static func print(_ session: ShellSession, _ verb: String, at offset: UInt64, done: UInt64, of count: UInt64, seconds: Double, concise: Bool) {
        let time = max(seconds, 1e-9)
        if concise {
            return session.say("\(done),1,\(clock(seconds, always: true)),\(fixed(Double(done) / time, 3)),\(fixed(1 / time, 3))")
        }
        session.say("\(verb) \(done)/\(count) bytes at offset \(offset)")
        session.say("\(size(Double(done))), 1 ops; \(clock(seconds, always: false)) (\(size(Double(done) / time))/sec and \(fixed(1 / time, 4)) ops/sec)")
    }

    /// A size with its largest unit: no decimals if it is whole, else three.
    static func size(_ value: Double) -> String {
        var unit = 0, value = value
        while unit < 6, value >= 1024 { value /= 1024; unit += 1 }
        let name = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][unit]
        return (value == value.rounded() ? String(UInt64(min(value, 1e18))) : fixed(value, 3)) + " " + name
    }

    private static func clock(_ seconds: Double, always: Bool) -> String {
        let hundredths = Int(min(max(seconds, 0), 1e9) * 100)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let rest = "\(two(hundredths / 100 % 60)).\(two(hundredths % 100))"
        if always || seconds >= 60 { return "\(hundredths / 360_000):\(two(hundredths / 6000 % 60)):\(rest)" }
        return rest + " sec"
    }

    static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = UInt64(min(max(value, 0), 1e14) * scale + 0.5), unit = UInt64(scale)
        let rest = String(scaled % unit)
        return "\(scaled / unit)." + String(repeating: "0", count: max(0, digits - rest.utf8.count)) + rest
    }

    /// Sixteen bytes a line.
    static func dump(_ session: ShellSession, _ buffer: BlockBuffer, at offset: UInt64) {
        let bytes = buffer.bytes
        var text = ""
        for line in stride(from: 0, to: bytes.count, by: 16) {
            let part = bytes[line..<min(bytes.count, line + 16)]
            let place = String(offset + UInt64(line), radix: 16)
            text += String(repeating: "0", count: max(0, 8 - place.utf8.count)) + place + ":  "
            for byte in part { text += (byte < 16 ? "0" : "") + String(byte, radix: 16) + " " }
            text += " " + String(decoding: part.map { (0x20..<0x7f).contains($0) ? $0 : UInt8(ascii: ".") }, as: UTF8.self) + "\n"
        }
        session.tool.say(text)
    }
}
