// LZVN: the block type of LZFSE for short inputs: opcodes of one to three bytes with the numbers of literals and of bytes to
// copy, and how far back those are. Only expanding.

enum LZVN {
    /// Expands a block of exactly `count` bytes at `first`; false if it is damaged. Copies reach back before `first`.
    static func expand(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, from first: Int, count: Int) -> Bool {
        var read = 0, written = first, distance = 0
        let limit = first + count
        while read < input.count {
            let code = Int(input[read])
            func byte(_ at: Int) -> Int? { read + at < input.count ? Int(input[read + at]) : nil }
            var literals = 0, match = 0, size = 1
            switch code {
            case 0x06: return written == limit
            case 0x0e, 0x16: read += 1; continue
            case 0x1e, 0x26, 0x2e, 0x36, 0x3e, 0x70...0x7f, 0xd0...0xdf: return false
            case 0xe0, 0xf0:
                guard let more = byte(1) else { return false }
                size = 2
                if code == 0xe0 { literals = more + 16 } else { match = more + 16 }
            case 0xe1...0xef: literals = code & 15
            case 0xf1...0xff: match = code & 15
            case 0xa0...0xbf:
                guard let low = byte(1), let high = byte(2) else { return false }
                size = 3
                literals = code >> 3 & 3
                match = ((code & 7) << 2 | low & 3) + 3
                distance = (high << 8 | low) >> 2
            default:
                literals = code >> 6
                match = (code >> 3 & 7) + 3
                switch code & 7 {
                case 6: break
                case 7:
                    guard let low = byte(1), let high = byte(2) else { return false }
                    size = 3
                    distance = high << 8 | low
                default:
                    guard let low = byte(1) else { return false }
                    size = 2
                    distance = (code & 7) << 8 | low
                }
            }
            read += size
            guard literals <= input.count - read, literals + match <= limit - written else { return false }
            for index in 0..<literals { output[written + index] = input[read + index] }
            read += literals
            written += literals
            if match == 0 { continue }
            guard distance > 0, distance <= written else { return false }
            for index in 0..<match { output[written + index] = output[written + index - distance] }
            written += match
        }
        return false
    }
}
