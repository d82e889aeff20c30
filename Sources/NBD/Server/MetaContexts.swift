// Metadata contexts: which there are, how clients ask for them, and what they say about a range.

import Block

package enum MetaContext: Sendable {
    case allocation
    case depth
    case bitmap(ExportedBitmap)

    package var name: String {
        switch self {
        case .allocation: Context.allocation
        case .depth: Context.depth
        case .bitmap(let bitmap): Context.bitmapPrefix + bitmap.name
        }
    }

    /// Whether a client that asks for `query` means this one.
    /// - Parameter isList: a list of what there is also takes the beginnings of names.
    package func answers(_ query: String, isList: Bool) -> Bool {
        if query == name { return true }
        guard isList else { return false }
        switch query {
        case "base:": if case .allocation = self { return true }
        case "qemu:": if case .allocation = self { return false } else { return true }
        case Context.bitmapPrefix: if case .bitmap = self { return true }
        default: break
        }
        return false
    }
}

/// One run of an answer to BLOCK_STATUS.
package struct StatusExtent: Equatable {
    package var length: UInt64
    package var flags: UInt32

    package init(length: UInt64, flags: UInt32) {
        self.length = length
        self.flags = flags
    }
}

extension MetaContext {
    /// What there is to say about `count` bytes (at least 1) from `offset` of the node; in all at most `count` bytes.
    package func extents(_ node: Node, _ offset: UInt64, _ count: UInt64, most: Int) throws(BlockError) -> [StatusExtent] {
        if case .bitmap(let bitmap) = self {
            return MetaContext.extents(of: try bitmap.ranges(), offset, count, most: most)
        }
        var found: [StatusExtent] = []
        var done: UInt64 = 0
        while done < count {
            let status = try node.wholeStatus(offset + done, count - done)
            let length = max(1, min(status.length, count - done))
            let flags: UInt32
            if case .depth = self {
                flags = status.isAllocated ? UInt32(clamping: status.depth &+ 1) : 0
            } else {
                flags = (status.isData ? 0 : Context.hole) | (status.isZero ? Context.zero : 0)
            }
            if let last = found.last, last.flags == flags { found[found.count - 1].length += length } else {
                if found.count >= most { break }
                found.append(StatusExtent(length: length, flags: flags))
            }
            done += length
        }
        return found
    }

    private static func extents(of ranges: [Range<UInt64>], _ offset: UInt64, _ count: UInt64, most: Int) -> [StatusExtent] {
        // The first range that ends behind the offset.
        var low = 0, high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= offset { low = middle + 1 } else { high = middle }
        }
        var found: [StatusExtent] = []
        var position = offset
        let end = offset + count
        func add(_ limit: UInt64, _ flags: UInt32) {
            guard limit > position else { return }
            if let last = found.last, last.flags == flags { found[found.count - 1].length += limit - position } else { found.append(StatusExtent(length: limit - position, flags: flags)) }
            position = limit
        }
        while position < end, found.count < most {
            guard low < ranges.count, ranges[low].lowerBound < end else { add(end, 0); break }
            if ranges[low].lowerBound > position { add(ranges[low].lowerBound, 0); continue }
            add(min(end, ranges[low].upperBound), Context.dirty)
            low += 1
        }
        return Array(found.prefix(most))
    }
}
