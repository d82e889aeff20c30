// The instruction sets of the host CPU: what the back end demands and what it can use besides. Intel SDM volume 2,
// CPUID, and volume 1, sections 13.2 and 14.3 (an AVX set counts only if the system saves its registers).
import CHost

/// A set of instruction sets.
package struct CPUFeatures: OptionSet, BitwiseCopyable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package static let sse3 = CPUFeatures(0), ssse3 = CPUFeatures(1), sse41 = CPUFeatures(2), sse42 = CPUFeatures(3)
    package static let popcnt = CPUFeatures(4), movbe = CPUFeatures(5), cmpxchg16b = CPUFeatures(6)
    package static let pclmulqdq = CPUFeatures(7), avx = CPUFeatures(8), f16c = CPUFeatures(9), fma = CPUFeatures(10)
    package static let avx2 = CPUFeatures(11), bmi1 = CPUFeatures(12), bmi2 = CPUFeatures(13), lzcnt = CPUFeatures(14)
    package static let aes = CPUFeatures(15), sha = CPUFeatures(16), gfni = CPUFeatures(17), vaes = CPUFeatures(18)
    package static let vpclmulqdq = CPUFeatures(19), adx = CPUFeatures(20), erms = CPUFeatures(21)
    package static let avx512f = CPUFeatures(22), avx512dq = CPUFeatures(23), avx512bw = CPUFeatures(24)
    package static let avx512vl = CPUFeatures(25), avx512ifma = CPUFeatures(26), avx512vbmi = CPUFeatures(27)
    package static let avx512bitalg = CPUFeatures(28), avx512vpopcntdq = CPUFeatures(29)

    /// What generated code uses without asking: x86-64-v3 and carry-less multiplication.
    package static let baseline: CPUFeatures = [
        .sse3, .ssse3, .sse41, .sse42, .popcnt, .movbe, .cmpxchg16b, .pclmulqdq, .avx, .f16c, .fma, .avx2, .bmi1,
        .bmi2, .lzcnt,
    ]

    /// All that the EVEX forms in the assembler's tables need, and so registers from 16 up.
    package static let wideRegisters: CPUFeatures = [.avx512f, .avx512dq, .avx512bw, .avx512vl]

    /// The features of the CPU this process runs on.
    package static let host = detect()

    /// The manual's names of what this CPU lacks of the baseline, separated by commas; nil if it lacks nothing.
    package static var missingBaseline: String? { host.missing(from: baseline) }

    /// The names of the wanted features that are not in this set, separated by commas; nil if all are.
    package func missing(from wanted: CPUFeatures) -> String? {
        let lacking = wanted.subtracting(self)
        return lacking.isEmpty ? nil : lacking.names.joined(separator: ", ")
    }

    /// The manual's names, in the order of the table.
    package var names: [String] { Self.table.filter { contains($0.feature) }.map(\.name) }

    private init(_ bit: UInt64) { rawValue = 1 &<< bit }

    private enum Register: Int { case eax, ebx, ecx, edx }

    /// Which registers the system must save and restore.
    private enum SavedState: UInt64 {
        case none = 0
        /// XMM and YMM.
        case avx = 0x06
        /// And opmasks, the upper halves of ZMM and the registers from 16 up.
        case avx512 = 0xE6
    }

    private struct Row {
        let name: String
        let feature: CPUFeatures
        let leaf: UInt32
        let register: Register
        let bit: UInt32
        let state: SavedState

        init(_ name: String, _ feature: CPUFeatures, _ leaf: UInt32, _ register: Register, _ bit: UInt32,
             _ state: SavedState = .none) {
            self.name = name
            self.feature = feature
            self.leaf = leaf
            self.register = register
            self.bit = bit
            self.state = state
        }
    }

    /// Every leaf is read at subleaf 0.
    private static let table: [Row] = [
        Row("SSE3", .sse3, 1, .ecx, 0),
        Row("PCLMULQDQ", .pclmulqdq, 1, .ecx, 1),
        Row("SSSE3", .ssse3, 1, .ecx, 9),
        Row("FMA", .fma, 1, .ecx, 12, .avx),
        Row("CMPXCHG16B", .cmpxchg16b, 1, .ecx, 13),
        Row("SSE4.1", .sse41, 1, .ecx, 19),
        Row("SSE4.2", .sse42, 1, .ecx, 20),
        Row("MOVBE", .movbe, 1, .ecx, 22),
        Row("POPCNT", .popcnt, 1, .ecx, 23),
        Row("AES", .aes, 1, .ecx, 25),
        Row("AVX", .avx, 1, .ecx, 28, .avx),
        Row("F16C", .f16c, 1, .ecx, 29, .avx),
        Row("BMI1", .bmi1, 7, .ebx, 3),
        Row("AVX2", .avx2, 7, .ebx, 5, .avx),
        Row("BMI2", .bmi2, 7, .ebx, 8),
        Row("ERMS", .erms, 7, .ebx, 9),
        Row("AVX512F", .avx512f, 7, .ebx, 16, .avx512),
        Row("AVX512DQ", .avx512dq, 7, .ebx, 17, .avx512),
        Row("ADX", .adx, 7, .ebx, 19),
        Row("AVX512_IFMA", .avx512ifma, 7, .ebx, 21, .avx512),
        Row("SHA", .sha, 7, .ebx, 29),
        Row("AVX512BW", .avx512bw, 7, .ebx, 30, .avx512),
        Row("AVX512VL", .avx512vl, 7, .ebx, 31, .avx512),
        Row("AVX512_VBMI", .avx512vbmi, 7, .ecx, 1, .avx512),
        Row("GFNI", .gfni, 7, .ecx, 8),
        Row("VAES", .vaes, 7, .ecx, 9, .avx),
        Row("VPCLMULQDQ", .vpclmulqdq, 7, .ecx, 10, .avx),
        Row("AVX512_BITALG", .avx512bitalg, 7, .ecx, 12, .avx512),
        Row("AVX512_VPOPCNTDQ", .avx512vpopcntdq, 7, .ecx, 14, .avx512),
        Row("LZCNT", .lzcnt, 0x8000_0001, .ecx, 5),
    ]

    private static func detect() -> CPUFeatures {
        let saves = read(1, .ecx) & 1 << 27 != 0 ? apus_xgetbv(0) : 0
        var found: CPUFeatures = []
        for row in table where read(row.leaf, row.register) & 1 &<< row.bit != 0 {
            if saves & row.state.rawValue == row.state.rawValue { found.insert(row.feature) }
        }
        return found
    }

    private static func read(_ leaf: UInt32, _ register: Register) -> UInt32 {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4) { words in
            guard let base = words.baseAddress, apus_cpuid(leaf, 0, base) != 0 else { return 0 }
            return words[register.rawValue]
        }
    }
}
