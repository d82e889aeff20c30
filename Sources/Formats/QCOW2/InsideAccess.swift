// qcow2: reads and writes that the format itself makes of guest clusters: a machine's state, the tail of the last cluster
// when the disk grows. Everything else is Block's. No backing file takes part: what is not here is zeros.

import Block
import Compression

extension QCOW2Tables {
    mutating func readInside(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        var done = 0
        while done < buffer.count {
            let position = offset &+ UInt64(done)
            let extent = try map(position, UInt64(buffer.count - done))
            let part = buffer.slice(done, extent.length)
            guard part.count > 0 else { throw .corrupt("the map of guest offset \(position) covers nothing") }
            switch extent.place {
            case .data(let node, let at): try node.read(at, part)
            case .encrypted(let node, let at): try readData(node, at, position, part)
            case .compressed(let unit):
                var payload = try unit.node.bytes(unit.offset, Int(clamping: unit.count))
                let whole = try OwnedBuffer(Int(unit.length))
                let input = UnsafeRawBufferPointer(start: nil, count: 0)
                let target = UnsafeMutableRawBufferPointer(start: whole.buffer.base, count: whole.buffer.count)
                let isZstandard = header.compression == 1
                let produced = payload.withUnsafeMutableBytes { bytes in
                    let source = bytes.baseAddress.map { UnsafeRawBufferPointer(start: $0, count: bytes.count) } ?? input
                    return isZstandard ? Zstandard.expand(source, into: target) : Deflate.expand(source, into: target, .bare(bits: 15))
                }
                guard produced == whole.buffer.count else { throw .corrupt(at: unit.offset, "a compressed cluster is damaged") }
                part.copy(from: whole.buffer.slice(Int(position - unit.start), part.count))
                withExtendedLifetime(whole) {}
            default: part.fill()
            }
            done += part.count
        }
    }

    mutating func writeInside(_ offset: UInt64, _ bytes: [UInt8]) throws(BlockError) {
        var done = 0
        while done < bytes.count {
            let position = offset &+ UInt64(done)
            let placement = try place(position, UInt64(bytes.count - done))
            let count = Int(min(placement.length, UInt64(bytes.count - done)))
            guard count > 0 else { throw .corrupt("a placement covers nothing") }
            guard let fresh = placement.fresh else {
                try writeData(placement.node, placement.offset, position, Array(bytes[done..<done + count]))
                done += count
                continue
            }
            do {
                let head = Int(position - fresh.start)
                let base = placement.offset - UInt64(head)
                var whole = [UInt8](repeating: 0, count: Int(fresh.length))
                // Old contents first: what lies around stays.
                let known = fresh.start
                if head > 0 || head + count < whole.count {
                    try BlockBuffer.with(&whole) { (buffer) throws(BlockError) in try readInside(known, buffer) }
                }
                whole.replaceSubrange(head..<head + count, with: bytes[done..<done + count])
                try writeData(placement.node, base, known, whole)
                try link(fresh)
            } catch {
                try? abandon(fresh)
                throw error
            }
            done += count
        }
    }
}
