// The state of one case, before or after its instruction, as the guest program writes it.

/// `struct state` of `Guest/cases.c`.
struct CaseState: Equatable {
    /// Words without vectors, and those that vectors add: vl, vtype, vstart, vcsr, the memory page, the registers.
    static let scalarWords = 101
    static func wordCount(vectorBytes: Int) -> Int { vectorBytes == 0 ? scalarWords : scalarWords + 5 + 4 * vectorBytes }
    var words: [UInt64]

    init(count: Int = CaseState.scalarWords) { words = [UInt64](repeating: 0, count: count) }
    init(_ bytes: UnsafeRawBufferPointer) {
        words = (0 ..< bytes.count / 8).map { bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self) }
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

    /// Takes over what QEMU says of a memory fault if this is the same fault: QEMU splits misaligned elements into aligned
    /// accesses and reports the address of one of those, and its guest has a reserved range where this process has none.
    mutating func forgiveFault(_ other: CaseState) {
        guard signal == 11, other.signal == 11 || other.signal == 7, other.address == 0 || other.address &+ 8 &- address < 16 else { return }
        (signal, code, address) = (other.signal, other.code, other.address)
    }

    static func name(_ word: Int) -> String {
        switch word {
        case ..<32: "x\(word)"
        case ..<64: "f\(word - 32)"
        case 64: "fcsr"
        case 65: "taken"
        case 66: "signal"
        case 67: "si_code"
        case 68: "si_addr"
        case ..<101: "memory+\((word - 69) * 8)"
        case 101: "vl"
        case 102: "vtype"
        case 103: "vstart"
        case 104: "vcsr"
        case 105: "page"
        default: "v+\((word - 106) * 8)"
        }
    }

    /// The words in which two states differ, as text.
    static func differences(_ expected: CaseState, _ actual: CaseState, _ names: (String, String)) -> [String] {
        (0 ..< min(expected.words.count, actual.words.count)).filter { expected.words[$0] != actual.words[$0] }.map {
            "\(name($0)): \(names.0) \(hex(expected.words[$0])) \(names.1) \(hex(actual.words[$0]))"
        }
    }
}

func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
