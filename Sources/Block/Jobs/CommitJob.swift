// Commit: what the images above `base` decide is written into `base` (block-commit, `apus img commit`).

/// Writes the contents of a chain's upper images into a lower one.
public struct CommitJob: Sendable {
    /// The image the guest sees.
    public var top: Node
    /// An image below it, opened for writing.
    public var base: Node
    public var control: JobControl

    public init(top: Node, base: Node, control: JobControl) {
        self.top = top
        self.base = base
        self.control = control
    }

    public func run() throws(BlockError) {
        let length = try top.length()
        if try base.length() < length { try base.setLength(length) }
        control.begin(length)
        let buffer = try OwnedBuffer(Int(jobPiece))
        var position: UInt64 = 0
        while position < length {
            let status = try top.chainStatus(position, length - position, above: base)
            let count = status.isAllocated && !status.isZero ? min(status.length, jobPiece) : status.length
            try control.checkpoint(moving: status.isAllocated ? count : 0)
            if status.isAllocated { try copyRange(top, base, position..<position + count, buffer.buffer) }
            position += count
            control.advance(count)
        }
        try base.flush()
        withExtendedLifetime(buffer) {}
    }
}
