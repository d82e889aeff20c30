import Host
import Synchronization

/// File descriptors that belong to Apus and that the guest must neither see closed nor close: the `-strace` log.
enum PrivateDescriptors {
    private static let descriptors = Locked<[UInt32]>([])
    private static let count = Atomic<Int>(0)

    static func add(_ descriptor: Int32) {
        guard descriptor >= 0 else { return }
        descriptors.withLock { $0.append(UInt32(descriptor)) }
        count.add(1, ordering: .relaxed)
    }

    static func contains(_ descriptor: Int32) -> Bool {
        guard count.load(ordering: .relaxed) != 0, descriptor >= 0 else { return false }
        return descriptors.withLock { $0.contains(UInt32(descriptor)) }
    }

    /// Brackets a fork; see `Process.willFork`.
    static func willFork() { descriptors.lock() }
    static func didFork() { descriptors.unlock() }

    static var all: [UInt32] {
        count.load(ordering: .relaxed) == 0 ? [] : descriptors.withLock { $0 }
    }
}
