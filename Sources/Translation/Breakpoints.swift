// Breakpoints and watchpoints in translated code. At a breakpoint the trace leaves with `ExitReason.breakpoint` before the
// instruction; while there are watchpoints, every memory access is followed by a call that looks it up.

import CHost
import Host
import IR

/// The addresses at which a debugger wants code to stop.
public final class BreakpointTable: TranslationHook {
    private let addresses = Locked<Set<UInt64>>([])

    public init() {}

    public func contains(_ address: UInt64) -> Bool { addresses.withLock { $0.contains(address) } }
    public var all: Set<UInt64> { addresses.withLock { $0 } }

    /// The caller then tells the engine to forget what it made of `address`.
    public func insert(_ address: UInt64) { _ = addresses.withLock { $0.insert(address) } }
    public func remove(_ address: UInt64) { _ = addresses.withLock { $0.remove(address) } }
    public func removeAll() { addresses.withLock { $0 = [] } }

    public func willTranslate(_ site: InstructionSite) -> Bool {
        guard contains(site.pc) else { return true }
        site.builder.exit(ExitReason.breakpoint.rawValue, at: site.pc)
        return false
    }
}

/// A stretch of memory whose accesses a debugger wants to see.
public struct Watch: Equatable, Sendable {
    public var start: UInt64
    public var length: UInt64
    public var reads: Bool
    public var writes: Bool

    public init(start: UInt64, length: UInt64, reads: Bool, writes: Bool) {
        self.start = start
        self.length = length
        self.reads = reads
        self.writes = writes
    }

    func meets(_ address: UInt64, _ bytes: UInt64) -> Bool { address &- start < length || start &- address < bytes }
}

/// The watchpoints of a process, and what they found. There is one table, as helpers have no other context.
public final class WatchTable: TranslationHook {
    private struct State {
        var watches: [Watch] = []
        /// By the state pointer of the vCPU whose access it was: the watch, and the access's first watched byte.
        var hits: [UInt: (Watch, UInt64)] = [:]
    }

    private static let state = Locked(State())
    private static let helper = HelperTable.register { state, address, access, _ in
        WatchTable.check(state, address, access)
        return 0
    }

    public init() { _ = Self.helper }

    public var isEmpty: Bool { Self.state.withLock { $0.watches.isEmpty } }
    public var all: [Watch] { Self.state.withLock { $0.watches } }

    /// The caller then tells the engine to forget all code, if the table was empty.
    public func insert(_ watch: Watch) { Self.state.withLock { state in
        state.watches.append(watch)
        Self.updateActive(state)
    } }

    /// - Returns: whether it was there.
    public func remove(_ watch: Watch) -> Bool {
        Self.state.withLock { state in
            guard let index = state.watches.firstIndex(of: watch) else { return false }
            state.watches.remove(at: index)
            Self.updateActive(state)
            return true
        }
    }

    public func removeAll() {
        Self.state.withLock { state in
            state = State()
            Self.updateActive(state)
        }
    }

    /// What the vCPU's last instruction found, once.
    public func takeHit(of vcpu: VCPU) -> (watch: Watch, address: UInt64)? {
        Self.state.withLock { $0.hits.removeValue(forKey: UInt(bitPattern: vcpu.state)) }
    }

    public func hasHit(of vcpu: VCPU) -> Bool { Self.state.withLock { $0.hits[UInt(bitPattern: vcpu.state)] != nil } }

    /// Whether a vCPU has found `watch` and that was not taken yet.
    public func isHit(_ watch: Watch) -> Bool { Self.state.withLock { $0.hits.values.contains { $0.0 == watch } } }

    /// Brackets a fork.
    public static func willFork() { state.lock() }
    public static func didFork() { state.unlock() }

    /// Not 0 while there are watchpoints: what functions of the runtime that access guest memory look at.
    private nonisolated(unsafe) static let active: UnsafeMutablePointer<Int32> = {
        let cell = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
        cell.initialize(to: 0)
        return cell
    }()
    @inline(__always) public static var isActive: Bool { apus_atomic_load_i32(active) != 0 }

    /// The vCPU of `vcpuState` has accessed `bytes` at guest address `address`.
    public static func note(_ vcpuState: UnsafeMutableRawPointer, _ address: UInt64, _ bytes: Int, isLoad: Bool) {
        check(vcpuState, address, UInt64(truncatingIfNeeded: bytes) &<< 2 | (isLoad ? 1 : 2))
    }

    private static func updateActive(_ state: borrowing State) { apus_atomic_store_i32(active, state.watches.isEmpty ? 0 : 1) }

    private static func check(_ vcpuState: UnsafeMutableRawPointer, _ address: UInt64, _ access: UInt64) {
        let bytes = access &>> 2
        let found = state.withLock { state in
            for watch in state.watches
            where watch.meets(address, bytes) && (watch.reads && access & 1 != 0 || watch.writes && access & 2 != 0) {
                state.hits[UInt(bitPattern: vcpuState)] = (watch, max(address, watch.start))
                return true
            }
            return false
        }
        guard found else { return }
        let request = (vcpuState + Int(StateHeader.interruptRequest)).assumingMemoryBound(to: Int32.self)
        apus_atomic_store_i32(request, 1)
    }

    // MARK: TranslationHook

    public func didTranslate(_ site: InstructionSite, _ instruction: TranslatedInstruction) -> Bool {
        guard !isEmpty else { return false }
        let builder = site.builder
        var found = false
        for index in instruction.ops {
            let op = builder.arena.pointee.ops[index]
            let kind: UInt64
            switch op.code {
            case .load: kind = 1
            case .store, .storeConditional: kind = 2
            case .atomicRMW, .compareAndSwap: kind = 3
            case .helper where op.aux & HelperEffects.mayFault.rawValue != 0:
                // A function of the runtime that accesses memory says so itself: see `note`.
                found = true
                continue
            case .lanes:
                // Code in line would say nothing of what it accesses: the helper call behind it does all of it.
                builder.arena.pointee.ops[index] = Op(.const, .i64)
                continue
            default: continue
            }
            found = true
            var address = Value(builder.arena, op.a, .i64)
            if op.code == .load || op.code == .store, op.imm != 0 { address = address + builder.constant(op.imm) }
            let access = builder.constant(UInt64(MemoryAccess(rawValue: op.aux).bytes) &<< 2 | kind)
            _ = builder.helper(Self.helper, [.readsState, .writesState], address, access)
        }
        return found
    }
}
