import Core
import MachineMonitor
import Testing

@Suite struct LineEditorTests {
    private func lines(_ input: String) -> [String] {
        var editor = LineEditor { word in ["info", "quit"].filter { $0.hasPrefix(word) } }
        var echo: [UInt8] = []
        return input.utf8.compactMap { byte in if case .line(let text) = editor.take(byte, echo: &echo) { text } else { nil } }
    }

    @Test func editing() {
        #expect(lines("abc\r") == ["abc"])
        #expect(lines("abx\u{7f}c\n") == ["abc"])
        #expect(lines("one\u{15}two\n") == ["two"])
        #expect(lines("one two\u{17}three\n") == ["one three"])
    }

    @Test func history() {
        #expect(lines("first\nsecond\n\u{1b}[A\u{1b}[A\n") == ["first", "second", "first"])
        #expect(lines("first\n\u{1b}[A\u{1b}[B\n") == ["first", ""])
    }

    @Test func completion() {
        #expect(lines("in\tstatus\n") == ["info status"])
        #expect(lines("x\t\n") == ["x"])
    }

    @Test func bounds() {
        #expect(lines(String(repeating: "a", count: 10_000) + "\n")[0].count == 4096)
        #expect(lines("\u{1b}[[[[[[[[[[[[[[[[ok\n").count == 1)
    }

    @Test func policy() throws {
        var policy = RunPolicy()
        try policy.set("panic", "exit-failure")
        #expect(policy.panic == .exitFailure)
        #expect(throws: ConfigurationError.self) { try policy.set("panic", "never") }
        #expect(throws: ConfigurationError.self) { try policy.set("sleep", "never") }
    }
}
