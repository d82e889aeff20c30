import CHost
import Glibc

/// Sockets: socket(2) to recvmmsg(2). Addresses (`sockaddr`) are in network order but for their family, which
/// `SocketMessages.swift` turns for guests of the other byte order, as it does ancillary data.
enum SocketCalls {
    static let sockets: [SystemCallDescription] = [
        .host("socket", SYS_socket, [.flags(.socketFamily), .flags(.socketType), .int]),
        .host("socketpair", SYS_socketpair, [.flags(.socketFamily), .flags(.socketType), .int, .integerOut]),
        SystemCallDescription("bind", [.fd, .socketAddress(length: 2), .int]) { withAddress($0, SYS_bind, .never) },
        SystemCallDescription("connect", [.fd, .socketAddress(length: 2), .int]) { withAddress($0, SYS_connect, .waits) },
        .host("listen", SYS_listen, [.fd, .int]),
        SystemCallDescription("accept", [.fd, .pointer, .pointer]) { call in
            addressOut(call, 1, 2) { call.host(.waits, SYS_accept, Int(call.int(0)), $0, $1) }
        },
        SystemCallDescription("accept4", [.fd, .pointer, .pointer, .flags(.socketType)]) { call in
            addressOut(call, 1, 2) { call.host(.waits, SYS_accept4, Int(call.int(0)), $0, $1, Int(call.int(3))) }
        },
        SystemCallDescription("getsockname", [.fd, .pointer, .pointer]) { call in
            addressOut(call, 1, 2) { call.host(.never, SYS_getsockname, Int(call.int(0)), $0, $1) }
        },
        SystemCallDescription("getpeername", [.fd, .pointer, .pointer]) { call in
            addressOut(call, 1, 2) { call.host(.never, SYS_getpeername, Int(call.int(0)), $0, $1) }
        },
        SystemCallDescription("sendto", [.fd, .bufferIn(length: 2), .size, .flags(.message), .socketAddress(length: 5), .int],
                              sendTo),
        SystemCallDescription("recvfrom", [.fd, .bufferOut, .size, .flags(.message), .pointer, .pointer]) { call in
            addressOut(call, 4, 5) {
                call.host(.waits, SYS_recvfrom, Int(call.int(0)), call.pointer(at: 1), Int(truncatingIfNeeded: call[2]),
                          Int(call.int(3)), $0, $1)
            }
        },
        .host("shutdown", SYS_shutdown, [.fd, .int]),
        SystemCallDescription("setsockopt", [.fd, .flags(.socketLevel), .int, .bufferIn(length: 4), .int],
                              SocketOptions.set),
        SystemCallDescription("getsockopt", [.fd, .flags(.socketLevel), .int, .pointer, .integerOut], SocketOptions.get),
        SystemCallDescription("sendmsg", [.fd, .structIn(.messageHeader), .flags(.message)], SocketMessages.send),
        SystemCallDescription("recvmsg", [.fd, .structInOut(.messageHeader), .flags(.message)], SocketMessages.receive),
        SystemCallDescription("sendmmsg", [.fd, .pointer, .unsigned, .flags(.message)], SocketMessages.sendMany),
        SystemCallDescription("recvmmsg", [.fd, .pointer, .unsigned, .flags(.message), .structIn(.timespec)]) {
            SocketMessages.receiveMany($0, .timespec)
        },
        SystemCallDescription("recvmmsg_time64", [.fd, .pointer, .unsigned, .flags(.message), .structIn(.timespec64)]) {
            SocketMessages.receiveMany($0, .timespec64)
        },
    ]

    /// Whether the guest's bytes are the host's.
    static func passes(_ call: SystemCall) -> Bool {
        call.model.wordSize == 8 && !call.model.bigEndian && call.memory.base == 0
    }

    private static func withAddress(_ call: SystemCall, _ number: Int32, _ waiting: Waiting) -> SystemCallResult {
        call.withSocketAddress(call[1], length: call.int(2)) {
            call.host(waiting, number, Int(call.int(0)), $0, Int(call.int(2)))
        }
    }

    private static func sendTo(_ call: SystemCall) -> SystemCallResult {
        call.withSocketAddress(call[4], length: call.int(5)) {
            call.host(.waits, SYS_sendto, Int(call.int(0)), call.pointer(at: 1), Int(truncatingIfNeeded: call[2]),
                      Int(call.int(3)), $0, Int(call.int(5)))
        }
    }

    /// An address and its length that the call writes, in arguments `address` and `length`.
    private static func addressOut(_ call: SystemCall, _ address: Int, _ length: Int,
                                   _ body: (Int, Int) -> SystemCallResult) -> SystemCallResult {
        guard call.model.bigEndian, call[address] != 0 else {
            return body(call.pointer(at: address), call.pointer(at: length))
        }
        guard let given = call.readInt(call[length]) else { return .error(EFAULT) }
        guard given >= 0 else { return .error(EINVAL) }
        var buffer = SocketAddressBytes()
        var actual = min(given, Int32(SocketAddressBytes.capacity))
        return buffer.withPointer { base in
            let result = withUnsafeMutableBytes(of: &actual) {
                body(Int(bitPattern: base), Int(bitPattern: $0.baseAddress))
            }
            guard case .value(let value) = result, value >= 0 else { return result }
            SocketAddressBytes.swapFamily(base, Int(actual))
            let copied = min(Int(given), Int(actual), SocketAddressBytes.capacity)
            guard call.copyOut(call[address], base, max(copied, 0)),
                  call.writeInteger(call[length], UInt64(UInt32(bitPattern: actual)), size: 4) else { return .error(EFAULT) }
            return result
        }
    }
}

/// Room for a `struct sockaddr_storage`.
struct SocketAddressBytes {
    static let capacity = 128
    private var words = InlineWords16()

    mutating func withPointer<R>(_ body: (UnsafeMutableRawPointer) -> R) -> R {
        withUnsafeMutablePointer(to: &words) { body(UnsafeMutableRawPointer($0)) }
    }

    /// Turns the family of the address around, and for AF_NETLINK and AF_PACKET the fields in native order.
    static func swapFamily(_ base: UnsafeMutableRawPointer, _ length: Int, fromGuest: Bool = false) {
        guard length >= 2, length <= capacity else { return }
        func swap16(_ offset: Int) {
            guard offset + 2 <= length else { return }
            base.storeBytes(of: base.loadUnaligned(fromByteOffset: offset, as: UInt16.self).byteSwapped, toByteOffset: offset, as: UInt16.self)
        }
        func swap32(_ offset: Int) {
            guard offset + 4 <= length else { return }
            base.storeBytes(of: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self).byteSwapped, toByteOffset: offset, as: UInt32.self)
        }
        let before = base.loadUnaligned(as: UInt16.self)
        swap16(0)
        switch fromGuest ? base.loadUnaligned(as: UInt16.self) : before {
        case 16: swap32(4); swap32(8)  // AF_NETLINK: pid, groups
        case 17: swap32(4); swap16(8)  // AF_PACKET: interface, hardware type
        case 10: swap32(24)  // AF_INET6: scope
        default: break
        }
    }
}

struct InlineWords16 {
    var a: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
    var b: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
}

extension SystemCall {
    /// A host pointer to the address the guest gives.
    func withSocketAddress(_ address: UInt64, length: Int32, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        guard model.bigEndian, address != 0, length >= 0, length <= SocketAddressBytes.capacity else {
            return body(pointer(address))
        }
        var buffer = SocketAddressBytes()
        return buffer.withPointer { base in
            guard copyIn(address, base, Int(length)) else { return .error(EFAULT) }
            SocketAddressBytes.swapFamily(base, Int(length), fromGuest: true)
            return body(Int(bitPattern: base))
        }
    }
}
