// What the guest wants done with each signal, and the host dispositions that make the host kernel do as much of it as
// it can.
//
// Guest signal n is host signal n. Default and ignored dispositions are set on the host as they are, so that the host
// kernel stops, kills, reaps and passes them through exec by itself; but signals whose default leaves a core file come to
// Apus, for the file is to be the guest's. A guest handler makes Apus's own host handler be
// installed. The five signals that faults raise (HostFaults.synchronousSignals) always have Apus's handler.

import CHost
import Glibc
import Host

/// One guest `struct sigaction`.
struct SignalAction: Sendable, Equatable {
    /// The handler's guest address; 0: default, 1: ignore.
    var handler: UInt64 = 0
    /// The guest's `SA_` flags: equal on all Linux architectures but MIPS, whose ABI translates them.
    var flags: UInt64 = 0
    var restorer: UInt64 = 0
    /// Signals blocked meanwhile, bit n-1 for signal n.
    var mask: UInt64 = 0

    static let noChildStop: UInt64 = 1, noChildWait: UInt64 = 2, information: UInt64 = 4
    static let restorerGiven: UInt64 = 0x0400_0000
    static let onStack: UInt64 = 0x0800_0000, restart: UInt64 = 0x1000_0000
    static let noDefer: UInt64 = 0x4000_0000, resetHandler: UInt64 = 0x8000_0000
    /// The flags the kernel keeps; others are cleared, which programs use to find out what is supported.
    static let known: UInt64 = noChildStop | noChildWait | information | restorerGiven | onStack | restart | noDefer | resetHandler

    var isDefault: Bool { handler == 0 }
    var isIgnored: Bool { handler == 1 }
}

/// Facts about signal numbers.
enum SignalNumber {
    static let count = 64
    /// The bit of signal `number` in a mask.
    static func bit(_ number: Int) -> UInt64 { 1 &<< UInt64(truncatingIfNeeded: number &- 1) }
    /// SIGKILL and SIGSTOP.
    static let uncatchable: UInt64 = 1 << 8 | 1 << 18
    static func isSynchronous(_ number: Int) -> Bool {
        number >= 1 && number <= count && HostFaults.synchronousMask & bit(number) != 0
    }
    /// Whether the default action is to do nothing (or to continue, which the host kernel has done already).
    static func isIgnoredByDefault(_ number: Int) -> Bool {
        switch Int32(truncatingIfNeeded: number) {
        case SIGCHLD, SIGURG, SIGWINCH, SIGCONT: true
        default: false
        }
    }
}

extension SignalNumber {
    /// Whether the default action ends the program.
    static func isFatalByDefault(_ number: Int) -> Bool {
        switch Int32(truncatingIfNeeded: number) {
        case SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP: false
        default: !isIgnoredByDefault(number)
        }
    }
}

/// The dispositions of a process; a vfork child has its own copy.
final class SignalTable: Sendable {
    private let actions: Locked<[SignalAction]>
    /// Whether all signals that would end the program come to Apus, to be shown; those that leave a core file do anyway.
    private let seesFatal: Bool

    /// Dispositions as inherited from whoever executed Apus: default or ignored.
    init(seesFatal: Bool = false) {
        self.seesFatal = seesFatal
        var inherited = [SignalAction](repeating: SignalAction(), count: SignalNumber.count + 1)
        for number in 1 ... SignalNumber.count {
            var handler: UInt64 = 0, flags: UInt64 = 0, mask: UInt64 = 0
            apus_signal_query(Int32(number), &handler, &flags, &mask)
            if handler == 1 { inherited[number].handler = 1 }
        }
        actions = Locked(inherited)
    }

    /// A copy for a child process that shares memory with its parent.
    init(copying other: SignalTable) {
        seesFatal = other.seesFatal
        actions = Locked(other.actions.withLock { $0 })
    }

    /// Makes Apus the owner of the synchronous signals. Called once, when the first guest thread exists.
    func install() {
        for signal in HostFaults.synchronousSignals { installHost(Int(signal), SignalAction(handler: 2)) }
        actions.withLock { actions in
            for number in 1 ..< actions.count where actions[number].isDefault && (seesFatal || SignalNumber.dumpsCore(number)) {
                installHost(number, actions[number])
            }
        }
    }

    /// The action of signal `number`, 1 to 64.
    subscript(number: Int) -> SignalAction {
        actions.withLock { number > 0 && number < $0.count ? $0[number] : SignalAction() }
    }

    /// The action by which a signal is delivered now; resets a one-shot handler (`SA_RESETHAND`).
    func take(_ number: Int) -> SignalAction {
        actions.withLock { actions in
            guard number > 0, number < actions.count else { return SignalAction() }
            let action = actions[number]
            if action.flags & SignalAction.resetHandler != 0, action.handler > 1 {
                actions[number].handler = 0
                installHost(number, actions[number])
            }
            return action
        }
    }

    /// Changes an action and the host's disposition. - Returns: the old action, or a negated errno.
    func set(_ number: Int, _ action: SignalAction) -> (old: SignalAction, error: Int64) {
        actions.withLock { actions in
            guard number > 0, number < actions.count, SignalNumber.uncatchable & SignalNumber.bit(number) == 0 else {
                return (SignalAction(), -Int64(EINVAL))
            }
            let old = actions[number]
            var new = action
            new.flags &= SignalAction.known
            new.mask &= ~SignalNumber.uncatchable
            let error = installHost(number, new)
            if error < 0 { return (old, error) }
            actions[number] = new
            return (old, 0)
        }
    }

    /// Resets every handler to the default, as exec does and `CLONE_CLEAR_SIGHAND` asks for.
    func clearHandlers() {
        actions.withLock { actions in
            for number in 1 ..< actions.count where actions[number].handler > 1 {
                actions[number] = SignalAction()
                installHost(number, actions[number])
            }
        }
    }

    /// Sets the host's disposition of the signal by which the C library changes user ids in all threads: the host's
    /// takes it for itself whenever it starts a first thread, but it is the guest's.
    func reclaimIdentitySignal() {
        _ = actions.withLock { installHost(Self.identitySignal, $0[Self.identitySignal]) }
    }
    private static let identitySignal = 33

    /// Before exec: hands the synchronous signals that the guest ignores to the host kernel, so that they stay ignored.
    func prepareExecution() {
        for signal in HostFaults.synchronousSignals where self[Int(signal)].isIgnored { apus_signal_action_special(signal, 1, 0) }
    }
    /// After a failed exec.
    func executionFailed() {
        for signal in HostFaults.synchronousSignals where self[Int(signal)].isIgnored {
            installHost(Int(signal), SignalAction(handler: 2))
        }
    }

    /// Takes the table's lock for `fork`; see `Process.fork`.
    func willFork() { actions.lock() }
    func didFork() { actions.unlock() }

    @discardableResult
    private func installHost(_ number: Int, _ action: SignalAction) -> Int64 {
        guard SignalNumber.uncatchable & SignalNumber.bit(number) == 0 else { return 0 }
        let childFlags = action.flags & (SignalAction.noChildStop | SignalAction.noChildWait)
        let signal = Int32(truncatingIfNeeded: number)
        if SignalNumber.isSynchronous(number) {
            return Int64(HostFaults.installHandler(signal, hostSignalHandler))
        }
        if action.handler > 1 || action.isDefault && (seesFatal ? SignalNumber.isFatalByDefault(number) : SignalNumber.dumpsCore(number)) {
            // SA_RESTART lets the host kernel say which interrupted calls may be restarted; see apus_safe_syscall.
            return Int64(HostFaults.installHandler(signal, flags: childFlags | SignalAction.restart, hostSignalHandler))
        }
        return Int64(apus_signal_action_special(signal, Int(action.handler), childFlags))
    }
}
