import CHost
import Glibc

/// Ancillary data of socket messages (cmsg(3)): descriptors, credentials, timestamps, and ints for the rest.
enum ControlMessages {
    private static let hostHeader = 16

    private static func aligned(_ count: Int, _ word: Int) -> Int { (count + word - 1) & ~(word - 1) }

    /// The structure that a message carries, or nil for an array of ints.
    private static func layout(_ level: Int32, _ type: Int32) -> StructLayout? {
        switch (level, type) {
        case (SOL_SOCKET, 2): .credentials
        case (SOL_SOCKET, 29): .timeval  // SCM_TIMESTAMP
        case (SOL_SOCKET, 35): .timespec  // SCM_TIMESTAMPNS
        default: nil
        }
    }

    /// The guest's control messages in the host's form; nil if they are malformed or cannot be read.
    static func read(_ call: SystemCall, _ address: UInt64, _ length: UInt64) -> [UInt8]? {
        guard address != 0, length != 0 else { return [] }
        guard length <= 1 << 17, let source = call.memory.readBytes(address, Int(length)) else { return nil }
        let word = call.model.wordSize, header = word + 8, bigEndian = call.model.bigEndian
        var result: [UInt8] = []
        var at = 0
        while at + header <= source.count {
            let (size, level, type) = source.withUnsafeBytes { bytes -> (UInt64, Int32, Int32) in
                guard let base = bytes.baseAddress else { return (0, 0, 0) }
                func field(_ offset: Int, _ size: Int) -> UInt64 {
                    IntegerBytes.load(base + at + offset, size, bigEndian: bigEndian, signed: false)
                }
                return (field(0, word), Int32(truncatingIfNeeded: field(word, 4)), Int32(truncatingIfNeeded: field(word + 4, 4)))
            }
            guard size >= UInt64(header), size <= UInt64(source.count - at) else { return nil }
            let payload = Array(source[(at + header)..<(at + Int(size))])
            append(&result, level, type, convertPayload(call, payload, level, type, toHost: true), word: 8, bigEndian: false)
            at += aligned(Int(size), word)
        }
        return result
    }

    /// The host's control messages in the guest's form, as many as fit `room` bytes.
    static func convert(_ call: SystemCall, _ source: UnsafeRawBufferPointer, room: Int) -> (bytes: [UInt8], truncated: Bool) {
        var result: [UInt8] = []
        var at = 0
        while at + hostHeader <= source.count {
            let size = Int(truncatingIfNeeded: source.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            let level = source.loadUnaligned(fromByteOffset: at + 8, as: Int32.self)
            let type = source.loadUnaligned(fromByteOffset: at + 12, as: Int32.self)
            guard size >= hostHeader, size <= source.count - at else { break }
            let payload = Array(source[(at + hostHeader)..<(at + size)])
            var next = result
            append(&next, level, type, convertPayload(call, payload, level, type, toHost: false), word: call.model.wordSize,
                   bigEndian: call.model.bigEndian)
            guard next.count <= room else { return (result, true) }
            result = next
            at += aligned(size, 8)
        }
        return (result, false)
    }

    private static func append(_ to: inout [UInt8], _ level: Int32, _ type: Int32, _ payload: [UInt8], word: Int, bigEndian: Bool) {
        func integer(_ value: UInt64, _ size: Int) {
            for index in 0..<size {
                let shift = UInt64(bigEndian ? size - 1 - index : index) * 8
                to.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }
        integer(UInt64(word + 8 + payload.count), word)
        integer(UInt64(UInt32(bitPattern: level)), 4)
        integer(UInt64(UInt32(bitPattern: type)), 4)
        to += payload
        while to.count & (word - 1) != 0 { to.append(0) }
    }

    private static func convertPayload(_ call: SystemCall, _ payload: [UInt8], _ level: Int32, _ type: Int32, toHost: Bool) -> [UInt8] {
        if let layout = layout(level, type) {
            let pair = layout.conversions(call.shape)
            let from = toHost ? pair.guest.size : pair.host.size, to = toHost ? pair.host.size : pair.guest.size
            guard payload.count >= from else { return payload }
            return [UInt8](unsafeUninitializedCapacity: to) { buffer, count in
                payload.withUnsafeBytes { source in
                    guard let source = source.baseAddress, let target = buffer.baseAddress else { return }
                    (toHost ? pair.toHost : pair.toGuest).apply(source, UnsafeMutableRawPointer(target))
                    count = to
                }
            }
        }
        guard call.model.bigEndian, level == SOL_SOCKET || payload.count == 4 else { return payload }
        var turned = payload
        for start in stride(from: 0, to: turned.count - turned.count % 4, by: 4) {
            turned.swapAt(start, start + 3)
            turned.swapAt(start + 1, start + 2)
        }
        return turned
    }
}
