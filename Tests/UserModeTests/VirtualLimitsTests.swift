import Testing
@testable import UserMode

/// Limits on their way through `execve`: text that a program could also have written itself.
struct VirtualLimitsTests {
    @Test func textAndBack() throws {
        let limits: [Int32: (UInt64, UInt64)] = [3: (8 << 20, .max), 9: (1 << 30, 1 << 30)]
        let text = try #require(VirtualLimits.text(limits))
        #expect(text == "3=8388608:18446744073709551615,9=1073741824:1073741824")
        let parsed = try #require(VirtualLimits.parse(text))
        #expect(parsed.count == 2)
        #expect(parsed[3]?.0 == 8 << 20 && parsed[3]?.1 == .max)
        #expect(parsed[9]?.0 == 1 << 30 && parsed[9]?.1 == 1 << 30)
        #expect(VirtualLimits.text([:]) == nil)
    }

    @Test(arguments: ["3", "3=1", "3=2:1", "7=1:1", "3=1:x", "3=1:18446744073709551616", "=1:1", "3=1:1;9=1:1"])
    func refused(_ text: String) { #expect(VirtualLimits.parse(text) == nil) }

    /// The guest does not see the variable, whether it is heeded or not.
    @Test func variableIsTaken() {
        var environment = ["A=b", "APUS_LIMITS=3=2:1", "C=d", "APUS_LIMITS=nonsense"].map { Array($0.utf8) }
        VirtualLimits.inherit(from: &environment, heeded: false)
        #expect(environment == ["A=b", "C=d"].map { Array($0.utf8) })
    }
}
