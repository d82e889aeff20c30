// What a disk says of itself: IDENTIFY DEVICE (ACS-3 7.12), SMART (7.48), and the logs of READ LOG EXT (7.23).

import Core

extension ATADisk {
    var identity: [UInt8] {
        let state = state.withLock { $0 }, sectors = sectors, isCached = disk.isWriteCacheEnabled
        let cylinders = UInt16(clamping: min(16383, max(2, sectors / (16 * 63)))), small = UInt32(min(sectors, 0xfff_ffff))
        let geometry = UInt32(cylinders) * 16 * 63
        return identifyBytes({ words in
            func long(_ at: Int, _ value: UInt32) { (words[at], words[at + 1]) = (UInt16(truncatingIfNeeded: value), UInt16(truncatingIfNeeded: value >> 16)) }
            words[0] = 0x0040
            (words[1], words[3], words[4], words[5], words[6]) = (cylinders, 16, 512 * 63, 512, 63)
            (words[20], words[21], words[22]) = (3, 512, 4)
            words[47] = 0x8000 | Self.maximumMultiple
            // LBA, DMA, IORDY.
            (words[48], words[49], words[50]) = (1, 0x0b00, 0x4000)
            (words[51], words[52], words[53]) = (0x200, 0x200, 7)
            (words[54], words[55], words[56]) = (cylinders, 16, 63)
            long(57, geometry)
            words[59] = state.multiple == 0 ? 0 : 0x100 | state.multiple
            long(60, small)
            words[63] = 0x07 | Self.chosen(state.mode, 0x20)
            words[64] = 3
            for at in 65 ... 68 { words[at] = 120 }
            // Trimmed sectors read as zeros.
            words[69] = 0x4020
            // Queues of 32; 1.5 Gb/s, native command queuing.
            (words[75], words[76]) = (31, 0x0102)
            (words[80], words[81]) = (0x01f0, 0x16)
            // NOP, look-ahead, write cache, SMART; FLUSH CACHE (EXT), 48-bit addresses; the general logs.
            (words[82], words[83]) = (0x4061, 0x7400)
            words[84] = 0x4020 | (name == 0 ? 0 : 0x100)
            words[85] = 0x4000 | (state.looksAhead ? 0x40 : 0) | (isCached ? 0x20 : 0) | (state.hasSmart ? 1 : 0)
            (words[86], words[87]) = (0x3400, words[84])
            words[88] = 0x3f | Self.chosen(state.mode, 0x40)
            for at in 0 ..< 4 { words[100 + at] = UInt16(truncatingIfNeeded: sectors >> UInt64(at * 16)) }
            words[105] = UInt16(Self.maximumRangeBlocks)
            if physicalExponent > 0 { words[106] = 0x6000 | physicalExponent }
            if name != 0 { for at in 0 ..< 4 { words[108 + at] = UInt16(truncatingIfNeeded: name >> UInt64(48 - at * 16)) } }
            words[169] = 1
            words[217] = rotationRate
        }, texts: [(10, swapped(serial, 20)), (23, swapped(revision, 8)), (27, swapped(model, 40))])
    }

    /// The bit of the chosen mode in the upper byte of the word for modes from `base` on.
    private static func chosen(_ mode: UInt8, _ base: UInt8) -> UInt16 { mode & 0xf0 == base ? 0x100 << UInt16(mode & 7) : 0 }

    // MARK: SMART

    /// Attributes: number, flags, value, worst, raw value, threshold. Nothing wears out here.
    private static let attributes: [(UInt8, UInt16, UInt8, UInt64, UInt8)] = [
        (0x01, 0x03, 100, 0, 6), (0x03, 0x03, 100, 16, 0), (0x04, 0x02, 100, 100, 20), (0x05, 0x03, 100, 0, 36),
        (0x09, 0x03, 100, 1, 0), (0x0c, 0x03, 100, 0, 0), (0xbe, 0x03, 69, 31 | 31 << 16, 50),
    ]

    func smart(_ request: ATARequest) -> ATAReply {
        let command = request.command, function = command.features & 0xff
        guard command.address >> 8 & 0xffff == 0xc24f, state.withLock({ $0.hasSmart }) || function == 0xd8 else { return .failed() }
        switch function {
        case 0xd0: return answer(request, Self.summed(smartData))
        case 0xd1:
            var bytes: [UInt8] = [1, 0]
            for (number, _, _, _, threshold) in Self.attributes { bytes += [number, threshold] + [UInt8](repeating: 0, count: 10) }
            return answer(request, Self.summed(bytes))
        // Saving of attributes, self-tests, which are over at once.
        case 0xd2, 0xd4: return .done()
        case 0xd5:
            guard command.count & 0xff == 1 else { return .failed() }
            switch command.address & 0xff {
            case 0: return answer(request, [1] + [UInt8](repeating: 0, count: 511))
            case 1, 6: return answer(request, Self.summed([1]))
            default: return .failed()
            }
        case 0xd8, 0xd9:
            state.withLock { $0.hasSmart = function == 0xd8 }
            return .done()
        // The address stays as it was: no threshold was exceeded.
        case 0xda: return .done()
        default: return .failed()
        }
    }

    private var smartData: [UInt8] {
        var bytes: [UInt8] = [1, 0]
        for (number, flags, value, raw, _) in Self.attributes {
            bytes += [number, UInt8(truncatingIfNeeded: flags), 0, value, value] + (0 ..< 7).map { UInt8(truncatingIfNeeded: raw >> UInt64($0 * 8)) }
        }
        bytes += [UInt8](repeating: 0, count: 362 - bytes.count)
        // Off-line collection was never started; seconds it takes; what can be asked for; saving is possible; logs; minutes of tests.
        return bytes + [0, 0, 0x20, 1, 0, 0x19, 3, 0, 1, 0, 2, 54]
    }

    /// 512 bytes whose sum is 0.
    private static func summed(_ bytes: [UInt8]) -> [UInt8] {
        let page = bytes + [UInt8](repeating: 0, count: 511 - bytes.count)
        return page + [0 &- page.reduce(0, &+)]
    }

    // MARK: logs

    /// READ LOG (DMA) EXT: the directory, and why a queued command failed.
    func readLog(_ request: ATARequest) -> ATAReply {
        let command = request.command, page = command.address >> 8 & 0xffff
        guard command.count == 1, page == 0 else { return .failed() }
        let bytes: [UInt8]
        switch command.address & 0xff {
        case 0x00:
            var directory = [UInt8](repeating: 0, count: 512)
            directory[0] = 1
            directory[0x10 * 2] = 1
            bytes = directory
        case 0x10:
            // Reading it lets the device go on.
            let failure = state.withLock { state in
                let failure = state
                (state.failedTag, state.failedStatus, state.failedError, state.failedAddress, state.failedCount) = (0x80, 0, 0, 0, 0)
                return failure
            }
            let at = (0 ..< 6).map { UInt8(truncatingIfNeeded: failure.failedAddress >> UInt64($0 * 8)) }
            bytes = Self.summed([failure.failedTag, 0, failure.failedStatus, failure.failedError, at[0], at[1], at[2], 0x40, at[3], at[4], at[5], 0,
                                 UInt8(truncatingIfNeeded: failure.failedCount), UInt8(truncatingIfNeeded: failure.failedCount >> 8)])
        default: return .failed()
        }
        var reply = answer(request, bytes)
        reply.isProgrammedInput = command.code == 0x2f
        return reply
    }
}
