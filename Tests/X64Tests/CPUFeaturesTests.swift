// CPUID against what the kernel lists, which knows the same sets by names of its own.
import Foundation
import Testing
import X64

struct CPUFeaturesTests {
    private static let kernelNames = ["SSE3": "pni", "SSE4.1": "sse4_1", "SSE4.2": "sse4_2", "CMPXCHG16B": "cx16",
                                      "LZCNT": "abm", "AVX512_IFMA": "avx512ifma", "AVX512_VBMI": "avx512vbmi",
                                      "SHA": "sha_ni"]

    @Test func agreesWithTheKernel() throws {
        let text = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
        let flags = Set(line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init))
        for name in CPUFeatures(rawValue: .max).names {
            let has = CPUFeatures.host.names.contains(name)
            #expect(flags.contains(Self.kernelNames[name] ?? name.lowercased()) == has, "\(name)")
        }
    }

    @Test func namesWhatIsMissing() {
        #expect(CPUFeatures.baseline.missing(from: .baseline) == nil)
        #expect(CPUFeatures.baseline.subtracting([.fma, .bmi2]).missing(from: .baseline) == "FMA, BMI2")
        #expect(CPUFeatures([]).missing(from: .baseline)?.contains("LZCNT") == true)
    }
}
