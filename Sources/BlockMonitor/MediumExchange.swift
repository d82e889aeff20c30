// Media of drives: opened and put in, taken out and given up.

import Block

extension BlockService {
    /// Opens an image as a medium and makes it known. - Returns: a node whose use is the caller's.
    public func openMedium(_ file: String, format: String?, isReadOnly: Bool) throws(BlockError) -> Node {
        try changing.withLock { (_) throws(BlockError) in
            let node = try graph.open(file, format: format, isReadOnly ? .readOnly : .readWrite)
            do throws(BlockError) { try adopt(node) } catch {
                try? node.close()
                throw error
            }
            return node
        }
    }

    /// Puts `medium`, whose use is taken over, into a drive, and gives up what was there.
    /// - Parameters:
    ///   - name: what monitors call the drive; nil: it has no name but its device's.
    ///   - swap: exchanges the device's node, and returns the old one with its use.
    public func exchangeMedium(of name: String?, old: Node, for medium: Node, swap: (Node) throws(BlockError) -> Node) throws(BlockError) {
        try changing.withLock { (_) throws(BlockError) in
            try refuseIfBusy(old)
            let old = try swap(medium)
            // The drive of the command line stands on the medium, too.
            if let root = name.flatMap({ name in state.withLock { $0.roots.first { $0.name == name }?.root } }) {
                medium.retain()
                root.enter()
                let previous = root.replace(medium)
                root.leave()
                try? previous.close()
            }
            forgetUnlessHeld(old)
            try? old.close()
        }
    }
}
