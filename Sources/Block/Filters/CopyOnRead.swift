// copy-on-read: what is read from a backing file stays in the image behind. Left out: a `bottom` image to stop at.

final class CopyOnReadStorage: FilterStorage {
    let file: Node
    private let image: ImageStorage

    init(file: Node) throws(BlockError) {
        guard let image = file.storage as? ImageStorage, file.isWritable else {
            throw .invalid("copy-on-read stands before an image opened for writing")
        }
        self.file = file
        self.image = image
    }

    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        let end = min(offset &+ UInt64(buffer.count), try file.length())
        var position = offset
        while position < end {
            let own = try file.status(position, end - position)
            if !own.isAllocated {
                // Zeros from nowhere are left where they are.
                let whole = try file.wholeStatus(position, own.length)
                if !whole.isZero {
                    let piece = try OwnedBuffer(Int(min(whole.length, 1 << 20)))
                    try image.fillFromBacking(position, min(own.length, whole.length), piece.buffer)
                }
                position += min(own.length, whole.length)
            } else { position += own.length }
        }
        try file.read(offset, buffer)
    }
}

/// The filter `copy-on-read`.
public enum CopyOnReadDriver: FilterDriver {
    public static let name = "copy-on-read"
    public static let options: [OptionDeclaration] = []
    public static func open(_ file: Node, _ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage { try CopyOnReadStorage(file: file) }

    /// A node in front of `file`, which it takes over.
    public static func node(_ file: Node, _ graph: BlockGraph) throws(BlockError) -> Node {
        Node(name: graph.automaticName(), driver: name, filename: file.filename, storage: try CopyOnReadStorage(file: file), access: file.access, children: [Child("file", file)])
    }
}
