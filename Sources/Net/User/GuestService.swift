// A stream of the host as a TCP server in the guest's network (`guestfwd`).

import CSlirp
import Core
import Glibc
import Host

/// Invariant: `open`, `close` and libslirp's calls happen on the loop's thread.
final class GuestService: @unchecked Sendable {
    private let stream: any CharacterStream
    private let stack: SlirpStack
    private let loop: EventLoop
    private let address: in_addr_t
    private let port: UInt16
    /// What the stream did not take at once.
    private var unsent: [UInt8] = []
    private static let unsentLimit = 1 << 20

    init(_ stream: any CharacterStream, stack: SlirpStack, loop: EventLoop, address: in_addr_t, port: UInt16) {
        self.stream = stream
        self.stack = stack
        self.loop = loop
        self.address = address
        self.port = port
    }

    /// - Returns: false: the address is not one of the network's, or is taken.
    func open() -> Bool {
        var place = in_addr(s_addr: address)
        let result = stack.library.addService(stack.slirp, { bytes, count, me in
            guard let bytes, let me, count > 0 else { return 0 }
            Unmanaged<GuestService>.fromOpaque(me).takeUnretainedValue().send(UnsafeRawBufferPointer(start: bytes, count: count))
            return count
        }, Unmanaged.passUnretained(self).toOpaque(), &place, Int32(port))
        guard result >= 0 else { return false }
        stream.attach(CharacterHandlers(
            capacity: { [weak self] in self?.room ?? 0 }, receive: { [weak self] in self?.receive($0) },
            event: { [weak self] in if case .writable = $0 { self?.flush() } }))
        return true
    }

    func close() { stream.attach(nil) }

    private func send(_ bytes: UnsafeRawBufferPointer) {
        guard unsent.count < Self.unsentLimit else { return }
        unsent += bytes
        flush()
    }

    private func flush() {
        let taken = stream.send(unsent[...])
        unsent.removeFirst(min(max(taken, 0), unsent.count))
    }

    private var room: Int {
        guard let slirp = stack.slirp else { return 0 }
        let room = stack.library.canReceive(slirp, in_addr(s_addr: address), Int32(port))
        // Nobody tells when there is room, or somebody, again: look soon.
        if room == 0 { again.arm(at: clock.now &+ 20_000_000) }
        return min(room, 4096)
    }
    private lazy var clock: MachineClock = {
        let clock = MachineClock(loop: loop)
        clock.start()
        return clock
    }()
    private lazy var again: MachineTimer = clock.timer { [weak self] in self?.stream.resume() }

    private func receive(_ bytes: [UInt8]) {
        guard let slirp = stack.slirp else { return }
        stack.library.receive(slirp, in_addr(s_addr: address), Int32(port), bytes, Int32(clamping: bytes.count))
        stack.wantTurn()
    }
}
