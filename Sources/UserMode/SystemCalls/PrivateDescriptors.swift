import Glibc
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

    /// Moves `descriptor` out of the way of the guest's own and makes it private. - Returns: its new number.
    static func adopt(_ descriptor: Int32) -> Int32 {
        guard descriptor >= 0 else { return descriptor }
        let high = fcntl(descriptor, F_DUPFD_CLOEXEC, 512)
        if high >= 0 { close(descriptor) }
        add(high >= 0 ? high : descriptor)
        return high >= 0 ? high : descriptor
    }

    /// After it was closed.
    static func remove(_ descriptor: Int32) {
        descriptors.withLock { list in
            guard descriptor >= 0, let index = list.firstIndex(of: UInt32(descriptor)) else { return }
            list.remove(at: index)
            count.subtract(1, ordering: .relaxed)
        }
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
