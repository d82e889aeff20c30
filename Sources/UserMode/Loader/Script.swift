/// The first line of a script: execve(2), "Interpreter scripts".
package struct Script: Equatable, Sendable {
    package var interpreter: [UInt8]
    /// The rest of the line, blanks trimmed, as one argument.
    package var argument: [UInt8]?

    /// Nil if `head`, the file's first 256 bytes, does not begin with a usable `#!` line.
    package init?(head: [UInt8]) {
        guard head.count > 2, head[0] == UInt8(ascii: "#"), head[1] == UInt8(ascii: "!") else { return nil }
        let rest = head[2...]
        let end = rest.firstIndex(of: UInt8(ascii: "\n"))
        // A line longer than the buffer is refused if its interpreter name may be cut off.
        var line = rest[..<(end ?? rest.endIndex)]
        if let nul = line.firstIndex(of: 0) { line = line[..<nul] }
        func isBlank(_ c: UInt8) -> Bool { c == 32 || c == 9 }
        line = line.drop(while: isBlank)
        while let last = line.last, isBlank(last) { line = line.dropLast() }
        let name = line.prefix { !isBlank($0) }
        guard !name.isEmpty else { return nil }
        if end == nil, head.count >= 256, name.endIndex == line.endIndex { return nil }
        interpreter = Array(name)
        let tail = line[name.endIndex...].drop(while: isBlank)
        argument = tail.isEmpty ? nil : Array(tail)
    }
}
