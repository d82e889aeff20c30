// One of the threads that serve a client: does requests on the export's node, and writes the replies.

import Block
import Glibc
import Sockets

final class ServerWorker {
    private let export: Export
    private let agreement: Agreement
    private let reply: ReplyWriter
    let outgoing: Outgoing
    private var received: OwnedBuffer?

    /// Data are read and sent in pieces of this, where the client takes pieces.
    private static let piece: UInt64 = 2 << 20
    /// Below this, looking for holes is not worth while.
    private static let smallRead: UInt64 = 64 << 10

    init(_ session: ServerSession) throws(BlockError) {
        export = session.export
        agreement = session.agreement
        outgoing = try Outgoing(session.channel, sending: session.sending)
        reply = ReplyWriter(outgoing: outgoing, isStructured: agreement.isStructured, isExtended: agreement.isExtended)
    }

    /// Takes a request's payload from the connection.
    func receive(_ count: Int, _ incoming: Incoming) throws(SocketError) {
        let buffer: OwnedBuffer
        if let received, received.buffer.count >= count { buffer = received } else {
            do { buffer = try OwnedBuffer(max(count, 64 << 10)) } catch { throw SocketError(error.text) }
            received = buffer
        }
        try incoming.copy(to: UnsafeMutableRawBufferPointer(start: buffer.buffer.base, count: count))
    }

    /// Does a request; its reply is left in `outgoing`, or sent.
    /// - Parameter data: the payload; nil: what `receive` took.
    func perform(_ request: ServerRequest, _ data: BlockBuffer?) throws(SocketError) {
        defer { if let received, received.buffer.count > 1 << 20 { self.received = nil } }
        if let problem = check(request) { return try reply.failure(request, problem.0, problem.1) }
        let position = request.offset &+ export.settings.offset
        if request.command == Command.read { return try read(request, position) }
        if request.command == Command.blockStatus { return try blockStatus(request, position) }
        do throws(BlockError) {
            let payload = data ?? received?.buffer.slice(0, request.payload)
            try export.root.use { (node) throws(BlockError) in try change(request, node, position, payload) }
        } catch { return try fail(request, error) }
        try reply.success(request)
    }

    private func fail(_ request: ServerRequest, _ error: BlockError, at offset: UInt64? = nil) throws(SocketError) {
        try reply.failure(request, ServerWorker.number(error), error.text, at: offset)
    }

    static func number(_ error: BlockError) -> UInt32 {
        switch error.number {
        case EPERM, EROFS: return NBDErrorNumber.permission
        case ENOSPC, EDQUOT, EFBIG: return NBDErrorNumber.noSpace
        case ENOMEM: return NBDErrorNumber.noMemory
        case EINVAL: return NBDErrorNumber.invalid
        case EOPNOTSUPP: return NBDErrorNumber.notSupported
        default: break
        }
        switch error.kind {
        case .readOnly: return NBDErrorNumber.permission
        case .noSpace: return NBDErrorNumber.noSpace
        case .unsupported: return NBDErrorNumber.notSupported
        case .invalid: return NBDErrorNumber.invalid
        default: return NBDErrorNumber.input
        }
    }

    // MARK: What is allowed

    private func check(_ request: ServerRequest) -> (UInt32, String)? {
        var allowed: CommandFlags = []
        var writes = false
        switch request.command {
        case Command.read:
            if agreement.isStructured { allowed = .dontFragment }
            guard request.length <= UInt64(Limits.payload) else { return (NBDErrorNumber.invalid, "a read of \(request.length) bytes: expected at most \(Limits.payload)") }
        case Command.write:
            allowed = [.forceUnitAccess, .payloadLength]
            writes = true
        case Command.trim:
            allowed = .forceUnitAccess
            writes = true
        case Command.writeZeroes:
            allowed = [.forceUnitAccess, .noHole, .fastZero]
            writes = true
        case Command.cache: break
        case Command.flush: return request.flags.isEmpty ? nil : (NBDErrorNumber.invalid, "a flush takes no flags")
        case Command.blockStatus:
            allowed = .requestOne
            if agreement.contexts.isEmpty { return (NBDErrorNumber.invalid, "no metadata context was chosen") }
            if request.length == 0 { return (NBDErrorNumber.invalid, "a block status of no bytes") }
        default: return (NBDErrorNumber.invalid, "the command \(request.command) is not known")
        }
        // Only what is of the extended header may carry its flag.
        if !agreement.isExtended { allowed.subtract(.payloadLength) }
        guard request.flags.subtracting(allowed).isEmpty else { return (NBDErrorNumber.invalid, "flags \(request.flags.rawValue) of the command \(request.command)") }
        if writes, !export.settings.isWritable { return (NBDErrorNumber.permission, "Export is read-only") }
        let (end, overflow) = request.offset.addingReportingOverflow(request.length)
        guard !overflow, end <= export.size else {
            let full = request.command == Command.write || request.command == Command.writeZeroes
            return (full ? NBDErrorNumber.noSpace : NBDErrorNumber.invalid, "operation past EOF; From: \(request.offset), Len: \(request.length), Size: \(export.size)")
        }
        return nil
    }

    // MARK: Requests that change something, or tell nothing

    private func change(_ request: ServerRequest, _ node: Node, _ position: UInt64, _ payload: BlockBuffer?) throws(BlockError) {
        switch request.command {
        case Command.write: if let payload { try node.write(position, payload) }
        case Command.flush: return try node.flush()
        case Command.trim: try node.discard(position, request.length)
        case Command.writeZeroes:
            let mayPunch = !request.flags.contains(.noHole)
            if request.flags.contains(.fastZero), !node.zeroesFast(position, request.length, unmap: mayPunch) {
                throw BlockError(.unsupported, "zeroing this range would be no faster than writing it", number: EOPNOTSUPP)
            }
            try node.writeZeroes(position, request.length, unmap: mayPunch)
        case Command.cache: try warm(node, position, request.length)
        default: break
        }
        if request.flags.contains(.forceUnitAccess) { try node.flush() }
    }

    private func warm(_ node: Node, _ position: UInt64, _ length: UInt64) throws(BlockError) {
        let buffer = try OwnedBuffer(Int(min(length, 1 << 20)))
        var done: UInt64 = 0
        while done < length {
            let part = buffer.buffer.slice(0, length - done)
            try node.read(position + done, part)
            done += UInt64(part.count)
        }
        withExtendedLifetime(buffer) {}
    }

    // MARK: Reads

    private func read(_ request: ServerRequest, _ position: UInt64) throws(SocketError) {
        if request.length == 0 { return try reply.success(request) }
        let whole = !agreement.isStructured || request.flags.contains(.dontFragment)
        if whole || request.length < ServerWorker.smallRead {
            let failure = try reply.data(request, request.offset, Int(request.length), last: true) { (room) throws(BlockError) in
                try export.root.use { (node) throws(BlockError) in try node.read(position, room) }
            }
            if let failure { try fail(request, failure) }
            return
        }
        var done: UInt64 = 0
        while done < request.length {
            let left = request.length - done
            let status: BlockStatus
            do throws(BlockError) {
                status = try export.root.use { (node) throws(BlockError) in try node.wholeStatus(position + done, left) }
            } catch { return try fail(request, error, at: request.offset + done) }
            var count = max(1, min(status.length, left))
            if status.isZero {
                try reply.hole(request, request.offset + done, count, last: count == left)
            } else {
                // What is asked of small runs costs more than the bytes.
                count = min(left, max(count, ServerWorker.smallRead), ServerWorker.piece)
                let start = position + done
                let failure = try reply.data(request, request.offset + done, Int(count), last: count == left) { (room) throws(BlockError) in
                    try export.root.use { (node) throws(BlockError) in try node.read(start, room) }
                }
                if let failure { return try fail(request, failure, at: request.offset + done) }
                if outgoing.count > 1 << 20 { try outgoing.flush() }
            }
            done += count
        }
    }

    private func blockStatus(_ request: ServerRequest, _ position: UInt64) throws(SocketError) {
        let most = request.flags.contains(.requestOne) ? 1 : Limits.extents
        for (index, number) in agreement.contexts.enumerated() {
            guard Int(number) < export.contexts.count else { continue }
            let extents: [StatusExtent]
            do throws(BlockError) {
                extents = try export.root.use { (node) throws(BlockError) in
                    try export.contexts[Int(number)].extents(node, position, request.length, most: most)
                }
            } catch { return try fail(request, error) }
            try reply.status(request, number, extents, last: index == agreement.contexts.count - 1)
        }
    }
}

extension Node {
    /// Whether zeroing a range costs no more than a change of tables or a call of the host.
    func zeroesFast(_ offset: UInt64, _ count: UInt64, unmap: Bool) -> Bool {
        guard let image = image as? any WritableImage else { return unmap && driver == "file" }
        if image is any TransparentImage { return unmap && child("file")?.driver == "file" }
        guard image is any ZeroingImage else { return false }
        let unit = max(512, image.allocationUnit), (end, overflow) = offset.addingReportingOverflow(count)
        return !overflow && offset % unit == 0 && (end % unit == 0 || end == image.virtualSize)
    }
}
