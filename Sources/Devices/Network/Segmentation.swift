// What network cards do for drivers before a frame goes out: checksums (RFC 1071) and cutting long TCP segments to the size of
// the wire's frames. The frame is a guest's: whatever does not fit together is not sent.

import Core
import Glibc

enum FrameWork {
    /// The ones' complement sum of all bytes, in the byte order of the host; not complemented.
    static func sum(_ bytes: UnsafeRawBufferPointer, _ initial: UInt64 = 0) -> UInt16 {
        var total = initial, at = 0
        let count = bytes.count
        while at &+ 4 <= count {
            total &+= UInt64(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            at &+= 4
        }
        if at &+ 2 <= count {
            total &+= UInt64(bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            at &+= 2
        }
        if at < count { total &+= UInt64(UInt16(littleEndian: UInt16(bytes[at]))) }
        while total > 0xffff { total = (total & 0xffff) &+ (total >> 16) }
        return UInt16(truncatingIfNeeded: total)
    }

    /// Completes the checksum at `start + offset`, which covers everything from `start` on and holds the sum of the pseudo-header.
    /// - Returns: false: that is not inside the frame.
    static func completeChecksum(_ frame: UnsafeMutableRawBufferPointer, start: Int, offset: Int) -> Bool {
        guard start >= 14, offset >= 0, start &+ offset &+ 2 <= frame.count else { return false }
        let sum = ~sum(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(frame)[start...]))
        frame.storeBytes(of: sum == 0 ? 0xffff : sum, toByteOffset: start &+ offset, as: UInt16.self)
        return true
    }

    /// Where the network header of a frame begins: behind at most one VLAN tag.
    static func networkHeader(_ frame: UnsafeRawBufferPointer) -> Int {
        frame.count >= 18 && frame[12] == 0x81 && frame[13] == 0 ? 18 : 14
    }

    /// Cuts a TCP segment into frames with at most `size` bytes of payload each.
    /// - Parameters:
    ///   - transport: where the TCP header begins.
    ///   - scratch: at least as large as the frame.
    /// - Returns: false: it is no such frame, and nothing was sent.
    static func segment(_ frame: UnsafeRawBufferPointer, transport: Int, size: Int, isIPv6: Bool, scratch: UnsafeMutableRawBufferPointer,
                        send: (UnsafeRawBufferPointer) -> Void) -> Bool {
        let network = networkHeader(frame)
        guard size >= 48, transport >= network &+ (isIPv6 ? 40 : 20), transport &+ 20 <= frame.count, scratch.count >= frame.count,
              frame[network] >> 4 == (isIPv6 ? 6 : 4), let source = frame.baseAddress, let target = scratch.baseAddress else { return false }
        let headers = transport &+ Int(frame[transport &+ 12] >> 4) &* 4
        guard headers >= transport &+ 20, headers <= frame.count, isIPv6 || network &+ Int(frame[network] & 15) &* 4 == transport else { return false }
        func word(_ at: Int) -> UInt16 { UInt16(bigEndian: frame.loadUnaligned(fromByteOffset: at, as: UInt16.self)) }
        func store(_ value: UInt16, _ at: Int) { scratch.storeBytes(of: value.bigEndian, toByteOffset: at, as: UInt16.self) }
        let identification = word(network &+ 4)
        let sequence = UInt32(bigEndian: frame.loadUnaligned(fromByteOffset: transport &+ 4, as: UInt32.self))
        let flags = frame[transport &+ 13]
        // FIN and PSH belong to the end, CWR to the beginning.
        let atEnd: UInt8 = 0x09, atStart: UInt8 = 0x80
        let addresses = isIPv6 ? network &+ 8 ..< network &+ 40 : network &+ 12 ..< network &+ 20
        let pseudo = sum(UnsafeRawBufferPointer(rebasing: frame[addresses]), UInt64(UInt16(6).bigEndian))
        memcpy(target, source, headers)
        var done = 0, number: UInt16 = 0
        let payload = frame.count &- headers
        repeat {
            let part = min(size, payload &- done), total = headers &+ part, isLast = done &+ part == payload
            memcpy(target + headers, source + (headers &+ done), part)
            if isIPv6 {
                store(UInt16(truncatingIfNeeded: total &- network &- 40), network &+ 4)
            } else {
                store(UInt16(truncatingIfNeeded: total &- network), network &+ 2)
                store(identification &+ number, network &+ 4)
                store(0, network &+ 10)
                let sum = ~sum(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[network ..< transport]))
                scratch.storeBytes(of: sum, toByteOffset: network &+ 10, as: UInt16.self)
            }
            scratch.storeBytes(of: (sequence &+ UInt32(truncatingIfNeeded: done)).bigEndian, toByteOffset: transport &+ 4, as: UInt32.self)
            scratch[transport &+ 13] = flags & ~(isLast ? 0 : atEnd) & ~(number == 0 ? 0 : atStart)
            store(0, transport &+ 16)
            let length = UInt16(truncatingIfNeeded: total &- transport).bigEndian
            let check = ~sum(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[transport ..< total]), UInt64(pseudo) &+ UInt64(length))
            scratch.storeBytes(of: check, toByteOffset: transport &+ 16, as: UInt16.self)
            send(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(scratch)[..<total]))
            done &+= part
            number &+= 1
        } while done < payload
        return true
    }

    /// Whether a frame's checksum at transport level covers the frame: TCP or UDP that is no fragment.
    static func hasTransportChecksum(_ frame: UnsafeRawBufferPointer) -> Bool {
        let network = networkHeader(frame)
        guard frame.count >= network &+ 40 else { return false }
        switch frame[network] >> 4 {
        case 4: return (frame[network &+ 9] == 6 || frame[network &+ 9] == 17) && frame[network &+ 6] & 0x3f == 0 && frame[network &+ 7] == 0
        case 6: return frame[network &+ 6] == 6 || frame[network &+ 6] == 17
        default: return false
        }
    }
}
