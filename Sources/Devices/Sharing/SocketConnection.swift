// One connection between a guest's vsock and a Unix socket of the host: what is on its way each way, and each side's credit.
// Used under the device's lock; the socket never blocks.

import Core
import Glibc

/// Which connection: ports on both sides.
struct SocketPorts: Hashable {
    var host: UInt32
    var guest: UInt32
}

final class SocketConnection {
    enum Phase {
        /// The host has asked, the guest not answered yet.
        case asked
        case open
    }
    /// Room for the guest's data that the host's program has not taken yet.
    static let roomBytes = 256 << 10
    /// Data of one packet at most.
    static let packetBytes = 64 << 10

    let ports: SocketPorts
    let descriptor: Int32
    var watch: Watch?
    private var wanted: Readiness = []
    private var isGone = false
    private(set) var phase: Phase

    /// From the guest, for the host.
    private var waiting: [UInt8] = []
    private var first = 0
    private(set) var passed: UInt32 = 0
    private var told: UInt32 = 0
    private var received: UInt32 = 0

    // To the guest: what it said of its room, and what was sent.
    private var guestRoom: UInt32 = 0
    private var guestPassed: UInt32 = 0
    private var sent: UInt32 = 0
    var hasAskedForCredit = false

    /// The guest's program does not send, or does not receive, any more.
    private(set) var guestEnded: UInt32 = 0
    /// The same of the host's, as the guest was told.
    private(set) var hostEnded: UInt32 = 0
    /// The socket has something to read, as far as is known.
    private(set) var isReadable = false

    /// - Parameter socket: becomes the connection's, which closes it.
    init(_ ports: SocketPorts, socket: Int32, phase: Phase) {
        self.ports = ports
        descriptor = socket
        self.phase = phase
    }

    deinit {
        watch?.cancel()
        close(descriptor)
    }

    // MARK: credit

    /// Takes what each packet of the guest says of its room.
    func note(_ packet: SocketPacket) {
        guestRoom = packet.room
        guestPassed = packet.passed
        if credit > 0 { hasAskedForCredit = false }
    }

    /// Bytes that the guest has room for.
    var credit: Int {
        let underWay = sent &- guestPassed
        return underWay < guestRoom ? Int(guestRoom - underWay) : 0
    }

    /// The guest does not know of much of the room that there is.
    var owesCredit: Bool { passed &- told >= UInt32(Self.roomBytes / 4) }

    /// The header of a packet to the guest.
    func packet(_ operation: SocketPacket.Operation, to guest: UInt64, count: Int = 0, flags: UInt32 = 0) -> SocketPacket {
        var packet = SocketPacket(operation)
        packet.source = SocketPacket.host
        packet.target = guest
        packet.sourcePort = ports.host
        packet.targetPort = ports.guest
        packet.count = UInt32(truncatingIfNeeded: count)
        packet.flags = flags
        packet.room = UInt32(Self.roomBytes)
        packet.passed = passed
        told = passed
        return packet
    }

    // MARK: from the guest

    /// Takes data. - Returns: false if the guest sends more than it was allowed to, or after it said that it would not.
    func take(_ bytes: [UInt8]) -> Bool {
        guard guestEnded & SocketPacket.Shutdown.sends == 0 else { return false }
        received &+= UInt32(truncatingIfNeeded: bytes.count)
        guard Int(received &- passed) <= Self.roomBytes else { return false }
        waiting += bytes
        return true
    }

    func guestEnds(_ flags: UInt32) { guestEnded |= flags & SocketPacket.Shutdown.both }

    /// Passes on what waits. - Returns: false if the host's program is gone.
    func pass() -> Bool {
        while first < waiting.count {
            let count = waiting[first...].withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN { return true }
                return false
            }
            first += count
            passed &+= UInt32(truncatingIfNeeded: count)
        }
        waiting.removeAll(keepingCapacity: waiting.capacity <= Self.packetBytes * 2)
        first = 0
        if guestEnded & SocketPacket.Shutdown.sends != 0 { shutdown(descriptor, Int32(SHUT_WR)) }
        return true
    }

    var hasPassedAll: Bool { first == waiting.count }
    /// The guest has ended both ways, and everything it sent has been passed on.
    var isOver: Bool { guestEnded == SocketPacket.Shutdown.both && hasPassedAll }

    // MARK: from the host

    /// The guest has taken the connection that the host asked for. - Returns: false if the host's program is gone.
    func accepted() -> Bool {
        phase = .open
        let text = Array("OK \(ports.host)\n".utf8)
        // The socket is new: there is room for a line.
        return send(descriptor, text, text.count, Int32(MSG_NOSIGNAL)) == text.count
    }

    func ready(_ readiness: Readiness) {
        if readiness.contains(.read) || readiness.contains(.hangUp) { isReadable = true }
        guard readiness.contains(.hangUp) else { return }
        // It would be reported for ever; from now on the guest's packets move things on.
        isGone = true
        watch?.cancel()
        watch = nil
    }

    /// Whether the host's data may go to the guest now.
    var maySend: Bool { phase == .open && isReadable && hostEnded & SocketPacket.Shutdown.sends == 0 && guestEnded & SocketPacket.Shutdown.receives == 0 }

    enum Read { case data([UInt8]), nothing, end }

    /// Takes at most `maximum` bytes from the socket. Credit is used up.
    func read(_ maximum: Int) -> Read {
        var bytes = [UInt8](repeating: 0, count: max(1, min(maximum, Self.packetBytes, credit)))
        while true {
            let count = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            if count > 0 {
                sent &+= UInt32(truncatingIfNeeded: count)
                if count < bytes.count { bytes.removeLast(bytes.count - count) }
                return .data(bytes)
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                isReadable = false
                return .nothing
            }
            return .end
        }
    }

    /// The host's program has ended its side. - Returns: flags of the shutdown for the guest.
    func hostEnds() -> UInt32 {
        hostEnded = isGone ? SocketPacket.Shutdown.both : SocketPacket.Shutdown.sends
        return hostEnded
    }
    /// Has the event loop look for what is of use now.
    func watchAgain() {
        var readiness: Readiness = []
        if phase == .open, !isReadable, hostEnded & SocketPacket.Shutdown.sends == 0 { readiness.insert(.read) }
        if !hasPassedAll { readiness.insert(.write) }
        guard readiness != wanted else { return }
        wanted = readiness
        watch?.wait(for: readiness)
    }
}
