// `x`, `xp`, `print` and the expressions that they take: numbers, $registers, + - * / & | ^ ~ and parentheses.

import Core
import Monitor
import Translation

extension HumanMonitor {
    /// `/COUNT FORMAT SIZE` as `x/8xg` has it.
    private struct Format {
        var count = 1, kind: Character = "x", size = 4
        init?(_ text: String) {
            var digits = ""
            for character in text.dropFirst() {
                switch character {
                case "0" ... "9": digits.append(character)
                case "x", "d", "u", "o", "c", "i", "s": kind = character
                case "b": size = 1
                case "h": size = 2
                case "w": size = 4
                case "g": size = 8
                default: return nil
                }
            }
            if kind == "c" || kind == "s" { size = 1 }
            if !digits.isEmpty {
                guard let number = Int(digits), (1 ... 65536).contains(number) else { return nil }
                count = number
            }
        }
        func text(_ value: UInt64) -> String {
            let shift = UInt64(64 - size * 8)
            let own = (value << shift) >> shift
            switch kind {
            case "d": return String(Int64(bitPattern: value << shift) >> Int64(shift))
            case "u": return String(own)
            case "o": return "0" + String(own, radix: 8)
            case "c", "s": return (32 ..< 127).contains(own) ? "'\(Character(UnicodeScalar(UInt8(own))))'" : "'\\x\(String(own, radix: 16))'"
            default:
                let digits = String(own, radix: 16)
                return "0x" + String(repeating: "0", count: max(0, size * 2 - digits.count)) + digits
            }
        }
    }

    private func split(_ words: [String]) throws(MonitorError) -> (Format, String) {
        var words = words
        var format = Format("/")
        if let first = words.first, first.hasPrefix("/") {
            format = Format(first)
            words.removeFirst()
        }
        guard let format else { throw MonitorError("invalid char in format") }
        guard !words.isEmpty else { throw MonitorError("an expression is expected") }
        return (format, words.joined())
    }

    func dump(_ words: [String], _ state: HumanState, isPhysical: Bool) throws(MonitorError) -> String {
        let (format, expression) = try split(words)
        var address = try value(expression, state), text = ""
        func bytes(_ count: Int) -> [UInt8]? {
            var all: [UInt8] = []
            // Page by page: each may lie elsewhere.
            while all.count < count {
                let at = address &+ UInt64(all.count)
                let part = min(count - all.count, Int(4096 - at & 4095))
                guard let more = isPhysical ? owner.physical(at, part) : owner.virtual(at, part, hart: state.hart) else { return all.isEmpty ? nil : all }
                all += more
            }
            return all
        }
        func failure() -> String { "Cannot access memory at address 0x\(String(address, radix: 16))\n" }
        if format.kind == "i" {
            for _ in 0 ..< format.count {
                guard let code = bytes(max(machine.guest.maximumInstructionLength, 1)) else { return text + failure() }
                let (line, length) = code.withUnsafeBytes { raw in raw.baseAddress.map { machine.guest.disassemble(CodeWindow(bytes: $0, count: raw.count), at: address) } ?? ("?", 4) }
                text += "0x\(hex16(address)):  \(line)\n"
                address &+= UInt64(max(1, length))
            }
            return text
        }
        let perLine = format.kind == "c" ? 8 : max(1, 16 / format.size)
        for index in 0 ..< format.count {
            guard let value = bytes(format.size), value.count == format.size else { return text + (index % perLine == 0 ? "" : "\n") + failure() }
            if index % perLine == 0 { text += (index > 0 ? "\n" : "") + hex16(address) + ":" }
            text += " " + format.text(value.reversed().reduce(0) { $0 << 8 | UInt64($1) })
            address &+= UInt64(format.size)
        }
        return text + "\n"
    }

    func printValue(_ words: [String], _ state: HumanState) throws(MonitorError) -> String {
        var (format, expression) = try split(words)
        format.size = 8
        let result = try value(expression, state)
        if format.kind == "x" { return "0x\(String(result, radix: 16))\n" }
        return format.text(result) + "\n"
    }

    // MARK: expressions

    func value(_ text: String, _ state: HumanState) throws(MonitorError) -> UInt64 {
        var rest = Array(text.filter { $0 != " " })[...]
        let result = try sum(&rest, state, 0)
        if let odd = rest.first { throw MonitorError("unexpected '\(odd)' in expression") }
        return result
    }

    private func sum(_ rest: inout ArraySlice<Character>, _ state: HumanState, _ depth: Int) throws(MonitorError) -> UInt64 {
        var result = try product(&rest, state, depth)
        while let sign = rest.first, sign == "+" || sign == "-" {
            rest.removeFirst()
            let other = try product(&rest, state, depth)
            result = sign == "+" ? result &+ other : result &- other
        }
        return result
    }

    private func product(_ rest: inout ArraySlice<Character>, _ state: HumanState, _ depth: Int) throws(MonitorError) -> UInt64 {
        var result = try term(&rest, state, depth)
        while let sign = rest.first, "*/%&|^".contains(sign) {
            rest.removeFirst()
            let other = try term(&rest, state, depth)
            if sign == "/" || sign == "%", other == 0 { throw MonitorError("division by zero") }
            switch sign {
            case "*": result = result &* other
            case "/": result /= other
            case "%": result %= other
            case "&": result &= other
            case "|": result |= other
            default: result ^= other
            }
        }
        return result
    }

    private func term(_ rest: inout ArraySlice<Character>, _ state: HumanState, _ depth: Int) throws(MonitorError) -> UInt64 {
        guard depth < 64, let first = rest.first else { throw MonitorError("unexpected end of expression") }
        switch first {
        case "-", "+", "~":
            rest.removeFirst()
            let inner = try term(&rest, state, depth + 1)
            return first == "-" ? 0 &- inner : first == "~" ? ~inner : inner
        case "(":
            rest.removeFirst()
            let inner = try sum(&rest, state, depth + 1)
            guard rest.popFirst() == ")" else { throw MonitorError("')' expected") }
            return inner
        case "$":
            rest.removeFirst()
            let name = String(rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
            rest = rest.dropFirst(name.count)
            guard let value = register(name, state.hart) else { throw MonitorError("unknown register") }
            return value
        default:
            let digits = String(rest.prefix { $0.isHexDigit || $0 == "x" || $0 == "X" })
            rest = rest.dropFirst(digits.count)
            guard let value = digits.lowercased().hasPrefix("0x") ? UInt64(digits.dropFirst(2), radix: 16) : UInt64(digits) else { throw MonitorError("invalid number '\(digits)'") }
            return value
        }
    }

    /// A register by any of the names under which `info registers` shows it.
    private func register(_ name: String, _ hart: Int) -> UInt64? {
        let words = owner.registers(hart).split(whereSeparator: \.isWhitespace)
        for (word, value) in zip(words, words.dropFirst()) where word.split(separator: "/").contains(where: { $0 == name }) { return UInt64(value, radix: 16) }
        return nil
    }
}
