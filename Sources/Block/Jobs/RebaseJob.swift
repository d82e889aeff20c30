// Rebase: an image is put on another backing file without a change of what it shows (`apus img rebase`). Where the old
// and the new chain differ, the image gets its own copy.

/// Makes an image independent of the differences between its old and its new backing file.
public struct RebaseJob: Sendable {
    public var node: Node
    /// What it stood on; nil: nothing, zeros.
    public var old: Node?
    /// What it shall stand on.
    public var new: Node?
    public var control: JobControl

    public init(node: Node, old: Node?, new: Node?, control: JobControl) {
        self.node = node
        self.old = old
        self.new = new
        self.control = control
    }

    /// Copies what differs. The header is the caller's to change afterwards.
    public func run() throws(BlockError) {
        let length = try node.length()
        control.begin(length)
        let buffers = (try OwnedBuffer(Int(jobPiece)), try OwnedBuffer(Int(jobPiece)))
        var position: UInt64 = 0
        while position < length {
            let own = try node.status(position, length - position)
            var count = own.length
            if !own.isAllocated {
                count = min(count, jobPiece)
                try control.checkpoint(moving: count)
                let a = buffers.0.buffer.slice(0, count), b = buffers.1.buffer.slice(0, count)
                let zeros = (try read(old, position, a), try read(new, position, b))
                if !(zeros.0 && zeros.1), !a.equals(b) { try copyDifferences(position, a, b) }
            }
            position += count
            control.advance(count)
        }
        try node.flush()
        withExtendedLifetime(buffers) {}
    }

    /// Fills the buffer; true if the chain says that it is all zeros.
    private func read(_ chain: Node?, _ position: UInt64, _ buffer: BlockBuffer) throws(BlockError) -> Bool {
        guard let chain, case let end = try chain.length(), position < end else { buffer.fill(); return true }
        let there = buffer.slice(0, end - position)
        buffer.slice(there.count, Int.max).fill()
        let status = try chain.wholeStatus(position, UInt64(there.count))
        if status.isZero, status.length >= UInt64(there.count) { buffer.fill(); return true }
        try chain.read(position, there)
        return false
    }

    /// Writes the old contents where they differ, in pieces of 4 KiB.
    private func copyDifferences(_ position: UInt64, _ old: BlockBuffer, _ new: BlockBuffer) throws(BlockError) {
        var start = 0
        while start < old.count {
            if old.slice(start, 4096).equals(new.slice(start, 4096)) { start += 4096; continue }
            var end = start + 4096
            while end < old.count, !old.slice(end, 4096).equals(new.slice(end, 4096)) { end += 4096 }
            // Zeros, too, as data: formats leave out zeros where the old chain reads as such.
            try node.write(position + UInt64(start), old.slice(start, end - start))
            start = end
        }
    }
}
