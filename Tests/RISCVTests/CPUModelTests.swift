// `-cpu` arguments: models, switches in all their spellings, what is refused and how.

import RISCV
import Testing

@Suite struct CPUModelTests {
    @Test func switches() throws {
        let base = try CPUModel(parsing: "rv64").extensions
        #expect(base.contains(.zba) && base.contains(.zfa) && !base.contains(.zcb))
        for text in ["rv64,zba=off", "rv64,zba=false", "rv64,-zba"] {
            #expect(try CPUModel(parsing: text).extensions == base.subtracting(.zba), "\(text)")
        }
        for text in ["rv64,zcb=on", "rv64,zcb=true", "rv64,+zcb", "rv64,zcb"] {
            #expect(try CPUModel(parsing: text).extensions == base.union(.zcb), "\(text)")
        }
        #expect(try CPUModel(parsing: "rv64,v=false,zacas=off,vlen=128").extensions == base)
        #expect(try CPUModel(parsing: "max").extensions == .all)
        // What needs a switched-off extension goes too.
        let integer = try CPUModel(parsing: "rv64,f=off").extensions
        #expect(integer.isDisjoint(with: [.f, .d, .zfa, .zcd]) && integer.contains(.zca))
    }

    @Test func refusals() {
        let cases: [(String, CPUModelError)] = [
            ("sifive", .unknownModel("sifive")), ("", .unknownModel("")), ("rv64,zfoo=on", .unknownFeature("zfoo")),
            ("rv64,zvbb=true", .unsupportedFeature("zvbb")), ("rv64,zba=maybe", .badValue(feature: "zba", value: "maybe")),
            ("rv64i,d=on", .missingRequirement(feature: "d", needs: "f")),
        ]
        for (text, expected) in cases {
            #expect(throws: expected, "\(text)") { try CPUModel(parsing: text) }
        }
    }

    @Test func isaString() throws {
        #expect(try CPUModel(parsing: "rv64i").extensions.isaString == "rv64i")
        #expect(try CPUModel(parsing: "rv64").extensions.isaString.hasPrefix("rv64imafdcb_zicbop_zicntr_zicsr"))
    }
}
