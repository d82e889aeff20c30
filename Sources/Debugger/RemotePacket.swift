// The packets of gdb's remote serial protocol ("Overview" in appendix E of gdb's manual): `$data#checksum`, `}` before an
// escaped byte, acknowledged by `+` or `-`; 0x03 alone asks for an interrupt. What comes may be anything.

/// What a stream of bytes brings.
package enum RemoteInput: Equatable, Sendable {
    case packet([UInt8])
    /// A packet whose checksum is wrong.
    case damaged
    case acknowledged, refused
    case interrupt
}

/// Finds packets in bytes as they come in.
package struct PacketReader {
    private enum State { case idle, data, escaped, firstDigit, secondDigit }

    /// Longer packets are not asked for by anyone who obeys `PacketSize`, and are dropped.
    package static let limit = 1 << 17

    private var state = State.idle
    private var data: [UInt8] = []
    private var sum: UInt8 = 0
    private var announced: UInt8 = 0
    private var isTooLong = false

    package init() {}

    /// Takes one byte; returns what it completes.
    package mutating func take(_ byte: UInt8) -> RemoteInput? {
        switch state {
        case .idle:
            switch byte {
            case UInt8(ascii: "$"): begin()
            case UInt8(ascii: "+"): return .acknowledged
            case UInt8(ascii: "-"): return .refused
            case 3: return .interrupt
            default: break
            }
        case .data:
            switch byte {
            case UInt8(ascii: "#"): state = .firstDigit
            // A new packet begins: the rest of the old one was lost.
            case UInt8(ascii: "$"): begin()
            case UInt8(ascii: "}"):
                sum &+= byte
                state = .escaped
            default: append(byte, byte)
            }
        case .escaped:
            append(byte ^ 0x20, byte)
            state = .data
        case .firstDigit:
            announced = (Hexadecimal.value(byte) ?? 0) &<< 4
            state = .secondDigit
        case .secondDigit:
            state = .idle
            announced |= Hexadecimal.value(byte) ?? 0
            defer { data = [] }
            return announced == sum && !isTooLong ? .packet(data) : .damaged
        }
        return nil
    }

    private mutating func begin() {
        data = []
        sum = 0
        isTooLong = false
        state = .data
    }

    private mutating func append(_ value: UInt8, _ raw: UInt8) {
        sum &+= raw
        if data.count < Self.limit { data.append(value) } else { isTooLong = true }
    }
}

package enum PacketWriter {
    /// `payload` as a whole packet.
    package static func packet(_ payload: [UInt8]) -> [UInt8] {
        var out: [UInt8] = [UInt8(ascii: "$")]
        out.reserveCapacity(payload.count &+ 8)
        var sum: UInt8 = 0
        for byte in payload {
            switch byte {
            case UInt8(ascii: "$"), UInt8(ascii: "#"), UInt8(ascii: "}"), UInt8(ascii: "*"):
                out.append(UInt8(ascii: "}"))
                out.append(byte ^ 0x20)
                sum &+= UInt8(ascii: "}") &+ (byte ^ 0x20)
            default:
                out.append(byte)
                sum &+= byte
            }
        }
        out.append(UInt8(ascii: "#"))
        out += Hexadecimal.encode([sum])
        return out
    }
}
