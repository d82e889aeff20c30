// Stream: what the images below decide is copied into an image, until it no longer needs them (block-stream).

/// Fills an image from its chain.
public struct StreamJob: Sendable {
    public var node: Node
    /// The image that stays below; nil: none.
    public var base: Node?
    public var control: JobControl

    public init(node: Node, base: Node?, control: JobControl) {
        self.node = node
        self.base = base
        self.control = control
    }

    /// Copies, then makes the header name `reference` (nil: nothing) as the backing file. The nodes in between are the
    /// caller's to close once no request uses them.
    public func run(naming reference: FileReference?) throws(BlockError) {
        guard let storage = node.storage as? ImageStorage, let image = node.image as? any RebasableImage else {
            throw .unsupported("the format '\(node.driver)' has no backing file to stream from")
        }
        let length = try node.length()
        control.begin(length)
        let buffer = try OwnedBuffer(Int(jobPiece))
        var position: UInt64 = 0
        while position < length {
            let own = try node.status(position, length - position)
            var count = own.length
            if !own.isAllocated {
                let below = try node.chainStatus(position, count, above: base)
                count = below.isAllocated && !below.isZero ? min(below.length, jobPiece) : below.length
                try control.checkpoint(moving: below.isAllocated ? count : 0)
                if below.isAllocated {
                    // A guest may write here meanwhile: it must win, so only what is still not allocated is copied.
                    try storage.fillFromBacking(position, count, buffer.buffer)
                }
            } else { try control.checkpoint(moving: 0) }
            position += count
            control.advance(count)
        }
        try node.flush()
        try storage.exclusively { () throws(BlockError) in try image.setBacking(reference) }
        storage.setBacking(base)
        try node.flush()
        withExtendedLifetime(buffer) {}
    }
}
