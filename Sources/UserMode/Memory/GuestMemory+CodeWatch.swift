import CHost
import Glibc
import Translation

// Code that changes without an instruction fence: see `CodeWatch`. Pages are write-protected on the host when code is
// read from them for translation, and opened again, with their translations dropped, when the guest (or the kernel, or
// Apus, on its behalf) stores there.
extension GuestMemory {
    /// Write-protects the pages of `start ..< end` that the guest may write to, before their code is read.
    func watch(_ state: inout State, _ start: UInt64, _ end: UInt64) {
        var page = start & ~(Self.page &- 1)
        while page < end {
            if state.map.watch.needsWatch(page), let region = state.map.region(at: page), region.protection & PROT_WRITE != 0,
               protect(page, Self.hostProtection(region.protection & ~PROT_WRITE)) {
                state.map.watch.add(page)
            }
            page &+= Self.page
        }
    }

    private func protect(_ page: UInt64, _ protection: Int32) -> Bool {
        apus_syscall(Int(SYS_mprotect), Int(truncatingIfNeeded: page &+ base), Int(Self.page), Int(protection), 0, 0, 0) == 0
    }

    /// Opens a page that has been taken out of the watch.
    private func open(_ state: inout State, _ page: UInt64) {
        guard let region = state.map.region(at: page) else { return }
        _ = protect(page, Self.hostProtection(region.protection))
    }

    /// After a SIGSEGV at `address`: true if the access is to be tried again, because the page was watched, or because
    /// another thread has just opened it.
    /// - Parameter store: tells this store of this thread from others: the fingerprint of its vCPU.
    package func liftWatch(at address: UInt64, store: UInt64) -> Bool {
        let page = address & ~(Self.page &- 1)
        let (retry, engine): (Bool, (any Engine)?) = state.withLock { state in
            guard let region = state.map.region(at: page), region.isExecutable, region.protection & PROT_WRITE != 0 else {
                return (false, nil)
            }
            if state.map.watch.isStuck(store, page) { state.map.watch.exempt(page) }
            guard state.map.watch.remove(page) else { return (!state.map.watch.isOff, nil) }
            open(&state, page)
            return (true, state.engine)
        }
        engine?.invalidateWritable(page..<page &+ Self.page)
        return retry
    }

    /// Opens the watched pages of a range whose translations are about to be dropped.
    func openWatched(_ state: inout State, _ range: Range<UInt64>) {
        for page in state.map.watch.removeAll(in: range) { open(&state, page) }
    }

    /// Before a store by the kernel or Apus is tried again that failed: opens all watched pages. False if there were none.
    package func liftAllWatches() -> Bool {
        let (pages, engine): ([UInt64], (any Engine)?) = state.withLock { state in
            guard !state.map.watch.isEmpty else { return ([], nil) }
            let pages = state.map.watch.removeAll()
            for page in pages { open(&state, page) }
            return (pages, state.engine)
        }
        for page in pages { engine?.invalidateWritable(page..<page &+ Self.page) }
        return !pages.isEmpty
    }

    /// The guest has fenced `range`: its pages are watched no more. The caller then has the engine compare the code.
    package func codeWasFenced(_ range: Range<UInt64>) {
        state.withLock { state in
            for page in state.map.watch.fence(range) { open(&state, page) }
        }
    }
}
