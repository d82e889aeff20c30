// The live threads of a guest process.

import Glibc
import Host

final class ThreadTable: Sendable {
    private let threads = Locked<[Int32: GuestThread]>([:])

    init() {}

    func insert(_ thread: GuestThread) { threads.withLock { $0[thread.tid] = thread } }
    func remove(_ thread: GuestThread) { threads.withLock { $0[thread.tid] = nil } }
    subscript(tid: Int32) -> GuestThread? { threads.withLock { $0[tid] } }
    var count: Int { threads.withLock { $0.count } }
    /// Thread ids, in no order.
    var tids: [Int32] { threads.withLock { Array($0.keys) } }

    /// Takes the table's lock for `fork`; see `Process.fork`.
    func willFork() { threads.lock() }
    func didFork() { threads.unlock() }

    /// In a forked child: only `thread` is left, under its new id.
    func reset(to thread: GuestThread) {
        threads.withLock { table in
            // The other threads' objects are left alone: their host threads, which owned them, are gone.
            for (_, other) in table where other !== thread { _ = Unmanaged.passRetained(other) }
            table = [thread.tid: thread]
        }
    }
}
