// LZFSE, Apple's compression: matches as in LZ77, their lengths and distances coded by finite state entropy (tables of
// asymmetric numeral systems). A stream is blocks, each with a magic word: plain, LZFSE with a packed or an unpacked header,
// LZVN (LZVN.swift), the end. Only expanding: nothing here makes such streams. Written from the format's facts; Debian has no
// library for it.

/// Expansion of LZFSE streams.
public enum LZFSE {
    private enum Magic {
        static let end: UInt32 = 0x2478_7662, plain: UInt32 = 0x2d78_7662
        static let unpacked: UInt32 = 0x3178_7662, packed: UInt32 = 0x3278_7662, lzvn: UInt32 = 0x6e78_7662
    }

    /// Expands a stream. - Returns: bytes produced; nil if `input` is damaged, ends early, or does not fit.
    public static func expand(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        var read = 0, written = 0
        func word(_ at: Int) -> Int? {
            guard at >= 0, at <= input.count - 4 else { return nil }
            return Int(UInt32(littleEndian: input.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
        }
        while true {
            guard let magic = word(read) else { return nil }
            if UInt32(magic) == Magic.end { return written }
            guard let plain = word(read + 4), plain <= output.count - written else { return nil }
            switch UInt32(magic) {
            case Magic.plain:
                guard plain <= input.count - read - 8 else { return nil }
                for index in 0..<plain { output[written + index] = input[read + 8 + index] }
                read += 8 + plain
            case Magic.lzvn:
                guard let stored = word(read + 8), stored <= input.count - read - 12 else { return nil }
                let source = UnsafeRawBufferPointer(rebasing: input[read + 12 ..< read + 12 + stored])
                guard LZVN.expand(source, into: output, from: written, count: plain) else { return nil }
                read += 12 + stored
            case Magic.packed, Magic.unpacked:
                let header = UInt32(magic) == Magic.packed ? LZFSEHeader(packed: input, at: read) : LZFSEHeader(unpacked: input, at: read)
                guard let header, header.size <= input.count - read, header.literalBytes + header.matchBytes <= input.count - read - header.size,
                      expand(header, input, read + header.size, into: output, from: written, count: plain) else { return nil }
                read += header.size + header.literalBytes + header.matchBytes
            default: return nil
            }
            written += plain
        }
    }

    /// Expands the payload of one block. What it copies may reach back into earlier blocks.
    private static func expand(_ header: LZFSEHeader, _ input: UnsafeRawBufferPointer, _ start: Int,
                               into output: UnsafeMutableRawBufferPointer, from first: Int, count: Int) -> Bool {
        guard let literals = header.literals(input, start),
              let lengths = LZFSETable(header.lengths, states: 64, extra: LZFSEHeader.lengthBits),
              let matches = LZFSETable(header.matches, states: 64, extra: LZFSEHeader.matchBits),
              let distances = LZFSETable(header.distances, states: 256, extra: LZFSEHeader.distanceBits) else { return false }
        let end = start + header.literalBytes + header.matchBytes
        var bits = BackwardBits(input, from: start + header.literalBytes, to: end, unused: header.matchUnused)
        var (l, m, d) = (header.lengthState, header.matchState, header.distanceState)
        var literal = 0, written = first, distance = 0
        let limit = first + count
        for _ in 0..<header.matchCount {
            let length = lengths.value(&l, &bits), match = matches.value(&m, &bits), new = distances.value(&d, &bits)
            if new != 0 { distance = new }
            guard !bits.isExhausted, length <= literals.count - literal, length + match <= limit - written else { return false }
            for index in 0..<length { output[written + index] = literals[literal + index] }
            literal += length
            written += length
            if match == 0 { continue }
            guard distance > 0, distance <= written else { return false }
            // Byte by byte: a copy may reach into itself.
            for index in 0..<match { output[written + index] = output[written + index - distance] }
            written += match
        }
        return written == limit
    }
}

/// Bits of a run of bytes, the last ones first.
struct BackwardBits {
    private let bytes: UnsafeRawBufferPointer
    private let start: Int
    /// Bits left.
    private var left: Int
    /// More was asked for than there is.
    private(set) var isExhausted = false

    /// - Parameter unused: bits at the end that do not count, 0 to 7.
    init(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int, unused: Int) {
        self.bytes = bytes
        self.start = start
        left = max(0, (end - start) * 8 - unused)
    }

    /// The next `count` bits as a number, at most 32.
    mutating func take(_ count: Int) -> Int {
        if count == 0 { return 0 }
        guard count <= left else { isExhausted = true; return 0 }
        left -= count
        let first = start + left / 8, shift = left % 8
        var value: UInt64 = 0
        // 32 bits at any place lie in five bytes.
        for index in 0..<5 where first + index < bytes.count { value |= UInt64(bytes[first + index]) << UInt64(8 * index) }
        return Int(value >> UInt64(shift) & (1 << UInt64(count) - 1))
    }
}

/// A decoder of one kind of symbol: for each state, the symbol's value, and the next state.
struct LZFSETable {
    private struct Entry {
        /// Bits that make the next state, bits that are added to the value.
        var stateBits: UInt8, valueBits: UInt8
        var next: Int32
        var value: Int32
    }
    private var entries: [Entry] = []

    /// - Parameters: `frequencies`: of each symbol, summing up to at most `states` (a power of two). `extra`: how many bits
    ///   follow each symbol; its value is how many values the symbols before it have. Nil: each symbol is its value.
    init?(_ frequencies: [Int], states: Int, extra: [UInt8]? = nil) {
        entries.reserveCapacity(states)
        var base = 0
        for (symbol, frequency) in frequencies.enumerated() {
            let valueBits = extra?[symbol] ?? 0
            defer { base += 1 << Int(valueBits) }
            if frequency == 0 { continue }
            guard frequency <= states - entries.count else { return nil }
            // As many bits as bring the state back to where it is at least `states`.
            let bits = frequency.leadingZeroBitCount - states.leadingZeroBitCount
            let threshold = (2 * states) >> bits - frequency
            for index in 0..<frequency {
                let isFirst = index < threshold
                let next = isFirst ? (frequency + index) << bits - states : (index - threshold) << (bits - 1)
                entries.append(Entry(stateBits: UInt8(isFirst ? bits : bits - 1), valueBits: valueBits, next: Int32(next), value: Int32(base)))
            }
        }
        // States that no symbol has are not reached by sound streams.
        while entries.count < states { entries.append(Entry(stateBits: 0, valueBits: 0, next: 0, value: 0)) }
    }

    func value(_ state: inout Int, _ bits: inout BackwardBits) -> Int {
        guard state >= 0, state < entries.count else { return 0 }
        let entry = entries[state]
        state = Int(entry.next) + bits.take(Int(entry.stateBits))
        return Int(entry.value) + bits.take(Int(entry.valueBits))
    }
}
