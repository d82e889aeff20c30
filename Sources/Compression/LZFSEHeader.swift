// LZFSE: the header of a block: counts, first states and the frequencies of symbols, plain or packed.

struct LZFSEHeader {
    /// Bytes of the header.
    private(set) var size = 0
    private(set) var literalCount = 0, matchCount = 0
    private(set) var literalBytes = 0, matchBytes = 0
    private(set) var literalUnused = 0, matchUnused = 0
    private(set) var literalStates = [0, 0, 0, 0]
    private(set) var lengthState = 0, matchState = 0, distanceState = 0
    private(set) var lengths: [Int] = [], matches: [Int] = [], distances: [Int] = [], bytes: [Int] = []

    /// Bits that follow the symbols of literal lengths, match lengths, distances.
    static let lengthBits = [UInt8](repeating: 0, count: 16) + [2, 3, 5, 8]
    static let matchBits = [UInt8](repeating: 0, count: 16) + [3, 5, 8, 11]
    static let distanceBits = (0..<64).map { UInt8($0 / 4) }
    /// Bounds of the format: so many literals and matches are in a block at most.
    private static let mostLiterals = 40000, mostMatches = 10000
    private static let counts = [20, 20, 64, 256]

    /// A header with numbers of whole bytes.
    init?(unpacked input: UnsafeRawBufferPointer, at start: Int) {
        // Rounded up to whole words.
        size = 772
        guard start <= input.count, size <= input.count - start else { return nil }
        func number(_ at: Int, _ count: Int) -> Int { (0..<count).reduce(0) { $0 | Int(input[start + at + $1]) << (8 * $1) } }
        (literalCount, matchCount, literalBytes, matchBytes) = (number(12, 4), number(16, 4), number(20, 4), number(24, 4))
        literalUnused = -Int(Int32(truncatingIfNeeded: number(28, 4)))
        literalStates = (0..<4).map { number(32 + $0 * 2, 2) }
        matchUnused = -Int(Int32(truncatingIfNeeded: number(40, 4)))
        (lengthState, matchState, distanceState) = (number(44, 2), number(46, 2), number(48, 2))
        var position = 50
        setFrequencies { position += 2; return number(position - 2, 2) }
        if !isValid { return nil }
    }

    /// A header with numbers of some bits, and frequencies in a code of their own.
    init?(packed input: UnsafeRawBufferPointer, at start: Int) {
        guard start <= input.count, input.count - start >= 32 else { return nil }
        func field(_ word: Int, _ shift: UInt64, _ bits: UInt64) -> Int {
            let value = UInt64(littleEndian: input.loadUnaligned(fromByteOffset: start + 8 + word * 8, as: UInt64.self))
            return Int(value >> shift & (1 << bits - 1))
        }
        (literalCount, literalBytes, matchCount) = (field(0, 0, 20), field(0, 20, 20), field(0, 40, 20))
        literalUnused = 7 - field(0, 60, 3)
        literalStates = (0..<4).map { field(1, UInt64($0 * 10), 10) }
        matchBytes = field(1, 40, 20)
        matchUnused = 7 - field(1, 60, 3)
        size = field(2, 0, 32)
        (lengthState, matchState, distanceState) = (field(2, 32, 10), field(2, 42, 10), field(2, 52, 10))
        guard size >= 32, size <= input.count - start else { return nil }
        var bits = FrequencyBits(bytes: UnsafeRawBufferPointer(rebasing: input[start + 32 ..< start + size]))
        setFrequencies { bits.next() }
        if bits.isExhausted || !isValid { return nil }
    }

    private mutating func setFrequencies(_ next: () -> Int) {
        let all = LZFSEHeader.counts.map { count in (0..<count).map { _ in next() } }
        (lengths, matches, distances, bytes) = (all[0], all[1], all[2], all[3])
    }

    private var isValid: Bool {
        literalCount <= LZFSEHeader.mostLiterals && literalCount % 4 == 0 && matchCount <= LZFSEHeader.mostMatches
            && (0...7).contains(literalUnused) && (0...7).contains(matchUnused)
            && literalStates.allSatisfy { $0 < 1024 } && lengthState < 64 && matchState < 64 && distanceState < 256
    }

    /// The literals of the block, whose bits begin at `start`: four decoders take turns.
    func literals(_ input: UnsafeRawBufferPointer, _ start: Int) -> [UInt8]? {
        guard let table = LZFSETable(bytes, states: 1024) else { return nil }
        var bits = BackwardBits(input, from: start, to: start + literalBytes, unused: literalUnused)
        var states = literalStates
        var result = [UInt8](repeating: 0, count: literalCount)
        for index in 0..<literalCount { result[index] = UInt8(truncatingIfNeeded: table.value(&states[index & 3], &bits)) }
        return bits.isExhausted ? nil : result
    }
}

/// Frequencies of packed headers: 2 to 14 bits each, the lowest first.
private struct FrequencyBits {
    let bytes: UnsafeRawBufferPointer
    private var position = 0
    private(set) var isExhausted = false
    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private func bit(_ index: Int) -> Int { index / 8 < bytes.count ? Int(bytes[index / 8] >> UInt8(index % 8)) & 1 : 0 }
    private mutating func take(_ count: Int) -> Int {
        let value = (0..<count).reduce(0) { $0 | bit(position + $1) << $1 }
        position += count
        if position > bytes.count * 8 { isExhausted = true }
        return value
    }

    mutating func next() -> Int {
        // Codes end in 0, 01 and 011 for the small numbers; 0111 and 1111 are followed by the rest of a larger one.
        if take(1) == 0 { return take(1) }
        if take(1) == 0 { return 2 + take(1) }
        if take(1) == 0 { return 4 + take(2) }
        return take(1) == 0 ? 8 + take(4) : 24 + take(10)
    }
}
