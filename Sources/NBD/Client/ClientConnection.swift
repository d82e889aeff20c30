// The client's side of the transmission phase. Each thread sends its own requests; of those that wait for replies, one
// receives, for itself and for the others. A reply's data go straight into the memory of the request.
// Unsafe code; invariants: the fields under "shared" are only touched between lock and unlock of `mutex`; a request's
// buffers stay valid until its `perform` returns, and that does not return while another thread receives into them: only
// the receiver finishes a request that is not its own.

import Block
import Glibc
import Host
import Sockets

/// A request of a client.
package struct ClientRequest {
    package var command: UInt16
    package var flags: CommandFlags = []
    package var offset: UInt64 = 0
    package var length: UInt64 = 0
    /// What is sent, or received into.
    package var buffer: BlockBuffer?

    package init(command: UInt16, flags: CommandFlags = [], offset: UInt64 = 0, length: UInt64 = 0, buffer: BlockBuffer? = nil) {
        self.command = command
        self.flags = flags
        self.offset = offset
        self.length = length
        self.buffer = buffer
    }
}

/// How a request ended.
package enum ClientOutcome: Sendable, Equatable {
    case success
    /// The server's error number and words.
    case failure(UInt32, String)
    /// The connection broke: whether the request was done is not known.
    case lost
}

package final class ClientConnection: @unchecked Sendable {
    /// A request in flight.
    private final class Flight {
        let request: ClientRequest
        let arrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        var outcome: ClientOutcome?
        var received: UInt64 = 0
        var extents: [StatusExtent] = []
        var error: (UInt32, String)?
        init(_ request: ClientRequest) {
            self.request = request
            arrived.initialize(to: pthread_cond_t())
            pthread_cond_init(arrived, nil)
        }
        deinit {
            pthread_cond_destroy(arrived)
            arrived.deallocate()
        }
    }

    package let agreement: ClientAgreement
    private let channel: Channel
    private let incoming: Incoming
    private let sending = Locked(())
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    // Shared.
    private var flights: [UInt64: Flight] = [:]
    private var nextCookie: UInt64 = 1
    private var isReceiving = false
    private var isBroken = false
    private var reason = ""

    package init(_ channel: Channel, _ agreement: ClientAgreement) {
        self.channel = channel
        self.agreement = agreement
        incoming = Incoming(channel)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }
    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Why the connection broke; nil while it has not.
    package var breakage: String? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return isBroken ? reason : nil
    }

    /// Sends a request and waits for its end.
    package func perform(_ request: ClientRequest, extents: inout [StatusExtent]) -> ClientOutcome {
        let flight = Flight(request)
        pthread_mutex_lock(mutex)
        if isBroken { pthread_mutex_unlock(mutex); return .lost }
        let cookie = nextCookie
        nextCookie &+= 1
        flights[cookie] = flight
        pthread_mutex_unlock(mutex)
        do { try send(request, cookie) } catch {
            note(error)
            // Whoever receives finds out; if that is nobody, this thread does.
            channel.shutDown()
        }
        pthread_mutex_lock(mutex)
        while flight.outcome == nil {
            if isReceiving { pthread_cond_wait(flight.arrived, mutex); continue }
            isReceiving = true
            while flight.outcome == nil, !isBroken {
                pthread_mutex_unlock(mutex)
                var failure: SocketError?
                do { try receive() } catch { failure = error }
                pthread_mutex_lock(mutex)
                if let failure { breakDown(failure) }
            }
            if flight.outcome == nil { flight.outcome = .lost }
            isReceiving = false
        }
        flights[cookie] = nil
        // The next one receives.
        if !isReceiving, let other = flights.first(where: { $0.value.outcome == nil })?.value { pthread_cond_signal(other.arrived) }
        pthread_mutex_unlock(mutex)
        extents = flight.extents
        return flight.outcome ?? .lost
    }

    /// Says goodbye. No request is in flight.
    package func close() {
        try? send(ClientRequest(command: Command.disconnect), 0)
        channel.finish()
        channel.shutDown()
    }

    private func note(_ error: SocketError) {
        pthread_mutex_lock(mutex)
        if reason.isEmpty { reason = error.text }
        pthread_mutex_unlock(mutex)
    }

    /// With `mutex` held.
    private func breakDown(_ error: SocketError) {
        isBroken = true
        if reason.isEmpty { reason = error.text }
        channel.shutDown()
        for flight in flights.values where flight.outcome == nil {
            flight.outcome = .lost
            pthread_cond_signal(flight.arrived)
        }
    }

    private func send(_ request: ClientRequest, _ cookie: UInt64) throws(SocketError) {
        var header = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        let isWrite = request.command == Command.write
        var flags = request.flags
        if agreement.isExtended, isWrite { flags.formUnion(.payloadLength) }
        try withUnsafeMutableBytes(of: &header) { (bytes) throws(SocketError) in
            guard let to = bytes.baseAddress else { return }
            to.putBig(0, agreement.isExtended ? Command.extendedMagic : Command.magic)
            to.putBig(4, flags.rawValue)
            to.putBig(6, request.command)
            to.putBig(8, cookie)
            to.putBig(16, request.offset)
            if agreement.isExtended { to.putBig(24, request.length) } else { to.putBig(24, UInt32(truncatingIfNeeded: request.length)) }
            let head = UnsafeRawBufferPointer(start: to, count: agreement.isExtended ? 32 : 28)
            let body = isWrite ? request.buffer.map { UnsafeRawBufferPointer(start: $0.base, count: $0.count) } : nil
            try sending.withLock { (_) throws(SocketError) in try channel.send(head, body ?? UnsafeRawBufferPointer(start: nil, count: 0)) }
        }
    }

    // MARK: Receiving: one thread at a time, without `mutex`

    private func find(_ cookie: UInt64) throws(SocketError) -> Flight {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard let flight = flights[cookie], flight.outcome == nil else { throw SocketError("the server answered a request that there is not") }
        return flight
    }

    private func end(_ flight: Flight, _ outcome: ClientOutcome) {
        pthread_mutex_lock(mutex)
        flight.outcome = outcome
        pthread_cond_signal(flight.arrived)
        pthread_mutex_unlock(mutex)
    }

    private func need(_ count: Int) throws(SocketError) {
        if incoming.available < count, !(try incoming.fill(count)) { throw SocketError("the server has closed the connection") }
    }

    private func receive() throws(SocketError) {
        try need(4)
        let magic = UnsafeRawPointer(incoming.take(4)).big(0, UInt32.self)
        switch magic {
        case Reply.simpleMagic where !agreement.isExtended: try receiveSimple()
        case Reply.structuredMagic where agreement.isStructured && !agreement.isExtended:
            try need(16)
            let head = UnsafeRawPointer(incoming.take(16))
            try receiveChunk(head.big(0), head.big(2), cookie: head.big(4), length: UInt64(head.big(12, UInt32.self)))
        case Reply.extendedMagic where agreement.isExtended:
            try need(28)
            let head = UnsafeRawPointer(incoming.take(28))
            try receiveChunk(head.big(0), head.big(2), cookie: head.big(4), length: head.big(20))
        default: throw SocketError("the server sent something that is no reply")
        }
    }

    private func receiveSimple() throws(SocketError) {
        try need(12)
        let head = UnsafeRawPointer(incoming.take(12))
        let error = head.big(0, UInt32.self)
        let flight = try find(head.big(4))
        if error != 0 { return end(flight, .failure(error, "")) }
        if flight.request.command == Command.read {
            guard !agreement.isStructured, let buffer = flight.request.buffer else { throw SocketError("the server answered a read without its data") }
            try incoming.copy(to: UnsafeMutableRawBufferPointer(start: buffer.base, count: buffer.count))
        }
        if flight.request.command == Command.blockStatus { throw SocketError("the server answered a block status without its chunks") }
        end(flight, .success)
    }

    private func receiveChunk(_ flags: UInt16, _ type: UInt16, cookie: UInt64, length: UInt64) throws(SocketError) {
        let flight = try find(cookie)
        guard length <= UInt64(Limits.payload) + 1024 else { throw SocketError("the server sent a chunk of \(length) bytes") }
        let count = Int(length)
        switch type {
        case Chunk.none:
            guard count == 0, flags & Reply.done != 0 else { throw SocketError("the server sent an empty chunk that is none") }
        case Chunk.data: try receiveData(flight, count)
        case Chunk.hole: try receiveHole(flight, count)
        case Chunk.blockStatus, Chunk.blockStatusExtended: try receiveStatus(flight, type, count)
        case let error where error & Chunk.errorBit != 0: try receiveError(flight, count)
        default: throw SocketError("the server sent a chunk of the type \(type)")
        }
        guard flags & Reply.done != 0 else { return }
        if let error = flight.error { return end(flight, .failure(error.0, error.1)) }
        if flight.request.command == Command.read, flight.received != flight.request.length { throw SocketError("the server did not send all the data") }
        if flight.request.command == Command.blockStatus, flight.extents.isEmpty { throw SocketError("the server sent no block status") }
        end(flight, .success)
    }

    /// The part of the request's buffer that a chunk stands for.
    private func place(_ flight: Flight, _ offset: UInt64, _ count: UInt64) throws(SocketError) -> BlockBuffer {
        guard flight.request.command == Command.read, let buffer = flight.request.buffer, count > 0, offset >= flight.request.offset,
              case let start = offset - flight.request.offset, start <= flight.request.length, count <= flight.request.length - start,
              // Parts that lie over one another are no answer, and neither are more than were asked for.
              count <= flight.request.length - flight.received
        else { throw SocketError("the server sent data that nobody asked for") }
        flight.received += count
        return buffer.slice(Int(start), count)
    }

    private func receiveData(_ flight: Flight, _ count: Int) throws(SocketError) {
        guard count > 8 else { throw SocketError("the server sent data that are none") }
        try need(8)
        let offset = UnsafeRawPointer(incoming.take(8)).big(0, UInt64.self)
        let part = try place(flight, offset, UInt64(count - 8))
        try incoming.copy(to: UnsafeMutableRawBufferPointer(start: part.base, count: part.count))
    }

    private func receiveHole(_ flight: Flight, _ count: Int) throws(SocketError) {
        guard count == 12 else { throw SocketError("the server sent a hole that is none") }
        try need(12)
        let body = UnsafeRawPointer(incoming.take(12))
        let offset = body.big(0, UInt64.self), length = UInt64(body.big(8, UInt32.self))
        try place(flight, offset, length).fill()
    }

    private func receiveStatus(_ flight: Flight, _ type: UInt16, _ count: Int) throws(SocketError) {
        let isWide = type == Chunk.blockStatusExtended
        let head = isWide ? 8 : 4, item = isWide ? 16 : 8
        guard flight.request.command == Command.blockStatus, isWide == agreement.isExtended, count >= head + item, (count - head) % item == 0,
              (count - head) / item <= 1 << 20, flight.extents.isEmpty else { throw SocketError("the server sent a block status that is none") }
        try need(head)
        let number = UnsafeRawPointer(incoming.take(head)).big(0, UInt32.self)
        guard number == agreement.context else { throw SocketError("the server sent a block status of another context") }
        var left = (count - head) / item
        while left > 0 {
            try need(item)
            let body = UnsafeRawPointer(incoming.take(item))
            let length = isWide ? body.big(0, UInt64.self) : UInt64(body.big(0, UInt32.self))
            let flags = isWide ? UInt32(clamping: body.big(8, UInt64.self)) : body.big(4, UInt32.self)
            guard length > 0 else { throw SocketError("the server sent a block status of no bytes") }
            flight.extents.append(StatusExtent(length: length, flags: flags))
            left -= 1
        }
    }

    private func receiveError(_ flight: Flight, _ count: Int) throws(SocketError) {
        guard count >= 6 else { throw SocketError("the server sent an error that is none") }
        try need(6)
        let head = UnsafeRawPointer(incoming.take(6))
        let number = head.big(0, UInt32.self), words = Int(head.big(4, UInt16.self))
        guard number != 0, words <= count - 6, words <= Handshake.longestText else { throw SocketError("the server sent an error that is none") }
        var text = [UInt8](repeating: 0, count: words)
        try text.withUnsafeMutableBufferPointer { (memory: inout UnsafeMutableBufferPointer<UInt8>) throws(SocketError) in
            try incoming.copy(to: UnsafeMutableRawBufferPointer(memory))
        }
        try incoming.skip(count - 6 - words)
        if flight.error == nil { flight.error = (number, String(decoding: text.filter { $0 >= 0x20 }, as: UTF8.self)) }
    }
}
