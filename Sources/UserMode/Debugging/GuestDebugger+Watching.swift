// Breakpoints and watchpoints on the guest threads' side.

import Debugger
import Host
import Translation

extension GuestDebugger {
    func hasBreakpoint(at address: UInt64) -> Bool { tools.breakpoints.contains(address) }

    /// The thread has left guest code at its pc, where a breakpoint may be: also one where nothing can be fetched, as at
    /// the return address of a function that the debugger calls.
    /// - Returns: whether there was one.
    func stopsAtBreakpoint(_ thread: GuestThread) -> Bool {
        let pc = thread.vcpu.pc
        guard hasBreakpoint(at: pc) else { return false }
        let isHardware = state.withLock { state in
            !state.breakpoints.contains { $0.address == pc && $0.kind == .software }
        }
        report(.breakpoint(hardware: isHardware), thread)
        return true
    }

    /// Reports the watchpoint that the thread's last instruction touched. - Returns: whether there was one.
    func reportWatchHit(_ thread: GuestThread) -> Bool {
        guard tools.watches.hasHit(of: thread.vcpu) else { return false }
        // A system call of another thread, which this stop interrupts, has not written it: it finds the hit, or what is remembered.
        rememberWatchedMemory()
        guard let (watch, address) = tools.watches.takeHit(of: thread.vcpu) else { return false }
        report(.watchpoint(Self.kind(of: watch), address: address), thread)
        return true
    }

    private static func kind(of watch: Watch) -> WatchKind {
        watch.reads ? (watch.writes ? .access : .read) : .write
    }

    /// What system calls write is found by comparing.
    func rememberWatchedMemory() { _ = changedWatch() }

    func checkWatchedMemory(_ thread: GuestThread) {
        guard let watch = changedWatch(), !tools.watches.isHit(watch) else { return }
        report(.watchpoint(Self.kind(of: watch), address: watch.start), thread)
    }

    /// Remembers what watched memory holds now; returns the first watch that has changed since the last time.
    private func changedWatch() -> Watch? {
        let watches = tools.watches.all.filter(\.writes)
        guard !watches.isEmpty || !watchedMemory.withLock({ $0.isEmpty }) else { return nil }
        let now = watches.map { ($0, memory.readBytes($0.start, Int(min($0.length, 1 << 20)))) }
        return watchedMemory.withLock { old in
            defer { old = now.map { WatchedBytes(watch: $0.0, bytes: $0.1) } }
            return now.first { item in old.contains { $0.watch == item.0 && $0.bytes != item.1 } }?.0
        }
    }
}

/// A watch and what its memory held.
struct WatchedBytes: Sendable {
    let watch: Watch
    let bytes: [UInt8]?
}
