import Testing
import UserMode

@Suite struct InitialStackTests {
    @Test func isLaidOutAsTheABISays() throws {
        for wordSize in [4, 8] {
            for count in 0..<6 {
                let arguments = (0..<count).map { Array("argument \($0)".utf8) }
                let environment = [Array("A=1".utf8), Array("LONG=\(String(repeating: "x", count: 1000))".utf8)]
                let top: UInt64 = 0x7f00_0000
                let stack = InitialStack(
                    model: DataModel(wordSize: wordSize, bigEndian: wordSize == 4), top: top, arguments: arguments, environment: environment,
                    executable: Array("/bin/prog".utf8), platform: count & 1 == 0 ? nil : "v7", random: (1...16).map { $0 }, fixed: [(6, 4096), (9, 0x1234)])
                #expect(stack.pointer % 16 == 0)
                #expect(stack.pointer + UInt64(stack.bytes.count) == top)
                let reader = ByteReader(stack.bytes, bigEndian: wordSize == 4)
                var at = 0
                func word() throws -> UInt64 {
                    defer { at += wordSize }
                    return try #require(reader.integer(at, wordSize))
                }
                func string(_ address: UInt64) throws -> [UInt8] {
                    let tail = try #require(address >= stack.pointer && address < top ? stack.bytes[Int(address - stack.pointer)...] : nil)
                    return Array(tail.prefix { $0 != 0 })
                }
                #expect(try word() == UInt64(count))
                for argument in arguments { #expect(try string(word()) == argument) }
                #expect(try word() == 0)
                for variable in environment { #expect(try string(word()) == variable) }
                #expect(try word() == 0)
                var auxiliary: [UInt64: UInt64] = [:]
                while true {
                    let key = try word(), value = try word()
                    if key == 0 { break }
                    auxiliary[key] = value
                }
                #expect(auxiliary[6] == 4096 && auxiliary[9] == 0x1234)
                #expect(try string(try #require(auxiliary[31])) == Array("/bin/prog".utf8))
                #expect(try string(try #require(auxiliary[25])) .prefix(16) == ArraySlice((1...16).map { UInt8($0) }))
                #expect((auxiliary[15] == nil) == (count & 1 == 0))
                #expect(stack.argumentRange.upperBound == stack.environmentRange.lowerBound)
            }
        }
    }
}
