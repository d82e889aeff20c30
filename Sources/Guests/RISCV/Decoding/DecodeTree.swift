// The decision tree that finds the pattern of an encoding, built at start-up from the bit strings of the tables.
//
// A node switches on the widest run of bits that every pattern below it fixes; so no pattern is in two children, and the
// tree has about as many nodes as the manual has opcode maps. A leaf holds the few patterns that are left, the most
// specific first: that is how `c.addi16sp` precedes `c.lui`.

/// Finds the instruction of an encoding among those that a set of extensions enables.
///
/// Invariant: `nodes`, `children` and `leaves` are written by `init` only; every index stored in them was made there, and
/// a child index is masked to the width that its node was built with.
final class DecodeTree: @unchecked Sendable {
    fileprivate struct Node: BitwiseCopyable {
        /// The lowest of the bits to switch on, and how many; no bits: a leaf.
        var shift: UInt8 = 0
        var width: UInt8 = 0
        /// Of a leaf: how many patterns it holds.
        var count: UInt16 = 0
        /// Index of the first child, or of the first pattern of a leaf.
        var first: UInt32 = 0
    }

    private let nodes: UnsafeMutablePointer<Node>
    private let children: UnsafeMutablePointer<UInt16>
    private let leaves: UnsafeMutablePointer<Pattern>
    private let leafCount: Int

    init(_ extensions: Extensions) {
        var enabled: [Pattern] = []
        enabled.reserveCapacity(512)
        for table in Pattern.all {
            for pattern in table where pattern.isEnabled(by: extensions) { enabled.append(pattern.narrowed(to: extensions.xlen)) }
        }
        let sketch = Sketch(patterns: enabled)
        nodes = .allocate(capacity: sketch.nodes.count)
        nodes.initialize(from: sketch.nodes, count: sketch.nodes.count)
        children = .allocate(capacity: sketch.children.count + 1)
        children.initialize(from: sketch.children, count: sketch.children.count)
        leafCount = sketch.leaves.count
        leaves = .allocate(capacity: leafCount + 1)
        for (index, pattern) in sketch.leaves.enumerated() { (leaves + index).initialize(to: enabled[Int(pattern)]) }
    }

    deinit {
        nodes.deallocate()
        children.deallocate()
        leaves.deinitialize(count: leafCount)
        leaves.deallocate()
    }

    /// The pattern of `bits`, or nil for an encoding that is undefined or not enabled. The pointer lives as long as the
    /// tree. 16-bit encodings have their upper half clear.
    @inline(__always)
    func find(_ bits: UInt32) -> UnsafePointer<Pattern>? {
        var node = nodes[0]
        while node.width != 0 {
            let index = bits &>> UInt32(node.shift) & (1 &<< UInt32(node.width) &- 1)
            node = nodes[Int(children[Int(node.first &+ index)])]
        }
        var candidate = leaves + Int(node.first)
        for _ in 0 ..< node.count {
            if candidate.pointee.matches(bits) { return UnsafePointer(candidate) }
            candidate += 1
        }
        return nil
    }
}

/// The tree while it grows.
private struct Sketch {
    let patterns: [Pattern]
    /// Node 0 is the root; an empty leaf stands for encodings that nothing matches.
    var nodes: [DecodeTree.Node] = []
    var children: [UInt16] = []
    var leaves: [UInt16] = []
    /// The patterns by number, those of one subtree side by side; `sorted` is room to rearrange them.
    private var order: [UInt16]
    private var sorted: [UInt16]
    private var emptyLeaf: UInt16?

    /// A switch on more bits than this makes tables larger than the steps they save.
    private static let widest: UInt8 = 7

    init(patterns: [Pattern]) {
        self.patterns = patterns
        order = (0 ..< UInt16(truncatingIfNeeded: patterns.count)).map { $0 }
        sorted = order
        nodes.reserveCapacity(256)
        children.reserveCapacity(4096)
        leaves.reserveCapacity(patterns.count)
        _ = add(0 ..< patterns.count, switched: 0)
    }

    /// Adds the tree of the patterns at `members` of `order`, on whose bits `switched` the nodes above have decided.
    private mutating func add(_ members: Range<Int>, switched: UInt32) -> UInt16 {
        if members.isEmpty, let emptyLeaf { return emptyLeaf }
        let index = nodes.count
        nodes.append(DecodeTree.Node())
        var common = ~switched
        for position in members { common &= patterns[Int(order[position])].mask }
        let (shift, width) = Sketch.widestRun(common)
        if members.count < 2 || width == 0 {
            nodes[index].first = UInt32(truncatingIfNeeded: leaves.count)
            nodes[index].count = UInt16(truncatingIfNeeded: members.count)
            leaves += order[members].sorted { specificity($0) > specificity($1) }
            if members.isEmpty { emptyLeaf = UInt16(truncatingIfNeeded: index) }
            return UInt16(truncatingIfNeeded: index)
        }
        // A counting sort by the switched bits puts the members of each child side by side.
        let fieldMask: UInt32 = (1 &<< UInt32(width)) &- 1
        func field(_ member: UInt16) -> Int { Int(patterns[Int(member)].match &>> UInt32(shift) & fieldMask) }
        var ends = [Int](repeating: 0, count: Int(fieldMask) + 1)
        for position in members { ends[field(order[position])] += 1 }
        var start = members.lowerBound
        for value in ends.indices {
            let count = ends[value]
            ends[value] = start
            start += count
        }
        for position in members {
            let value = field(order[position])
            sorted[ends[value]] = order[position]
            ends[value] += 1
        }
        for position in members { order[position] = sorted[position] }

        let first = children.count
        children.append(contentsOf: repeatElement(0, count: ends.count))
        nodes[index].shift = shift
        nodes[index].width = width
        nodes[index].first = UInt32(truncatingIfNeeded: first)
        start = members.lowerBound
        for value in ends.indices {
            let child = add(start ..< ends[value], switched: switched | fieldMask &<< UInt32(shift))
            children[first + value] = child
            start = ends[value]
        }
        return UInt16(truncatingIfNeeded: index)
    }

    private func specificity(_ member: UInt16) -> Int { patterns[Int(member)].mask.nonzeroBitCount }

    /// The lowest bit and the length, at most `widest`, of the longest run of ones in `bits`.
    private static func widestRun(_ bits: UInt32) -> (shift: UInt8, width: UInt8) {
        var best: (shift: UInt8, width: UInt8) = (0, 0)
        var position: UInt8 = 0
        while position < 32 {
            var width: UInt8 = 0
            while position &+ width < 32, width < widest, bits &>> UInt32(position &+ width) & 1 != 0 { width &+= 1 }
            if width > best.width { best = (position, width) }
            position &+= max(1, width)
        }
        return best
    }
}
