// What is known of a range over a whole backing chain.

extension Node {
    /// The status of a range from this node down to `base` (exclusive; nil: the whole chain). `isAllocated` false means
    /// that no node above `base` decides the bytes; at the end of the whole chain they are zeros.
    public func chainStatus(_ offset: UInt64, _ count: UInt64, above base: Node? = nil) throws(BlockError) -> BlockStatus {
        var node = self
        var length = count
        var depth = 0
        while true {
            let own = try node.length()
            if offset >= own {
                // A shorter backing node: beyond its end, zeros that belong to no node.
                return BlockStatus(length: length, isData: false, isZero: true, isAllocated: depth > 0)
            }
            var status = try node.status(offset, min(length, own - offset))
            status.depth = depth
            if status.isAllocated { return status }
            length = status.length
            guard let next = node.backing, next !== base else {
                if base == nil { status.isZero = true }
                return status
            }
            node = next
            depth += 1
        }
    }

    /// Whether and where the range is zeros or data, over the whole chain.
    public func wholeStatus(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus {
        try chainStatus(offset, count, above: nil)
    }

    /// This node and the nodes it stands on, from the top.
    public var chain: [Node] {
        var nodes = [self]
        while let next = nodes.last?.backing, nodes.count < 1024 { nodes.append(next) }
        return nodes
    }
}
