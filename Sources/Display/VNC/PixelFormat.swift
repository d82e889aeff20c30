// How a client wants pixels (RFC 6143, section 7.4), and pixels made so.

import Core

struct PixelFormat: Sendable, Equatable {
    /// Bytes of a pixel: 1, 2 or 4.
    private(set) var bytes = 4
    private(set) var depth: UInt8 = 24
    private(set) var isBigEndian = false
    /// Colours are numbers of a map, which is set to 3 bits red, 3 green, 2 blue.
    private(set) var isMapped = false
    private(set) var maxima: [UInt16] = [255, 255, 255]
    private(set) var shifts: [UInt8] = [16, 8, 0]
    /// What each value of red, green and blue contributes: 3 times 256.
    private var parts: [UInt32] = []

    /// 32 bits, little-endian, 0x00RRGGBB.
    static let standard = PixelFormat()

    private init() { fillParts() }

    /// The 16 bytes that a client sends; nil: pixels cannot be like that.
    init?(_ wire: [UInt8]) {
        guard wire.count == 16, [8, 16, 32].contains(wire[0]) else { return nil }
        bytes = Int(wire[0]) / 8
        depth = wire[1]
        isBigEndian = wire[2] != 0
        isMapped = wire[3] == 0
        if isMapped {
            guard bytes == 1 else { return nil }
            (maxima, shifts) = ([7, 7, 3], [5, 2, 0])
        } else {
            maxima = [4, 6, 8].map { UInt16(wire[$0]) << 8 | UInt16(wire[$0 + 1]) }
            shifts = Array(wire[10 ..< 13])
            for (maximum, shift) in zip(maxima, shifts) {
                let bits = 16 - maximum.leadingZeroBitCount
                guard maximum > 0, maximum & (maximum &+ 1) == 0, Int(shift) + bits <= bytes * 8 else { return nil }
            }
        }
        fillParts()
    }

    private mutating func fillParts() {
        parts = []
        for colour in 0 ..< 3 {
            let maximum = UInt32(maxima[colour]), shift = UInt32(shifts[colour])
            for value: UInt32 in 0 ..< 256 {
                let scaled = (value * maximum + 127) / 255
                parts.append(scaled << shift)
            }
        }
    }

    var wire: [UInt8] {
        var wire: [UInt8] = [UInt8(bytes * 8), depth, isBigEndian ? 1 : 0, isMapped ? 0 : 1]
        for maximum in maxima { wire += [UInt8(maximum >> 8), UInt8(maximum & 255)] }
        return wire + shifts + [0, 0, 0]
    }

    /// A SetColourMapEntries message for what `isMapped` stands for.
    var map: [UInt8] {
        var message: [UInt8] = [1, 0, 0, 0, 1, 0]
        for index in 0 ..< 256 {
            for (maximum, shift) in zip(maxima, shifts) {
                let level = UInt32(index) >> UInt32(shift) & UInt32(maximum)
                let value = level * 65535 / UInt32(maximum)
                message += [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
            }
        }
        return message
    }

    func word(_ pixel: UInt32) -> UInt32 {
        parts[Int(pixel >> 16 & 255)] | parts[256 + Int(pixel >> 8 & 255)] | parts[512 + Int(pixel & 255)]
    }

    func append(_ pixel: UInt32, to output: inout [UInt8]) { append(word: word(pixel), count: bytes, to: &output) }

    private func append(word: UInt32, count: Int, to output: inout [UInt8]) {
        for index in 0 ..< count { output.append(UInt8(truncatingIfNeeded: word >> UInt32((isBigEndian ? count - 1 - index : index) * 8))) }
    }

    func encode(_ pixels: [UInt32]) -> [UInt8] {
        if self == .standard {
            return pixels.withUnsafeBytes { Array($0) }
        }
        var output: [UInt8] = []
        output.reserveCapacity(pixels.count * bytes)
        for pixel in pixels { append(pixel, to: &output) }
        return output
    }

    // MARK: shorter pixels

    /// ZRLE's: without the byte of four that has no colour.
    func appendCompact(_ pixel: UInt32, to output: inout [UInt8]) {
        guard bytes == 4, depth <= 24, let shift = compactShift else { return append(pixel, to: &output) }
        append(word: word(pixel) >> shift, count: 3, to: &output)
    }

    private var compactShift: UInt32? {
        let used = word(0xff_ffff)
        return used & 0xff00_0000 == 0 ? 0 : used & 0xff == 0 ? 8 : nil
    }

    /// Tight's: red, green, blue where each has 8 bits.
    func appendTight(_ pixel: UInt32, to output: inout [UInt8]) {
        guard bytes == 4, depth == 24, maxima == [255, 255, 255] else { return append(pixel, to: &output) }
        output += [UInt8(pixel >> 16 & 255), UInt8(pixel >> 8 & 255), UInt8(pixel & 255)]
    }
}
