// What filters share: everything they do not change goes on to the node they stand before.

/// Storage in front of another node.
public protocol FilterStorage: WritableStorage, ResizableStorage {
    /// The node it stands before.
    var file: Node { get }
}

extension FilterStorage {
    public var growsOnWrite: Bool { (file.storage as? any WritableStorage)?.growsOnWrite ?? false }
    public func length() throws(BlockError) -> UInt64 { try file.length() }
    public func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) { try file.read(offset, buffer) }
    public func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) { try file.write(offset, buffer) }
    public func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) { try file.writeZeroes(offset, count, unmap: unmap) }
    public func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) { try file.discard(offset, count) }
    public func flush() throws(BlockError) { try file.flush() }
    public func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus { try file.status(offset, count) }
    public func setLength(_ length: UInt64, _ preallocation: Preallocation) throws(BlockError) { try file.setLength(length, preallocation) }
    public func close() throws(BlockError) {}
}
