// A line of input on a terminal that echoes nothing by itself: erasing, history, completion of the first word.

/// Edits one line after the other. Bounds: length of a line, lines that are remembered.
package struct LineEditor {
    private static let longest = 4096, remembered = 64
    private var line: [UInt8] = []
    private var history: [[UInt8]] = []
    private var place = 0
    private var escape: [UInt8] = []
    private let complete: (String) -> [String]

    package init(complete: @escaping (String) -> [String]) { self.complete = complete }

    package enum Outcome: Equatable {
        case more, line(String)
        /// Nothing stands on the line and the client asks to leave it.
        case abandoned
    }

    /// Takes a byte; `echo` is what the terminal is to show.
    package mutating func take(_ byte: UInt8, echo: inout [UInt8]) -> Outcome {
        if !escape.isEmpty {
            escape.append(byte)
            if escape.count == 2, byte == UInt8(ascii: "[") || byte == UInt8(ascii: "O") { return .more }
            if escape.count < 8, byte < 0x40 { return .more }
            if escape.count > 2 { if byte == UInt8(ascii: "A") { recall(-1, &echo) } else if byte == UInt8(ascii: "B") { recall(1, &echo) } }
            escape = []
            return .more
        }
        switch byte {
        case 0x1b: escape = [byte]
        case 10, 13:
            let text = String(decoding: line, as: UTF8.self)
            if !line.isEmpty, history.last != line { history.append(line) }
            if history.count > Self.remembered { history.removeFirst() }
            place = history.count
            line = []
            echo += [13, 10]
            return .line(text)
        case 8, 127: if line.popLast() != nil { echo += [8, 32, 8] }
        case 3:
            replace([], &echo)
            return .abandoned
        case 21: replace([], &echo)
        case 23:
            var rest = line
            while rest.last == 32 { rest.removeLast() }
            while let last = rest.last, last != 32 { rest.removeLast() }
            replace(rest, &echo)
        case 9: finish(&echo)
        case 16: recall(-1, &echo)
        case 14: recall(1, &echo)
        case 32...: if line.count < Self.longest {
            line.append(byte)
            echo.append(byte)
        }
        default: break
        }
        return .more
    }

    private mutating func replace(_ new: [UInt8], _ echo: inout [UInt8]) {
        for _ in line { echo += [8, 32, 8] }
        line = new
        echo += new
    }

    private mutating func recall(_ step: Int, _ echo: inout [UInt8]) {
        let next = place + step
        guard (0 ... history.count).contains(next) else { return }
        place = next
        replace(next < history.count ? history[next] : [], &echo)
    }

    private mutating func finish(_ echo: inout [UInt8]) {
        guard !line.contains(32) else { return }
        let found = complete(String(decoding: line, as: UTF8.self))
        if found.count == 1 { replace(Array((found[0] + " ").utf8), &echo) } else if found.count > 1 {
            echo += Array(("\r\n" + found.joined(separator: " ") + "\r\n(qemu) ").utf8) + line
        }
    }
}
