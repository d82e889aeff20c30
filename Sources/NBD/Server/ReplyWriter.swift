// Writes replies in the form that a connection has agreed on: simple, structured, or with extended headers.

import Block
import Sockets

struct ReplyWriter {
    let outgoing: Outgoing
    let isStructured: Bool
    let isExtended: Bool

    /// Bytes of a chunk's header.
    private var chunkHeader: Int { isExtended ? 32 : 20 }
    /// Bytes in front of a reply's data.
    var dataHeader: Int { isStructured ? chunkHeader + 8 : 16 }

    private func putChunk(_ to: UnsafeMutableRawPointer, _ request: ServerRequest, _ type: UInt16, _ length: Int, last: Bool) {
        to.putBig(0, isExtended ? Reply.extendedMagic : Reply.structuredMagic)
        to.putBig(4, last ? Reply.done : 0)
        to.putBig(6, type)
        to.putBig(8, request.cookie)
        if isExtended {
            to.putBig(16, request.offset)
            to.putBig(24, UInt64(length))
        } else { to.putBig(16, UInt32(truncatingIfNeeded: length)) }
    }

    /// The reply of a request that has nothing to tell.
    func success(_ request: ServerRequest) throws(SocketError) {
        if isExtended || isStructured && request.command == Command.read || isStructured && request.command == Command.blockStatus {
            let to = try outgoing.reserve(chunkHeader)
            putChunk(to, request, Chunk.none, 0, last: true)
            outgoing.commit(chunkHeader)
        } else { try simple(request, 0) }
    }

    private func simple(_ request: ServerRequest, _ error: UInt32) throws(SocketError) {
        let to = try outgoing.reserve(16)
        to.putBig(0, Reply.simpleMagic)
        to.putBig(4, error)
        to.putBig(8, request.cookie)
        outgoing.commit(16)
    }

    func failure(_ request: ServerRequest, _ number: UInt32, _ text: String, at offset: UInt64? = nil) throws(SocketError) {
        guard isStructured else { return try simple(request, number) }
        let words = Array(text.utf8.prefix(1024))
        let length = 6 + words.count + (offset == nil ? 0 : 8)
        let to = try outgoing.reserve(chunkHeader + length)
        putChunk(to, request, offset == nil ? Chunk.error : Chunk.errorAtOffset, length, last: true)
        let body = to + chunkHeader
        body.putBig(0, number)
        body.putBig(4, UInt16(words.count))
        for (index, byte) in words.enumerated() { body.storeBytes(of: byte, toByteOffset: 6 + index, as: UInt8.self) }
        if let offset { body.putBig(6 + words.count, offset) }
        outgoing.commit(chunkHeader + length)
    }

    /// A reply with data: `fill` gets the room for them. What is all zeros is sent as a hole, where that is understood.
    func data(_ request: ServerRequest, _ offset: UInt64, _ count: Int, last: Bool,
              _ fill: (BlockBuffer) throws(BlockError) -> Void) throws(SocketError) -> BlockError? {
        let to = try outgoing.reserve(dataHeader + count)
        let room = BlockBuffer(base: to + dataHeader, count: count)
        do throws(BlockError) { try fill(room) } catch { return error }
        guard isStructured else {
            to.putBig(0, Reply.simpleMagic)
            to.putBig(4, UInt32(0))
            to.putBig(8, request.cookie)
            outgoing.commit(16 + count)
            return nil
        }
        if room.isZero {
            try hole(request, offset, UInt64(count), last: last)
            return nil
        }
        putChunk(to, request, Chunk.data, 8 + count, last: last)
        to.putBig(chunkHeader, offset)
        outgoing.commit(dataHeader + count)
        return nil
    }

    /// `count` below 4 GiB.
    func hole(_ request: ServerRequest, _ offset: UInt64, _ count: UInt64, last: Bool) throws(SocketError) {
        let to = try outgoing.reserve(chunkHeader + 12)
        putChunk(to, request, Chunk.hole, 12, last: last)
        to.putBig(chunkHeader, offset)
        to.putBig(chunkHeader + 8, UInt32(clamping: count))
        outgoing.commit(chunkHeader + 12)
    }

    func status(_ request: ServerRequest, _ context: UInt32, _ extents: [StatusExtent], last: Bool) throws(SocketError) {
        let length = isExtended ? 8 + 16 * extents.count : 4 + 8 * extents.count
        let to = try outgoing.reserve(chunkHeader + length)
        putChunk(to, request, isExtended ? Chunk.blockStatusExtended : Chunk.blockStatus, length, last: last)
        var body = to + chunkHeader
        body.putBig(0, context)
        if isExtended { body.putBig(4, UInt32(extents.count)) }
        body += isExtended ? 8 : 4
        for extent in extents {
            if isExtended {
                body.putBig(0, extent.length)
                body.putBig(8, UInt64(extent.flags))
                body += 16
            } else {
                body.putBig(0, UInt32(clamping: extent.length))
                body.putBig(4, extent.flags)
                body += 8
            }
        }
        outgoing.commit(chunkHeader + length)
    }
}
