// Causes, masks, and how they become a pin, a message, or one of five (82574 data sheet 7.4 and 10.2.4), and the statistics
// (10.2.9), which clear as they are read.

import Core

extension E1000E {
    enum Cause {
        static let written: UInt32 = 1, queueEmpty: UInt32 = 1 << 1, link: UInt32 = 1 << 2, received: UInt32 = 1 << 7
        static let receiveQueue: UInt32 = 1 << 20, transmitQueue: UInt32 = 1 << 22, other: UInt32 = 1 << 24, asserted: UInt32 = 1 << 31
        /// Causes of MSI-X: two receive queues, two transmit queues, everything else.
        static let vectors = 20 ... 24
    }

    /// Something has happened.
    func raise(_ causes: UInt32) {
        var causes = causes & ~Cause.asserted
        if causes & 0x0000_ff4c != 0 { causes |= Cause.other }
        self[Register.cause] |= causes
        announce(causes & self[Register.mask])
        updateInterrupt()
    }

    func setMask(_ mask: UInt32) {
        let new = mask & ~self[Register.mask]
        self[Register.mask] = mask & ~Cause.asserted
        announce(new & self[Register.cause])
        updateInterrupt()
    }

    func clear(_ causes: UInt32) {
        self[Register.cause] &= ~causes
        updateInterrupt()
    }

    /// Reading clears, once the driver was interrupted or if it wants no interrupts; it may mask what it has seen, too.
    func readCause() -> UInt32 {
        let value = self[Register.cause]
        if self[Register.mask] == 0 || value & Cause.asserted != 0 {
            if value & Cause.asserted != 0, self[Register.controlExtended] & Extended.autoMask != 0 { self[Register.mask] &= ~self[Register.autoMask] }
            self[Register.cause] = 0
            updateInterrupt()
        }
        return value
    }

    /// Sends messages for causes that are new and not masked.
    private func announce(_ causes: UInt32) {
        guard causes != 0, let port, port.usesMessages else { return }
        guard port.usesVectors else { return port.send(0) }
        for (number, cause) in Cause.vectors.enumerated() where causes >> UInt32(cause) & 1 != 0 {
            let entry = self[Register.vectors] >> UInt32(number * 4)
            guard entry & 8 != 0 else { continue }
            let cleared = self[Register.autoClear] & 1 << UInt32(cause)
            self[Register.cause] &= ~cleared
            if self[Register.controlExtended] & Extended.autoMaskVectors != 0 { self[Register.mask] &= ~cleared }
            port.send(Int(entry & 7))
        }
    }

    func updateInterrupt() {
        let isHigh = self[Register.cause] & self[Register.mask] & ~Cause.asserted != 0
        self[Register.cause] = self[Register.cause] & ~Cause.asserted | (isHigh ? Cause.asserted : 0)
        port?.setPin(isHigh)
    }

    // MARK: statistics

    enum Statistics {
        static let range = 0x4000 ... 0x4124
        static let oversized = 0x40ac
        static let goodReceived = 0x4074, broadcastReceived = 0x4078, multicastReceived = 0x407c, goodSent = 0x4080
        static let octetsReceived = 0x4088, octetsSent = 0x4090, allOctetsReceived = 0x40c0, allOctetsSent = 0x40c8
        static let allReceived = 0x40d0, allSent = 0x40d4, multicastSent = 0x40f0, broadcastSent = 0x40f4
        static let receivedSizes = 0x405c, sentSizes = 0x40d8, segmented = 0x40f8
        /// The lower halves of numbers with 64 bits.
        static let wide: Set<Int> = [octetsReceived, octetsSent, allOctetsReceived, allOctetsSent]
    }

    func clearStatistic(_ offset: Int) {
        // Long ones clear with their upper half.
        if Statistics.wide.contains(offset) { return }
        self[offset] = 0
        if Statistics.wide.contains(offset - 4) { self[offset - 4] = 0 }
    }

    /// Counters stop at their end.
    func count(_ offset: Int, _ more: Int = 1) {
        if Statistics.wide.contains(offset) {
            let sum = (UInt64(self[offset]) | UInt64(self[offset + 4]) << 32) &+ UInt64(more)
            (self[offset], self[offset + 4]) = (sum.low, sum.high)
        } else {
            self[offset] = UInt32(clamping: Int(self[offset]) + more)
        }
    }

    /// Counts a frame of `bytes` without its checksum.
    func countFrame(_ bytes: Int, target: UInt8, isBroadcast: Bool, isSent: Bool) {
        let size = max(bytes, 60) + 4
        count(isSent ? Statistics.goodSent : Statistics.goodReceived)
        count(isSent ? Statistics.allSent : Statistics.allReceived)
        for octets in isSent ? [Statistics.octetsSent, Statistics.allOctetsSent] : [Statistics.octetsReceived, Statistics.allOctetsReceived] { count(octets, size) }
        if isBroadcast {
            count(isSent ? Statistics.broadcastSent : Statistics.broadcastReceived)
        } else if target & 1 != 0 {
            count(isSent ? Statistics.multicastSent : Statistics.multicastReceived)
        }
        // 64 bytes, up to 127, 255, 511, 1023, and more.
        let group = size <= 64 ? 0 : min(5, Int.bitWidth - size.leadingZeroBitCount - 6)
        count((isSent ? Statistics.sentSizes : Statistics.receivedSizes) + group * 4)
    }
}
