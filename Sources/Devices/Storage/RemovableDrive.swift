// Drives whose medium comes and goes: a tray that guests and people open, and what stands for a medium when there is none.

import Block

/// What a drive without a medium holds: nothing.
final class EmptyStorage: Storage {
    func length() throws(BlockError) -> UInt64 { 0 }
    func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) { throw .invalid("there is no medium") }
    func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus { BlockStatus(length: count, isData: false, isZero: true) }
    func close() throws(BlockError) {}
}

extension Node {
    /// The place of a medium that is not there.
    public static func empty() -> Node { Node(name: "", driver: "", filename: "", storage: EmptyStorage(), access: .readOnly) }
    public var isEmpty: Bool { storage is EmptyStorage }
}

/// A drive with a tray. All methods may be called from any thread.
public protocol RemovableDrive: AnyObject, Sendable {
    var disk: BlockDevice { get }
    var isTrayOpen: Bool { get }
    /// The guest keeps the tray shut.
    var isTrayLocked: Bool { get }
    /// Somebody pressed the button of a locked drive: the guest is told, and may open it. - Parameter unlocks: it has no say.
    func requestEjection(unlocks: Bool)
    /// Moves the tray, whatever the guest wants; it finds out.
    func moveTray(isOpen: Bool)
    /// Told whenever the tray has moved, by whomever.
    func onTrayMove(_ body: @escaping @Sendable (_ isOpen: Bool) -> Void)
}
