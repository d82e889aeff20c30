// Robust futexes (Documentation/locking/robust-futexes.rst): what a dying thread does to the mutexes it holds.
//
// Where the guest's list has the host's layout and addresses, the host kernel is given it too, so that it also serves
// a process that is killed. An orderly thread exit walks the list here, because the host thread outlives the guest
// thread: joiners must not find the list unwalked.

import CHost
import Glibc
import Host

enum RobustList {
    /// The kernel's limit, against circular lists.
    private static let limit = 2048
    private static let waiters: UInt32 = 0x8000_0000, ownerDied: UInt32 = 0x4000_0000, tidMask: UInt32 = 0x3fff_ffff

    /// `set_robust_list`: 0 or an errno.
    static func set(_ thread: GuestThread, head: UInt64, length: UInt64) -> Int32 {
        let model = thread.process.abi.dataModel
        guard length == UInt64(3 * model.wordSize) else { return EINVAL }
        thread.robustList = head
        if model.wordSize == 8, !model.bigEndian, thread.process.memory.base == 0 {
            directCall(SYS_set_robust_list, head, 24)
        }
        return 0
    }

    /// Marks the mutexes that `thread` holds as abandoned and wakes a waiter of each.
    static func release(_ thread: GuestThread) {
        guard thread.robustList != 0 else { return }
        let head = thread.robustList
        thread.robustList = 0
        directCall(SYS_set_robust_list, 0, 24)
        let word = UInt64(thread.process.abi.dataModel.wordSize)
        guard let first = read(thread, head), let offset = read(thread, head &+ word),
              let pendingEntry = read(thread, head &+ 2 &* word) else { return }
        // Bit 0 of an entry's address says that it is a priority-inheriting mutex.
        let pending = pendingEntry & ~1
        var entry = first, count = 0
        while entry & ~1 != head, count < limit {
            let next = read(thread, entry & ~1)
            if entry & ~1 != pending { abandon(thread, (entry & ~1) &+ offset, entry & 1 != 0, isPending: false) }
            guard let next else { return }
            entry = next
            count += 1
        }
        if pending != 0 { abandon(thread, pending &+ offset, pendingEntry & 1 != 0, isPending: true) }
    }

    private static func read(_ thread: GuestThread, _ address: UInt64) -> UInt64? {
        let model = thread.process.abi.dataModel, memory = thread.process.memory
        if model.wordSize == 8 {
            return memory.read(address, as: UInt64.self).map { model.bigEndian ? $0.byteSwapped : $0 }
        }
        return memory.read(address, as: UInt32.self).map { UInt64(model.bigEndian ? $0.byteSwapped : $0) }
    }

    private static func abandon(_ thread: GuestThread, _ address: UInt64, _ inheriting: Bool, isPending: Bool) {
        guard address & 3 == 0 else { return }
        let swapped = thread.process.abi.dataModel.bigEndian
        let cell = thread.process.memory.host(address)
        var failed: Int32 = 0
        var seen = apus_guarded_load(cell, 4, &failed)
        while failed == 0 {
            let raw = UInt32(truncatingIfNeeded: seen), value = swapped ? raw.byteSwapped : raw
            if isPending, !inheriting, value == 0 {
                // The thread died between unlocking and waking.
                directCall(SYS_futex, cell, FutexOperation.wake, 1)
                return
            }
            guard value & tidMask == UInt32(bitPattern: thread.tid) & tidMask else { return }
            let new = (value & waiters) | ownerDied
            var expected = seen
            if apus_guarded_cas(cell, &expected, UInt64(swapped ? new.byteSwapped : new), 4) != 0 { return }
            if expected == seen {
                if !inheriting, value & waiters != 0 { directCall(SYS_futex, cell, FutexOperation.wake, 1) }
                return
            }
            seen = expected
        }
    }
}
