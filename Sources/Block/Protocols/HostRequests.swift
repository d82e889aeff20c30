// How requests reach the host's files: by blocking calls, or by the kernel's asynchronous interfaces (Sources/CHost/HostIO.c).
// A request is a thread in each case, which waits for its end: with io_uring and Linux AIO it takes a channel of the file's,
// and gives it back afterwards, so that there are as many channels as requests were ever in flight.

import CHost
import Glibc
import Host

/// QEMU's `aio=`.
public enum HostInterface: String, Sendable, CaseIterable {
    /// preadv(2), pwritev(2), fdatasync(2).
    case threads
    /// Linux AIO (io_submit(2)); only past the page cache.
    case native
    /// io_uring(7).
    case ring = "io_uring"
}

/// Requests to one descriptor.
final class HostRequests: Sendable {
    /// A channel of the kernel's.
    /// Invariant: one thread at a time has it; whoever takes it out of `idle`.
    private struct Channel: @unchecked Sendable { let pointer: OpaquePointer }
    private struct State { var interface: HostInterface; var idle: [Channel] = [] }
    private let descriptor: Int32
    private let state: Locked<State>

    init(_ descriptor: Int32, _ interface: HostInterface) {
        self.descriptor = descriptor
        state = Locked(State(interface: interface))
    }

    /// What is in use: `threads` also once the kernel has refused another.
    var interface: HostInterface { state.withLock { $0.interface } }

    private func channel() -> Channel? {
        let (interface, known) = state.withLock { ($0.interface, $0.idle.popLast()) }
        if interface == .threads || known != nil { return known }
        if let pointer = apus_io_open(Int32(interface == .native ? APUS_IO_NATIVE : APUS_IO_URING)) { return Channel(pointer: pointer) }
        // No more of them, or none at all: this request, and all others if there never was one, are blocking calls.
        state.withLock { if $0.idle.isEmpty { $0.interface = .threads } }
        return nil
    }

    /// Results that say that the interface cannot do it, not that the file cannot.
    private static let refusals: Set<Int> = [-Int(EAGAIN), -Int(EINVAL), -Int(ENOSYS), -Int(EOPNOTSUPP), -Int(EINTR), -Int(ECANCELED)]

    /// As preadv and pwritev; -1 with `errno`.
    func transfer(writes: Bool, _ pieces: UnsafePointer<iovec>, _ count: Int, _ offset: Int) -> Int {
        if let channel = channel() {
            let result = apus_io_transfer(channel.pointer, descriptor, writes ? 1 : 0, pieces, Int32(count), Int64(offset))
            state.withLock { $0.idle.append(channel) }
            if result >= 0 { return result }
            if !Self.refusals.contains(result) {
                errno = Int32(truncatingIfNeeded: -result)
                return -1
            }
        }
        return writes ? pwritev(descriptor, pieces, Int32(count), offset) : preadv(descriptor, pieces, Int32(count), offset)
    }

    /// One piece.
    func transfer(writes: Bool, _ buffer: BlockBuffer, _ offset: Int) -> Int {
        var piece = iovec(iov_base: buffer.base, iov_len: buffer.count)
        return transfer(writes: writes, &piece, 1, offset)
    }

    /// As fdatasync; -1 with `errno`.
    func flush() -> Int32 {
        if let channel = channel() {
            let result = apus_io_flush(channel.pointer, descriptor)
            state.withLock { $0.idle.append(channel) }
            if result == 0 { return 0 }
            if !Self.refusals.contains(result) {
                errno = Int32(truncatingIfNeeded: -result)
                return -1
            }
        }
        return fdatasync(descriptor)
    }

    /// Gives the channels up; no request is in flight.
    func close() {
        let idle = state.withLock { state in
            defer { state.idle = [] }
            state.interface = .threads
            return state.idle
        }
        for channel in idle { apus_io_close(channel.pointer) }
    }
}
