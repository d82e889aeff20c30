// The state of one case, before or after its instruction, as the guest program writes it.

/// `struct state` of `Guest/cases.c`.
struct CaseState: Equatable {
    static let wordCount = 101
    var words: [UInt64]

    init() { words = [UInt64](repeating: 0, count: CaseState.wordCount) }
    init(_ bytes: UnsafeRawBufferPointer) {
        words = (0 ..< CaseState.wordCount).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self) }
        // x0 and the register that the guest program keeps for itself.
        words[0] = 0
        words[31] = 0
    }

    func x(_ number: Int) -> UInt64 { words[number] }
    func f(_ number: Int) -> UInt64 { words[32 + number] }
    var fcsr: UInt64 { get { words[64] } set { words[64] = newValue } }
    var taken: UInt64 { get { words[65] } set { words[65] = newValue } }
    var signal: UInt64 { get { words[66] } set { words[66] = newValue } }
    var code: UInt64 { get { words[67] } set { words[67] = newValue } }
    var address: UInt64 { get { words[68] } set { words[68] = newValue } }
    func scratch(_ index: Int) -> UInt64 { words[69 + index] }

    static func name(_ word: Int) -> String {
        switch word {
        case ..<32: "x\(word)"
        case ..<64: "f\(word - 32)"
        case 64: "fcsr"
        case 65: "taken"
        case 66: "signal"
        case 67: "si_code"
        case 68: "si_addr"
        default: "memory+\((word - 69) * 8)"
        }
    }

    /// The words in which two states differ, as text.
    static func differences(_ expected: CaseState, _ actual: CaseState, _ names: (String, String)) -> [String] {
        (0 ..< wordCount).filter { expected.words[$0] != actual.words[$0] }.map {
            "\(name($0)): \(names.0) \(hex(expected.words[$0])) \(names.1) \(hex(actual.words[$0]))"
        }
    }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
