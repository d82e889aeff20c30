import Block
import Core
import Testing

/// Sizes, options, names, JSON: the small parsers that untrusted text meets.
@Suite struct ModelTests {
    @Test func sizesAreReadAsQEMUReadsThem() {
        let cases: [(String, UInt64?)] = [("10", 10), ("1k", 1024), ("1K", 1024), ("1.5G", 1_610_612_736), ("0x10", 16), ("7E", 7 << 60), ("16E", nil), ("", nil),
                                          ("k", nil), ("-1", nil), ("1kk", nil), ("1.5", nil), ("+3", nil), ("18446744073709551615", UInt64.max), ("18446744073709551616", nil)]
        let wrong = cases.filter { SizeText.parse($0.0) != $0.1 }
        #expect(wrong.isEmpty, "\(wrong)")
    }

    @Test func sizesAreWrittenAsQEMUWritesThem() {
        let cases: [(UInt64, String)] = [(0, "0 B"), (512, "512 B"), (1023, "0.999 KiB"), (1024, "1 KiB"), (10 << 20, "10 MiB"), (200_704, "196 KiB"), (1_610_612_736, "1.5 GiB"), (12_345_856, "11.8 MiB")]
        let wrong = cases.filter { SizeText.human($0.0) != $0.1 }.map { ($0, SizeText.human($0.0)) }
        #expect(wrong.isEmpty, "\(wrong)")
    }

    @Test func optionsAreSplitAtSingleCommas() {
        let parts = OptionValues.split("a=1,b=x,,y,c,d==")
        #expect(parts.map(\.name) == ["a", "b", "c", "d"] && parts.map(\.value) == ["1", "x,y", "on", "="])
    }

    @Test func jsonSurvivesARoundTripAndRefusesTheRest() throws {
        let text = #"{"a": [1, -2, 18446744073709551615, true, null, "\u00e9\ud83d\ude00\n"], "b": {}}"#
        let value = try JSONValue(parsing: text)
        #expect(try JSONValue(parsing: value.compact) == value && JSONValue(parsing: value.pretty) == value)
        for bad in ["", "{", "[1,]", "{\"a\"}", "\"\\ud800\"", "01x", "nul", "[" + String(repeating: "[", count: 1000), "\"\u{1}\"", "1 2"] {
            #expect(throws: JSONError.self) { try JSONValue(parsing: bad) }
        }
    }

    @Test func secretsAreFoundByTheirId() throws {
        let secrets = Secrets()
        try secrets.add(object: "secret,id=a,data=let,,me in")
        try secrets.add(object: "secret,id=b,data=aGVsbG8=,format=base64")
        #expect(try secrets.bytes("a") == Array("let,me in".utf8) && secrets.bytes("b") == Array("hello".utf8))
        for bad in ["", "secret", "secret,id=c", "secret,id=a,data=x", "secret,id=d,data=x,format=base64", "secret,id=e,data=x,keyid=a", "tls-creds-psk,id=f"] {
            #expect(throws: BlockError.self) { try secrets.add(object: bad) }
        }
        #expect(throws: BlockError.self) { try secrets.bytes("c") }
    }

    @Test func bytesAreChecked() throws {
        var bytes = Bytes([1, 2, 3, 4, 5], at: 100, order: .big)
        #expect(try bytes.u32(0) == 0x0102_0304 && bytes.u16(3) == 0x0405)
        #expect(throws: BlockError.self) { try bytes.u32(2) }
        #expect(throws: BlockError.self) { try bytes.u8(-1) }
        #expect(throws: BlockError.self) { try bytes.slice(3, Int.max) }
        #expect(throws: BlockError.self) { try bytes.set(4, UInt16(1)) }
        let zeros = [UInt8](repeating: 0, count: 100_000)
        for at in [0, 31, 32, 33, 4095, 99_999] {
            var array = zeros
            array[at] = 1
            let prefix = try BlockBuffer.with(&array) { (buffer) throws(BlockError) in buffer.zeroPrefix }
            #expect(prefix == at)
        }
    }
}
