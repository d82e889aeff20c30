// An export of an NBD server as storage of the block graph.

import Block
import Glibc
import Host
import Sockets

/// How to come to an export.
package struct NBDTarget: Sendable {
    package var address: SocketAddress
    package var wishes: ClientWishes
    /// Seconds for which requests wait for a lost server to come back; 0: they fail at once.
    package var reconnectDelay: Double = 0
    /// Seconds for which opening goes on trying.
    package var openTimeout: Double = 0

    package init(address: SocketAddress, wishes: ClientWishes, reconnectDelay: Double = 0, openTimeout: Double = 0) {
        self.address = address
        self.wishes = wishes
        self.reconnectDelay = reconnectDelay
        self.openTimeout = openTimeout
    }
}

package final class NBDStorage: WritableStorage {
    private let target: NBDTarget
    private let filename: String
    private let information: ExportInformation
    private let minimum: UInt64
    private let maximum: Int
    private struct State {
        var connection: ClientConnection?
        /// One thread at a time tries to connect.
        var isConnecting = false
        /// When the connection was found broken, and when somebody tried last.
        var brokenSince = 0.0
        var triedAt = 0.0
        var isClosed = false
    }
    private let state: Waiting<State>
    /// Held by a write that has to read the rest of a block first.
    private let unaligned = Locked(())

    package init(_ target: NBDTarget, filename: String, writable: Bool) throws(BlockError) {
        self.target = target
        self.filename = filename
        let start = RateLimit.now()
        var connection: ClientConnection
        while true {
            do throws(SocketError) {
                connection = try NBDStorage.connect(target)
                break
            } catch {
                guard RateLimit.now() - start < target.openTimeout else { throw BlockError(.cannotOpen, error.text, number: error.number) }
                usleep(100_000)
            }
        }
        information = connection.agreement.information
        minimum = UInt64(information.blockSizes?.minimum ?? 1)
        let announced = information.blockSizes.map { min(UInt64($0.maximum), UInt64(Limits.payload)) } ?? UInt64(Limits.payload)
        maximum = Int(max(announced.roundedDown(to: minimum), minimum))
        state = Waiting(State(connection: connection))
        if writable, information.flags.contains(.readOnly) {
            connection.close()
            throw BlockError(.readOnly, "the export is read-only: it cannot be opened for writing")
        }
        guard information.size & (minimum - 1) == 0 else {
            connection.close()
            throw BlockError(.unsupported, "the export's size \(information.size) is no multiple of its minimum block size \(minimum)")
        }
        guard information.size <= UInt64(Int64.max) else {
            connection.close()
            throw BlockError(.unsupported, "the export has \(information.size) bytes: expected less than 2^63")
        }
    }

    private static func connect(_ target: NBDTarget) throws(SocketError) -> ClientConnection {
        let channel = Channel(try target.address.connect())
        channel.setDeadline(30)
        var handshake = ClientHandshake(channel)
        let agreement = try handshake.enter(target.wishes)
        channel.setDeadline(nil)
        return ClientConnection(channel, agreement)
    }

    package func length() -> UInt64 { information.size }
    package var growsOnWrite: Bool { false }

    // MARK: Connections

    private enum Next { case use(ClientConnection), connect, fail(String) }

    /// A connection that works, as far as is known; waits for one while `reconnect-delay` lets it.
    private func connection() throws(BlockError) -> ClientConnection {
        while true {
            let next: Next = state.wait { [target] state -> Next? in
                if state.isClosed { return .fail("closed") }
                guard let connection = state.connection else { return .fail("not connected") }
                guard let breakage = connection.breakage else { return .use(connection) }
                if state.isConnecting { return nil }
                let now = RateLimit.now()
                if state.brokenSince == 0 { state.brokenSince = now }
                // After that long, requests fail at once; a new attempt is made once a second.
                if now - state.brokenSince > target.reconnectDelay, now - state.triedAt < 1 { return .fail(breakage) }
                state.isConnecting = true
                state.triedAt = now
                return .connect
            } ?? .fail("not connected")
            switch next {
            case .use(let connection): return connection
            case .fail(let text): throw BlockError(.input, "the server is gone: \(text)", number: EIO)
            case .connect: try reconnect()
            }
        }
    }

    private func reconnect() throws(BlockError) {
        var made: ClientConnection?
        var failure = ""
        do throws(SocketError) {
            let fresh = try NBDStorage.connect(target)
            if isSame(fresh.agreement) { made = fresh } else {
                failure = "the export is another one now"
                fresh.close()
            }
        } catch { failure = error.text }
        let waits = state.change { state in
            state.isConnecting = false
            if let made {
                state.connection = made
                state.brokenSince = 0
            }
            return RateLimit.now() - state.brokenSince < target.reconnectDelay
        }
        if made != nil { return }
        guard waits else { throw BlockError(.input, "the server is gone: \(failure)", number: EIO) }
        usleep(200_000)
    }

    /// Whether what a new connection found is what this node was opened on.
    private func isSame(_ new: ClientAgreement) -> Bool {
        let now = new.information
        let most = now.blockSizes.map { min(UInt64($0.maximum), UInt64(Limits.payload)) } ?? UInt64(Limits.payload)
        return now.size == information.size && information.flags.subtracting(now.flags.union(.multipleConnections)).isEmpty
            && now.flags.contains(.readOnly) == information.flags.contains(.readOnly)
            && UInt64(now.blockSizes?.minimum ?? 1) <= minimum && most >= UInt64(maximum)
    }

    private func perform(_ request: ClientRequest, what: String) throws(BlockError) -> [StatusExtent] {
        var extents: [StatusExtent] = []
        while true {
            let connection = try connection()
            switch connection.perform(request, extents: &extents) {
            case .success: return extents
            case .failure(let number, let text):
                let known = [NBDErrorNumber.permission, NBDErrorNumber.input, NBDErrorNumber.noMemory, NBDErrorNumber.invalid, NBDErrorNumber.noSpace,
                             NBDErrorNumber.overflow, NBDErrorNumber.notSupported, NBDErrorNumber.shutdown].contains(number)
                var error = BlockError.host(known ? Int32(number) : EINVAL, text.isEmpty ? what : "\(what): \(text)", offset: request.offset)
                if number == NBDErrorNumber.notSupported { error.kind = .unsupported }
                throw error
            case .lost:
                // Requests may be sent again: each leaves the same bytes, however often it is done.
                if target.reconnectDelay == 0 { throw BlockError(.input, "\(what): the server is gone: \(connection.breakage ?? "")", offset: request.offset, number: EIO) }
            }
        }
    }

    // MARK: Requests

    private func isAligned(_ offset: UInt64, _ count: UInt64) -> Bool { (offset | count) & (minimum - 1) == 0 }

    /// Calls `body` with pieces that the server takes.
    private func pieces(_ offset: UInt64, _ buffer: BlockBuffer, _ body: (UInt64, BlockBuffer) throws(BlockError) -> Void) throws(BlockError) {
        var done = 0
        while done < buffer.count {
            let part = buffer.slice(done, maximum)
            try body(offset + UInt64(done), part)
            done += part.count
        }
    }

    package func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        let size = information.size
        guard offset < size else { return buffer.fill() }
        let there = buffer.slice(0, size - offset)
        buffer.slice(there.count, Int.max).fill()
        guard isAligned(offset, UInt64(there.count)) else {
            let (start, end) = try rounded(offset, UInt64(there.count))
            let bounce = try OwnedBuffer(Int(end - start))
            try read(start, bounce.buffer)
            there.copy(from: bounce.buffer.slice(Int(offset - start), there.count))
            return withExtendedLifetime(bounce) {}
        }
        try pieces(offset, there) { (at, part) throws(BlockError) in
            _ = try perform(ClientRequest(command: Command.read, offset: at, length: UInt64(part.count), buffer: part), what: "reading \(part.count) bytes")
        }
    }

    /// The range rounded out to blocks; what lies beyond the last whole block of the export cannot be reached.
    private func rounded(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> (UInt64, UInt64) {
        let start = offset.roundedDown(to: minimum)
        guard let end = (offset &+ count).roundedUp(to: minimum), end <= information.size, end - start <= UInt64(Int.max) else {
            throw BlockError(.input, "the server takes only requests in multiples of \(minimum) bytes", offset: offset, number: EINVAL)
        }
        return (start, end)
    }

    package func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        guard isAligned(offset, UInt64(buffer.count)) else {
            let (start, end) = try rounded(offset, UInt64(buffer.count))
            return try unaligned.withLock { (_) throws(BlockError) in
                let bounce = try OwnedBuffer(Int(end - start))
                try read(start, bounce.buffer)
                bounce.buffer.slice(Int(offset - start), buffer.count).copy(from: buffer)
                try write(start, bounce.buffer)
                withExtendedLifetime(bounce) {}
            }
        }
        try pieces(offset, buffer) { (at, part) throws(BlockError) in
            _ = try perform(ClientRequest(command: Command.write, offset: at, length: UInt64(part.count), buffer: part), what: "writing \(part.count) bytes")
        }
    }

    /// The longest range of one request without payload.
    private var longestRange: UInt64 {
        let extended = state.look { $0.connection?.agreement.isExtended ?? false }
        return extended ? UInt64(1) << 62 : (UInt64(UInt32.max) - 65535).roundedDown(to: max(minimum, 65536))
    }

    package func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        guard information.flags.contains(.writeZeroes), isAligned(offset, count) else {
            return try writeZeroesAsData(offset, count)
        }
        try ranges(offset, count, Command.writeZeroes, unmap ? [] : .noHole, "zeroing")
    }

    package func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) {
        guard information.flags.contains(.trim) else { return }
        // What is no whole block is not given back.
        guard let start = offset.roundedUp(to: minimum), case let end = (offset &+ count).roundedDown(to: minimum), start < end else { return }
        try ranges(start, end - start, Command.trim, [], "discarding")
    }

    private func ranges(_ offset: UInt64, _ count: UInt64, _ command: UInt16, _ flags: CommandFlags, _ what: String) throws(BlockError) {
        var done: UInt64 = 0
        let longest = longestRange
        while done < count {
            let length = min(longest, count - done)
            _ = try perform(ClientRequest(command: command, flags: flags, offset: offset + done, length: length), what: "\(what) \(length) bytes")
            done += length
        }
    }

    package func flush() throws(BlockError) {
        guard information.flags.contains(.flush) else { return }
        _ = try perform(ClientRequest(command: Command.flush), what: "flushing")
    }

    package func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus {
        let size = information.size
        guard offset < size else { return BlockStatus(length: count, isData: false, isZero: true) }
        let length = min(count, size - offset)
        var answer = BlockStatus(length: length, isData: true, isZero: false, offset: offset, file: filename)
        guard state.look({ $0.connection?.agreement.context }) != nil else { return answer }
        let start = offset.roundedDown(to: minimum)
        let wanted = min((length &+ (offset - start)).roundedUp(to: minimum) ?? length, longestRange, size - start)
        let extents = try perform(ClientRequest(command: Command.blockStatus, flags: .requestOne, offset: start, length: max(minimum, wanted)), what: "block status")
        guard let first = extents.first, first.length > offset - start else { return answer }
        answer.length = max(1, min(length, first.length - (offset - start)))
        if target.wishes.context.hasPrefix(Context.bitmapPrefix) {
            // As QEMU shows bitmaps: what is dirty is no data.
            answer.isData = first.flags & Context.dirty == 0
            return answer
        }
        answer.isData = first.flags & Context.hole == 0
        answer.isZero = first.flags & Context.zero != 0
        return answer
    }

    package func close() {
        let connection = state.change { state in
            state.isClosed = true
            defer { state.connection = nil }
            return state.connection
        }
        connection?.close()
    }
}
