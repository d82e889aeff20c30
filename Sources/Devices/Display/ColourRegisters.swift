// The colour registers of VGA (ports 0x3c0 to 0x3df, of which those of the colour converter do something): 256 entries of
// three components, 6 bits each, or 8 where Bochs's interface says so. Other registers keep what is written to them.

import Core

struct ColourRegisters {
    private var components = [UInt8](repeating: 0, count: 768)
    private var others = [UInt8](repeating: 0, count: 32)
    private var writeAt: UInt16 = 0
    private var readAt: UInt16 = 0
    /// 8 bits a component instead of 6.
    var isWide = false

    /// Ports, counted from 0x3c0.
    private enum Port { static let mask = 6, readIndex = 7, writeIndex = 8, data = 9, status = 0x1a }

    /// As 0x00RRGGBB.
    var palette: [UInt32] {
        (0 ..< 256).map { entry in
            (0 ..< 3).reduce(0) { colour, component in
                let value = UInt32(components[entry * 3 + component])
                return colour << 8 | (isWide ? value : (value & 63) << 2 | value >> 4 & 3)
            }
        }
    }

    mutating func read(_ port: Int) -> UInt8 {
        switch port {
        case Port.data:
            let value = components[Int(readAt) % 768]
            readAt = (readAt + 1) % 768
            return value
        case Port.writeIndex: return UInt8(truncatingIfNeeded: writeAt / 3)
        case Port.status:
            // Retrace comes and goes: those who wait for an edge see one.
            others[port] ^= 9
            return others[port] & 9
        default: return others.indices.contains(port) ? others[port] : 0
        }
    }

    /// - Returns: whether a colour has changed.
    mutating func write(_ port: Int, _ value: UInt8) -> Bool {
        switch port {
        case Port.readIndex: readAt = UInt16(value) * 3
        case Port.writeIndex: writeAt = UInt16(value) * 3
        case Port.data:
            components[Int(writeAt) % 768] = isWide ? value : value & 63
            writeAt = (writeAt + 1) % 768
            return true
        default: if others.indices.contains(port) { others[port] = value }
        }
        return false
    }

    mutating func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("components", &components)
        try state.field("others", &others)
        try state.field("writeAt", &writeAt)
        try state.field("readAt", &readAt)
        if state.isLoading, writeAt >= 768 || readAt >= 768 { throw .badValue("colour index") }
    }
}
