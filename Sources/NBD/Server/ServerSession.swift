// The server's side of the transmission phase. Up to sixteen threads serve one client. One of them at a time, the leader,
// reads requests. Requests that lately were quick (the page cache has the data) it serves itself and gathers their
// replies: no thread has to be woken. Any other it takes with it, and leaves the lead to the next thread: so many slow
// requests are in flight together.

import Block
import Glibc
import Host
import Sockets

/// A request as it stood on the wire.
struct ServerRequest {
    var flags: CommandFlags
    var command: UInt16
    var cookie: UInt64
    var offset: UInt64
    var length: UInt64
    /// Bytes that follow the header.
    var payload: Int
}

/// One client's transmission phase.
final class ServerSession: @unchecked Sendable {
    let channel: Channel
    let export: Export
    let agreement: Agreement
    let sending = Locked(())
    private let lead = Leadership()
    private let incoming: Incoming
    /// Bytes of large payloads in memory.
    private let payload = Waiting(0)
    private struct Threads { var count = 1 }
    private let threads = Waiting(Threads())
    /// Nanoseconds that requests took lately, by command. Touched by the leader only, but for a racy look at their age.
    private let durations = Locked([Double](repeating: 0, count: 8))

    /// A request is quick below this: waking another thread would take as long.
    private static let quick = 40_000.0
    private static let largestQuick: UInt64 = 128 << 10
    private static let large = 1 << 20

    init(_ channel: Channel, _ export: Export, _ agreement: Agreement) {
        self.channel = channel
        self.export = export
        self.agreement = agreement
        incoming = Incoming(channel)
    }

    func shutDown() { channel.shutDown() }

    /// Serves until the client goes; this thread is the first of the workers.
    func run() {
        work()
        threads.change { $0.count -= 1 }
        _ = threads.wait { $0.count == 0 ? true : nil }
    }

    private func addThread() {
        let may = threads.look { threads in
            if threads.count >= Limits.requests { return false }
            threads.count += 1
            return true
        }
        guard may else { return }
        let started = BackgroundThread.start { [self] in
            work()
            threads.change { $0.count -= 1 }
        }
        if !started { threads.change { $0.count -= 1 } }
    }

    private func work() {
        guard let worker = try? ServerWorker(self) else { return lead.end() }
        while lead.acquire() {
            do throws(SocketError) {
                guard let request = try next(worker) else {
                    // Others may still be at work on earlier requests: they send their replies.
                    lead.end()
                    break
                }
                if lead.release() { addThread() }
                defer { giveBack(request) }
                let took = try measured { () throws(SocketError) in try worker.perform(request, nil) }
                note(request.command, took)
                try worker.outgoing.flush()
            } catch {
                lead.end()
                channel.shutDown()
                break
            }
        }
    }

    private func measured(_ body: () throws(SocketError) -> Void) throws(SocketError) -> Double {
        var before = timespec(), after = timespec()
        clock_gettime(CLOCK_MONOTONIC, &before)
        try body()
        clock_gettime(CLOCK_MONOTONIC, &after)
        return Double(after.tv_sec - before.tv_sec) * 1e9 + Double(after.tv_nsec - before.tv_nsec)
    }

    private func note(_ command: UInt16, _ took: Double) {
        durations.withLock { $0[Int(command & 7)] += (min(took, 1e8) - $0[Int(command & 7)]) / 8 }
    }

    private func isQuick(_ request: ServerRequest) -> Bool {
        switch request.command {
        case Command.read, Command.write, Command.blockStatus: break
        default: return false
        }
        guard !request.flags.contains(.forceUnitAccess), request.command == Command.blockStatus || request.length <= ServerSession.largestQuick else { return false }
        return durations.withLock { $0[Int(request.command)] } < ServerSession.quick
    }

    // MARK: The leader

    /// Serves quick requests; returns the next one that is not, its payload read; nil at the end.
    private func next(_ worker: ServerWorker) throws(SocketError) -> ServerRequest? {
        let headerSize = agreement.isExtended ? 32 : 28
        while true {
            if incoming.available < headerSize {
                try worker.outgoing.flush()
                guard try incoming.fill(headerSize) else { return nil }
            }
            let request = try parse(UnsafeRawPointer(incoming.take(headerSize)))
            if request.command == Command.disconnect {
                try worker.outgoing.flush()
                return nil
            }
            if isQuick(request), request.payload <= Incoming.capacity / 2 {
                if incoming.available < request.payload {
                    try worker.outgoing.flush()
                    _ = try incoming.fill(request.payload)
                }
                let data = request.payload > 0 ? BlockBuffer(base: incoming.take(request.payload), count: request.payload) : nil
                let took = try measured { () throws(SocketError) in try worker.perform(request, data) }
                note(request.command, took)
                continue
            }
            try worker.outgoing.flush()
            reserve(request)
            if request.payload > 0 {
                do throws(SocketError) { try worker.receive(request.payload, incoming) } catch {
                    giveBack(request)
                    throw error
                }
            }
            return request
        }
    }

    private func parse(_ header: UnsafeRawPointer) throws(SocketError) -> ServerRequest {
        guard header.big(0, UInt32.self) == (agreement.isExtended ? Command.extendedMagic : Command.magic) else {
            throw SocketError("the client sent something that is no request")
        }
        var request = ServerRequest(flags: CommandFlags(rawValue: header.big(4)), command: header.big(6), cookie: header.big(8), offset: header.big(16),
                                    length: agreement.isExtended ? header.big(24, UInt64.self) : UInt64(header.big(24, UInt32.self)), payload: 0)
        if request.command == Command.write || agreement.isExtended && request.flags.contains(.payloadLength) {
            guard request.length <= UInt64(Limits.payload) else { throw SocketError("the client sends \(request.length) bytes at once: expected at most \(Limits.payload)") }
            request.payload = Int(request.length)
        }
        return request
    }

    // MARK: Memory

    /// What a request keeps in memory at once, if that is much.
    private func weight(_ request: ServerRequest) -> Int {
        var weight = request.payload
        if request.command == Command.read, !agreement.isStructured || request.flags.contains(.dontFragment) { weight = Int(min(request.length, UInt64(Limits.payload))) }
        return weight >= ServerSession.large ? weight : 0
    }
    private func reserve(_ request: ServerRequest) {
        let weight = weight(request)
        guard weight > 0 else { return }
        _ = payload.wait { inFlight -> Bool? in
            guard inFlight == 0 || inFlight + weight <= Limits.payloadInFlight else { return nil }
            inFlight += weight
            return true
        }
    }
    private func giveBack(_ request: ServerRequest) {
        let weight = weight(request)
        if weight > 0 { payload.change { $0 -= weight } }
    }
}

/// Which of several threads may read from the connection.
/// Invariant: the fields are only touched between lock and unlock of `mutex`.
private final class Leadership: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let free = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var isTaken = false
    private var isOver = false
    private var waiting = 0

    init() {
        mutex.initialize(to: pthread_mutex_t())
        free.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(free, nil)
    }
    deinit {
        pthread_cond_destroy(free)
        pthread_mutex_destroy(mutex)
        free.deallocate()
        mutex.deallocate()
    }

    /// Waits for the lead; false if there is nothing to read any more.
    func acquire() -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        waiting += 1
        while isTaken, !isOver { pthread_cond_wait(free, mutex) }
        waiting -= 1
        if isOver { return false }
        isTaken = true
        return true
    }

    /// Gives the lead to another; true if nobody was waiting for it.
    func release() -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        isTaken = false
        if waiting > 0 { pthread_cond_signal(free) }
        return waiting == 0
    }

    func end() {
        pthread_mutex_lock(mutex)
        isOver = true
        pthread_cond_broadcast(free)
        pthread_mutex_unlock(mutex)
    }
}
