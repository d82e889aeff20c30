// Rectangles as RFB's encodings have them (RFC 6143, section 7.7; Tight and zlib as the RFB protocol document of the TigerVNC
// project describes them). Left out: CopyRect, RRE, JPEG.

import Compression
import Core

/// What clients ask for, by number.
enum Encoding {
    static let raw: Int32 = 0, hextile: Int32 = 5, zlib: Int32 = 6, tight: Int32 = 7, zrle: Int32 = 16
    static let cursor: Int32 = -239, alphaCursor: Int32 = -314, desktopSize: Int32 = -223, extendedDesktopSize: Int32 = -308
    static let pointerMode: Int32 = -257, extendedKeys: Int32 = -258, lights: Int32 = -261
    /// In the order of preference if a client has none.
    static let pixels: [Int32] = [tight, zrle, zlib, hextile, raw]
}

/// One client's encoder. The streams of zlib live as long as it does.
struct RectangleEncoder {
    /// Larger rectangles are cut before: no buffer grows beyond them.
    static let maximumWidth = 1024
    static let maximumHeight = 256

    var format = PixelFormat.standard
    private var streams: [Int: DeflateStream] = [:]
    private enum Stream { static let tight = 0, zlib = 4, zrle = 5 }
    private static let level: Int32 = 3

    /// The data of a rectangle, behind its header.
    mutating func encode(_ pixels: [UInt32], width: Int, height: Int, _ encoding: Int32) -> [UInt8] {
        switch encoding {
        case Encoding.hextile: return hextile(pixels, width, height)
        case Encoding.zlib: return sized(compress(format.encode(pixels), Stream.zlib))
        case Encoding.zrle: return sized(compress(zrle(pixels, width, height), Stream.zrle))
        case Encoding.tight: return tight(pixels, width, height)
        default: return format.encode(pixels)
        }
    }

    private mutating func compress(_ bytes: [UInt8], _ stream: Int) -> [UInt8] {
        if streams[stream] == nil { streams[stream] = DeflateStream(level: Self.level) }
        var output: [UInt8] = []
        streams[stream]?.append(bytes, to: &output)
        return output
    }

    private func sized(_ bytes: [UInt8]) -> [UInt8] { withUnsafeBytes(of: UInt32(truncatingIfNeeded: bytes.count).bigEndian) { Array($0) } + bytes }

    /// The colours of a block in the order they come; nil: more than `limit`.
    private static func palette(_ pixels: [UInt32], limit: Int) -> [UInt32: Int]? {
        var palette: [UInt32: Int] = [:], last: UInt32?
        for pixel in pixels where pixel != last {
            last = pixel
            guard palette[pixel] == nil else { continue }
            guard palette.count < limit else { return nil }
            palette[pixel] = palette.count
        }
        return palette
    }

    private static func ordered(_ palette: [UInt32: Int]) -> [UInt32] { palette.sorted { $0.value < $1.value }.map(\.key) }

    private static func part(_ pixels: [UInt32], _ width: Int, _ x: Int, _ y: Int, _ wide: Int, _ high: Int) -> [UInt32] {
        (y ..< y + high).flatMap { pixels[($0 * width + x) ..< ($0 * width + x + wide)] }
    }

    /// Indices of pixels in `bits` each, rows beginning with bytes.
    private static func packed(_ pixels: [UInt32], _ width: Int, _ palette: [UInt32: Int], bits: Int) -> [UInt8] {
        var output: [UInt8] = []
        for start in stride(from: 0, to: pixels.count, by: width) {
            var byte = 0, filled = 0
            for pixel in pixels[start ..< start + width] {
                byte = byte << bits | (palette[pixel] ?? 0)
                filled += bits
                if filled == 8 {
                    output.append(UInt8(byte))
                    (byte, filled) = (0, 0)
                }
            }
            if filled > 0 { output.append(UInt8(byte << (8 - filled))) }
        }
        return output
    }

    // MARK: Hextile (7.7.4)

    private func hextile(_ pixels: [UInt32], _ width: Int, _ height: Int) -> [UInt8] {
        var output: [UInt8] = []
        for y in stride(from: 0, to: height, by: 16) {
            for x in stride(from: 0, to: width, by: 16) {
                let wide = min(16, width - x), high = min(16, height - y)
                hextileTile(Self.part(pixels, width, x, y, wide, high), wide, high, &output)
            }
        }
        return output
    }

    private func hextileTile(_ tile: [UInt32], _ width: Int, _ height: Int, _ output: inout [UInt8]) {
        let rawFlag: UInt8 = 1, background: UInt8 = 2, foreground: UInt8 = 4, any: UInt8 = 8, coloured: UInt8 = 16
        let colours = Self.palette(tile, limit: 2).map(Self.ordered)
        var base = tile.first ?? 0
        if let colours, colours.count == 2, tile.count(where: { $0 == colours[1] }) > tile.count / 2 { base = colours[1] }
        let parts = Self.subrectangles(tile, width, height, base)
        let plain = format.bytes * tile.count
        var data: [UInt8] = []
        if parts.isEmpty {
            data.append(background)
            format.append(base, to: &data)
        } else if colours != nil {
            data.append(background | foreground | any)
            format.append(base, to: &data)
            format.append(parts[0].colour, to: &data)
            data.append(UInt8(parts.count))
            for part in parts { data += [UInt8(part.x << 4 | part.y), UInt8((part.width - 1) << 4 | (part.height - 1))] }
        } else if parts.count < 256, parts.count * (format.bytes + 2) < plain {
            data.append(background | any | coloured)
            format.append(base, to: &data)
            data.append(UInt8(parts.count))
            for part in parts {
                format.append(part.colour, to: &data)
                data += [UInt8(part.x << 4 | part.y), UInt8((part.width - 1) << 4 | (part.height - 1))]
            }
        }
        if data.isEmpty || data.count > plain { data = [rawFlag] + format.encode(tile) }
        output += data
    }

    /// Rectangles of one colour each that cover all but the background.
    private static func subrectangles(_ tile: [UInt32], _ width: Int, _ height: Int, _ base: UInt32) -> [(x: Int, y: Int, width: Int, height: Int, colour: UInt32)] {
        var isCovered = tile.map { $0 == base }
        var parts: [(x: Int, y: Int, width: Int, height: Int, colour: UInt32)] = []
        for y in 0 ..< height {
            for x in 0 ..< width where !isCovered[y * width + x] {
                let colour = tile[y * width + x]
                var right = x + 1, bottom = y + 1
                while right < width, tile[y * width + right] == colour, !isCovered[y * width + right] { right += 1 }
                while bottom < height, (x ..< right).allSatisfy({ tile[bottom * width + $0] == colour && !isCovered[bottom * width + $0] }) { bottom += 1 }
                for row in y ..< bottom { for column in x ..< right { isCovered[row * width + column] = true } }
                parts.append((x, y, right - x, bottom - y, colour))
            }
        }
        return parts
    }

    // MARK: ZRLE (7.7.6)

    private func zrle(_ pixels: [UInt32], _ width: Int, _ height: Int) -> [UInt8] {
        var output: [UInt8] = []
        for y in stride(from: 0, to: height, by: 64) {
            for x in stride(from: 0, to: width, by: 64) {
                let wide = min(64, width - x), high = min(64, height - y)
                zrleTile(Self.part(pixels, width, x, y, wide, high), wide, &output)
            }
        }
        return output
    }

    private func zrleTile(_ tile: [UInt32], _ width: Int, _ output: inout [UInt8]) {
        if let palette = Self.palette(tile, limit: 16) {
            output.append(UInt8(palette.count))
            for colour in Self.ordered(palette) { format.appendCompact(colour, to: &output) }
            if palette.count > 1 { output += Self.packed(tile, width, palette, bits: palette.count > 4 ? 4 : palette.count > 2 ? 2 : 1) }
            return
        }
        var runs: [(colour: UInt32, count: Int)] = []
        for pixel in tile {
            if let last = runs.last, last.colour == pixel { runs[runs.count - 1].count += 1 } else { runs.append((pixel, 1)) }
        }
        guard runs.count * 4 < tile.count * 3 else {
            output.append(0)
            for pixel in tile { format.appendCompact(pixel, to: &output) }
            return
        }
        output.append(128)
        for run in runs {
            format.appendCompact(run.colour, to: &output)
            var rest = run.count - 1
            while rest >= 255 {
                output.append(255)
                rest -= 255
            }
            output.append(UInt8(rest))
        }
    }

    // MARK: Tight

    private mutating func tight(_ pixels: [UInt32], _ width: Int, _ height: Int) -> [UInt8] {
        var output: [UInt8] = []
        guard let palette = Self.palette(pixels, limit: 256) else {
            var data: [UInt8] = []
            for pixel in pixels { format.appendTight(pixel, to: &data) }
            return [0] + tightData(data, 0)
        }
        if palette.count <= 1 {
            output.append(0x80)
            format.appendTight(pixels.first ?? 0, to: &output)
            return output
        }
        // Stream 1 for two colours, stream 2 for more; the filter's number follows.
        let stream = palette.count == 2 ? 1 : 2
        output += [UInt8(stream << 4 | 0x40), 1, UInt8(palette.count - 1)]
        for colour in Self.ordered(palette) { format.appendTight(colour, to: &output) }
        return output + tightData(Self.packed(pixels, width, palette, bits: palette.count == 2 ? 1 : 8), stream)
    }

    private mutating func tightData(_ data: [UInt8], _ stream: Int) -> [UInt8] {
        guard data.count >= 12 else { return data }
        let packed = compress(data, Stream.tight + stream)
        let count = packed.count
        if count < 1 << 7 { return [UInt8(count)] + packed }
        if count < 1 << 14 { return [UInt8(count & 127 | 128), UInt8(count >> 7)] + packed }
        return [UInt8(count & 127 | 128), UInt8(count >> 7 & 127 | 128), UInt8(truncatingIfNeeded: count >> 14)] + packed
    }
}
