// What a monitor says of itself: VESA E-EDID 1.4, one block of 128 bytes with the preferred size as detailed timing
// (CVT's reduced blanking, 75 Hz at most), a name and a range of frequencies.

enum EDID {
    /// - Parameters:
    ///   - width: pixels, 64 to 4095.
    ///   - serial: tells monitors of one machine apart.
    static func block(width: Int, height: Int, serial: UInt32) -> [UInt8] {
        let width = min(max(64, width), 4095), height = min(max(64, height), 4095)
        var bytes: [UInt8] = [0, 255, 255, 255, 255, 255, 255, 0]
        bytes += manufacturer("APU") + [0x01, 0x00] + little(serial, 4) + [0, 36, 1, 4]
        // Digital, 8 bits a colour; centimetres at 100 dots an inch; gamma 2.2; sRGB, preferred timing is native.
        let (wide, high) = (max(1, width * 254 / 10000), max(1, height * 254 / 10000))
        bytes += [0xa5, UInt8(min(255, wide)), UInt8(min(255, high)), 120, 0x06]
        // sRGB's primaries and white point.
        bytes += [0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54]
        // 640x480, 800x600 and 1024x768 at 60 Hz; standard timings are not used.
        bytes += [0x21, 0x08, 0x00] + [UInt8](repeating: 1, count: 16)
        bytes += timing(width, height)
        // 40 to 125 Hz, 30 to 250 kHz, up to 2550 MHz.
        bytes += [0, 0, 0, 0xfd, 0, 40, 125, 30, 250, 255, 1, 10, 32, 32, 32, 32, 32, 32]
        bytes += text(0xfc, "Apus Monitor") + text(0xff, String(serial))
        bytes.append(0)
        bytes.append(0 &- bytes.reduce(0, &+))
        return bytes
    }

    private static func manufacturer(_ letters: String) -> [UInt8] {
        let word = letters.utf8.reduce(0 as UInt16) { $0 << 5 | UInt16($1 &- 64) & 31 }
        return [UInt8(word >> 8), UInt8(word & 255)]
    }

    private static func little(_ value: UInt32, _ count: Int) -> [UInt8] { (0 ..< count).map { UInt8(truncatingIfNeeded: value >> UInt32($0 * 8)) } }

    /// A detailed timing descriptor (3.10.2).
    private static func timing(_ width: Int, _ height: Int) -> [UInt8] {
        let (blankX, frontX, syncX) = (160, 48, 32), (frontY, syncY) = (3, 6)
        // 460 microseconds of vertical blanking at 60 Hz.
        let blankY = max(frontY + syncY + 6, height * 276 / 10000 + 2)
        let clock = min(65535, (width + blankX) * (height + blankY) * 60 / 10000)
        let (wide, tall) = (width * 254 / 1000, height * 254 / 1000)
        func low(_ value: Int) -> UInt8 { UInt8(truncatingIfNeeded: value) }
        /// The high bits of two numbers.
        func high(_ one: Int, _ two: Int) -> UInt8 { low((one >> 8) << 4 | two >> 8) }
        let horizontal = [low(width), low(blankX), high(width, blankX)], vertical = [low(height), low(blankY), high(height, blankY)]
        let pulses = [low(frontX), low(syncX), low(frontY << 4 | syncY), 0]
        return [low(clock), low(clock >> 8)] + horizontal + vertical + pulses + [low(wide), low(tall), high(wide, tall), 0, 0, 0x1a]
    }

    /// A descriptor of up to 13 characters.
    private static func text(_ tag: UInt8, _ text: String) -> [UInt8] {
        let characters = Array(text.utf8.prefix(12)) + [10]
        return [0, 0, 0, tag, 0] + characters + [UInt8](repeating: 32, count: 13 - characters.count)
    }
}
