import CHost
import Glibc
import Translation

// brk(2) for the guest. The host's own program break stays with Apus's allocator.
extension GuestMemory {
    /// Places the break behind the loaded program.
    package func setBreak(start: UInt64) {
        state.withLock { state in
            state.breakStart = start
            state.breakEnd = start
        }
    }

    /// The new break, or the old one if the request cannot be met.
    public func brk(_ request: UInt64) -> Int64 {
        var lostCode: (any Engine)?
        var lost: Range<UInt64> = 0..<0
        let result: UInt64 = state.withLock { state in
            let old = state.breakEnd
            guard request >= state.breakStart, request < layout.limit &- Self.page else { return old }
            let oldPage = (old &+ Self.page &- 1) & ~(Self.page &- 1)
            let newPage = (request &+ Self.page &- 1) & ~(Self.page &- 1)
            if newPage > oldPage {
                // A page stays free above the break, so that it never joins what follows.
                guard state.map.isFree(oldPage, newPage &+ Self.page), withinDataLimit(newPage &- state.breakStart),
                      fitsLimits(state, adding: newPage &- oldPage, isData: true) else {
                    return old
                }
                let host = apus_syscall(
                    Int(SYS_mmap), Int(truncatingIfNeeded: oldPage &+ base), Int(truncatingIfNeeded: newPage &- oldPage),
                    Int(PROT_READ | PROT_WRITE), Int(MAP_PRIVATE | MAP_ANONYMOUS | Int32(MAP_FIXED_NOREPLACE)), -1, 0)
                if host < 0 && host > -4096 { return old }
                state.map.insert(Region(start: oldPage, end: newPage, protection: PROT_READ | PROT_WRITE, kind: .heap))
            } else if newPage < oldPage {
                let host = apus_syscall(Int(SYS_munmap), Int(truncatingIfNeeded: newPage &+ base),
                                        Int(truncatingIfNeeded: oldPage &- newPage), 0, 0, 0, 0)
                guard host == 0 else { return old }
                if state.map.contains(newPage, oldPage, where: \.isExecutable) {
                    lostCode = state.engine
                    lost = newPage..<oldPage
                }
                state.map.remove(newPage, oldPage)
            }
            state.breakEnd = request
            return request
        }
        lostCode?.invalidate(lost)
        return Int64(bitPattern: result)
    }

    private func withinDataLimit(_ bytes: UInt64) -> Bool {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(2) /* RLIMIT_DATA */, &limit) == 0 else { return true }
        return limit.rlim_cur == rlim_t.max || bytes <= limit.rlim_cur
    }
}
