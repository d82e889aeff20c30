// The PHY behind MDIC (82574 data sheet 10.2.2.7; IEEE 802.3 clause 22, Marvell's 88E1149 registers) and the NVM behind EERD
// and EEWR (10.2.2.3): 64 words whose sum is 0xbaba.

import Core

extension E1000E {
    /// Registers of all pages that drivers use.
    struct PHY {
        /// 32 each: page 0, and a page for all others, of which nothing depends.
        var registers: [UInt16]
        static let pageSelect = 22
        private enum Number { static let control = 0, status = 1, specificStatus = 17 }

        init() {
            registers = [UInt16](repeating: 0, count: 64)
            let standard: [(Int, UInt16)] = [(0, 0x1140), (1, 0x7949), (2, 0x0141), (3, 0x0cb1), (4, 0x0de1), (5, 0xc1e1), (6, 0x000f), (9, 0x0e00), (10, 0x7c00),
                                             (15, 0x3000), (16, 0x0078), (18, 0), (20, 0x0c60), (26, 0x8000)]
            for (number, value) in standard { registers[number] = value }
        }

        private var page: Int { Int(registers[Self.pageSelect] & 0xff) }
        private func place(_ number: Int) -> Int { page == 0 || number == Self.pageSelect ? number : 32 + number }

        func read(_ number: Int, isLinkUp: Bool) -> UInt16 {
            guard page == 0 else { return registers[place(number)] }
            switch number {
            // Negotiation is done, the link is there.
            case Number.status: return registers[number] | (isLinkUp ? 0x24 : 0)
            case 5, 10: return isLinkUp ? registers[number] : 0
            // 1 Gb/s, full duplex, resolved, link.
            case Number.specificStatus: return isLinkUp ? 0xac08 : 0
            default: return registers[number]
            }
        }

        /// - Returns: whether the link is negotiated anew.
        mutating func write(_ number: Int, _ value: UInt16) -> Bool {
            guard page == 0 || number == Self.pageSelect else {
                registers[place(number)] = value
                return false
            }
            switch number {
            case Number.control:
                // Resets and negotiations are over at once.
                registers[number] = value & ~0x8200
                return value & 0x8200 != 0
            case 1, 2, 3, 5, 6, 10, 15, 17, 19: return false
            default:
                registers[number] = value
                return false
            }
        }
    }

    /// MDIC: data, register, PHY, operation; ready and error.
    func writePHY(_ value: UInt32) {
        let number = Int(value >> 16 & 31), isThere = value >> 21 & 31 == 1
        var result = value & 0x2fff_ffff | 1 << 28
        var isNew = false
        switch value >> 26 & 3 {
        case 1 where isThere: isNew = phy.write(number, UInt16(truncatingIfNeeded: value))
        case 2 where isThere: result = result & ~0xffff | UInt32(phy.read(number, isLinkUp: isLinkUp))
        default: result |= 1 << 30
        }
        self[Register.phy] = result
        // Bit 29: an interrupt at the end.
        raise((value >> 29 & 1 != 0 ? 1 << 9 : 0) | (isNew ? Cause.link : 0))
    }

    enum NVM {
        static let words = 64

        static func image(_ mac: [UInt8]) -> [UInt16] {
            var words = [UInt16](repeating: 0, count: NVM.words)
            for at in 0 ..< 3 where mac.count == 6 { words[at] = UInt16(mac[at * 2]) | UInt16(mac[at * 2 + 1]) << 8 }
            // Compatibility, image version, PBA number, control words, subsystem, device and vendor.
            let rest: [(Int, UInt16)] = [(3, 0x0420), (4, 0xf746), (5, 0x2010), (6, 0xffff), (7, 0xffff), (10, 0x026b), (11, 0), (12, 0x8086), (13, 0x10d3), (14, 0x8086),
                                         (15, 0), (16, 0), (17, 0x8058), (19, 0x2001), (20, 0x7e7c), (21, 0xffff), (22, 0x1000), (23, 0x00c8), (25, 0x2704), (26, 0x6cc9), (27, 0x3150),
                                         (28, 0x070e), (29, 0x460b), (30, 0x2d84), (31, 0x0100), (32, 0xf000), (33, 0x0706), (34, 0x6000), (35, 0x7104)]
            for (at, value) in rest { words[at] = value }
            words[63] = 0xbaba &- words.reduce(0, &+)
            return words
        }
    }

    func readNVM(_ value: UInt32) {
        let at = Int(value >> 2 & 0x3fff), word = nvm.indices.contains(at) ? nvm[at] : 0
        self[Register.eepromRead] = value & 1 != 0 ? value & 0xfffc | 2 | UInt32(word) << 16 : value
    }

    /// What is written lives as long as the card.
    func writeNVM(_ value: UInt32) {
        let at = Int(value >> 2 & 0x3fff)
        if value & 1 != 0, nvm.indices.contains(at) { nvm[at] = UInt16(truncatingIfNeeded: value >> 16) }
        self[Register.eepromWrite] = value & ~1 | 2
    }
}
