// A console's picture as a file: PNG (RFC 2083, eight bits a colour) and PPM.

import Compression
import Core

public enum Screendump {
    /// The picture as PNG; nil: the console shows nothing.
    public static func png(_ console: Console) -> [UInt8]? { console.surface.flatMap { png($0.pixels(), width: $0.width, height: $0.height) } }

    /// The picture as PPM (P6); nil: the console shows nothing.
    public static func ppm(_ console: Console) -> [UInt8]? {
        console.surface.map { Array("P6\n\($0.width) \($0.height)\n255\n".utf8) + colours($0.pixels()) }
    }

    private static func colours(_ pixels: [UInt32]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(pixels.count * 3)
        for pixel in pixels { bytes += [UInt8(truncatingIfNeeded: pixel >> 16), UInt8(truncatingIfNeeded: pixel >> 8), UInt8(truncatingIfNeeded: pixel)] }
        return bytes
    }

    static func png(_ pixels: [UInt32], width: Int, height: Int) -> [UInt8]? {
        let plain = colours(pixels), row = width * 3
        var filtered: [UInt8] = []
        filtered.reserveCapacity(plain.count + height)
        for y in 0 ..< height {
            // Each row as its difference from the one above: consoles are mostly alike from row to row.
            filtered.append(y == 0 ? 0 : 2)
            for x in y * row ..< (y + 1) * row { filtered.append(y == 0 ? plain[x] : plain[x] &- plain[x - row]) }
        }
        var packed: [UInt8] = []
        DeflateStream(level: 6)?.append(filtered, to: &packed, isLast: true)
        guard !packed.isEmpty else { return nil }
        return [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10] + chunk("IHDR", big(UInt32(width)) + big(UInt32(height)) + [8, 2, 0, 0, 0]) + chunk("IDAT", packed) + chunk("IEND", [])
    }

    private static func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    private static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(type.utf8) + data
        return big(UInt32(data.count)) + body + big(Checksum.crc32(body))
    }
}
