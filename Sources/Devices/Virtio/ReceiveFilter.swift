// What a network card lets through: receive modes, address tables and VLANs (Virtual I/O Device 1.3, 5.1.6.5.1 to 5.1.6.5.3).

import Core

struct ReceiveFilter {
    var mac: [UInt8]
    /// By command number: promiscuous, all multicast, all unicast, no multicast, no unicast, no broadcast.
    private var modes: [Bool]
    private var unicast: [UInt64] = []
    private var multicast: [UInt64] = []
    private var overflows = (unicast: false, multicast: false)
    /// One bit for each VLAN; nil: none was set, all pass.
    private var vlans = [UInt64](repeating: 0, count: 64)
    private var filtersVLANs = false
    private static let tableSize = 64

    init(mac: [UInt8]) {
        self.mac = (mac + [UInt8](repeating: 0, count: 6)).prefix(6).map { $0 }
        // Before the driver says anything, everything comes through.
        modes = [true, false, false, false, false, false]
    }

    mutating func setMode(_ number: UInt8, _ isOn: Bool) -> Bool {
        guard modes.indices.contains(Int(number)) else { return false }
        modes[Int(number)] = isOn
        return true
    }

    /// Two tables, each with its count in front.
    mutating func setTable(_ data: [UInt8]) -> Bool {
        var at = 0
        func table() -> ([UInt64], Bool)? {
            guard at + 4 <= data.count else { return nil }
            let count = Int(data.number(at, as: UInt32.self))
            at += 4
            guard count <= (data.count - at) / 6 else { return nil }
            defer { at += count * 6 }
            if count > Self.tableSize { return ([], true) }
            return ((0 ..< count).map { Self.address(data[(at + $0 * 6) ..< (at + $0 * 6 + 6)]) }, false)
        }
        guard let first = table(), let second = table() else { return false }
        (unicast, overflows.unicast) = first
        (multicast, overflows.multicast) = second
        return true
    }

    mutating func setVLAN(_ number: UInt16, isOn: Bool) -> Bool {
        guard number < 4096 else { return false }
        filtersVLANs = true
        let bit: UInt64 = 1 << UInt64(number & 63)
        if isOn { vlans[Int(number >> 6)] |= bit } else { vlans[Int(number >> 6)] &= ~bit }
        return true
    }

    private static func address<Bytes: Sequence>(_ bytes: Bytes) -> UInt64 where Bytes.Element == UInt8 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    /// Whether a frame of at least 14 bytes comes through.
    func admits(_ frame: UnsafeRawBufferPointer) -> Bool {
        if modes[0] { return true }
        if filtersVLANs, frame.count >= 16, frame[12] == 0x81, frame[13] == 0 {
            let number = (Int(frame[14]) << 8 | Int(frame[15])) & 0xfff
            if vlans[number >> 6] >> UInt64(number & 63) & 1 == 0 { return false }
        }
        let target = Self.address(frame[0 ..< 6])
        if frame[0] & 1 != 0 {
            if target == 0xffff_ffff_ffff { return !modes[5] }
            return !modes[3] && (modes[1] || overflows.multicast || multicast.contains(target))
        }
        return !modes[4] && (modes[2] || overflows.unicast || target == Self.address(mac) || unicast.contains(target))
    }

    /// As query-rx-filter shows it.
    struct Summary: Sendable {
        var isPromiscuous: Bool, admitsBroadcast: Bool
        /// `normal`, `none` or `all`
        var unicastMode: String, multicastMode: String, vlanMode: String
        var overflows: (unicast: Bool, multicast: Bool)
        var unicast: [[UInt8]], multicast: [[UInt8]], vlans: [Int]
    }
    /// - Parameter canFilterVLANs: the driver knows of that filter.
    func summary(canFilterVLANs: Bool) -> Summary {
        func bytes(_ address: UInt64) -> [UInt8] { (0 ..< 6).map { UInt8(truncatingIfNeeded: address >> UInt64(40 - $0 * 8)) } }
        let numbers = (0 ..< 4096).filter { vlans[$0 >> 6] >> UInt64($0 & 63) & 1 != 0 }
        return Summary(isPromiscuous: modes[0], admitsBroadcast: !modes[5], unicastMode: modes[4] ? "none" : modes[2] ? "all" : "normal",
                       multicastMode: modes[3] ? "none" : modes[1] ? "all" : "normal", vlanMode: !canFilterVLANs ? "all" : numbers.isEmpty ? "none" : "normal", overflows: overflows,
                       unicast: unicast.map(bytes), multicast: multicast.map(bytes), vlans: numbers)
    }

    mutating func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("mac", &mac)
        var bits = modes.enumerated().reduce(UInt16(0)) { $0 | ($1.element ? 1 << UInt16($1.offset) : 0) }
        bits |= (overflows.unicast ? 0x100 : 0) | (overflows.multicast ? 0x200 : 0) | (filtersVLANs ? 0x400 : 0)
        try state.field("modes", &bits)
        try state.field("unicast", &unicast, maximum: Self.tableSize)
        try state.field("multicast", &multicast, maximum: Self.tableSize)
        try state.field("vlans", &vlans)
        modes = (0 ..< 6).map { bits >> UInt16($0) & 1 != 0 }
        overflows = (bits & 0x100 != 0, bits & 0x200 != 0)
        filtersVLANs = bits & 0x400 != 0
    }
}
