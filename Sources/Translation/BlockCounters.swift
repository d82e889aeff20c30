// Counts how often each basic block of guest code runs: what instruction counts, profiles and coverage are made of.
//
// A block begins where a trace begins, behind a conditional branch, and where a jump was followed; one call at its
// beginning counts it. A block that a fault or a signal leaves in the middle counts as a whole.

import CHost
import Glibc
import Host
import IR

/// A basic block and how often it ran.
public struct CountedBlock: Sendable {
    public var start: UInt64
    public var bytes: Int
    public var instructions: Int
    public var runs: UInt64
}

/// The process's counters; there is one set, as helpers have no other context.
public final class BlockCounters: TranslationHook {
    private struct Block {
        var start: UInt64
        var bytes = 0
        var instructions = 0
        /// An instruction behind its last one continues it.
        var isOpen = true
    }

    private struct State {
        var blocks: [Block] = []
        var indices: [UInt64: Int] = [:]
        var current = -1
        var next: UInt64 = 0
    }

    /// Most blocks that are counted: later ones are left out.
    private static let capacity = 1 << 20
    private nonisolated(unsafe) static let runs: UnsafeMutablePointer<UInt64>? = HostMemory.map(capacity * 8, PROT_READ | PROT_WRITE, reserve: false)?
        .bindMemory(to: UInt64.self, capacity: capacity)
    private static let helper = HelperTable.register { _, index, _, _ in
        if let runs = BlockCounters.runs, index < UInt64(BlockCounters.capacity) { apus_atomic_add_u64(runs + Int(index), 1) }
        return 0
    }

    private let state = Locked(State())

    public init() { _ = Self.helper }

    public func willTranslate(_ site: InstructionSite) -> Bool {
        let new: Int? = state.withLock { state in
            let continues = !site.isFirst && state.current >= 0 && state.blocks[state.current].isOpen && state.next == site.pc
            if continues { return nil }
            if let known = state.indices[site.pc] {
                state.current = known
                state.blocks[known].bytes = 0
                state.blocks[known].instructions = 0
                state.blocks[known].isOpen = true
                return known
            }
            guard state.blocks.count < Self.capacity else {
                state.current = -1
                return nil
            }
            state.current = state.blocks.count
            state.indices[site.pc] = state.current
            state.blocks.append(Block(start: site.pc))
            return state.current
        }
        if let new { _ = site.builder.helper(Self.helper, [.readsState, .writesState], site.builder.constant(UInt64(new))) }
        return true
    }

    public func didTranslate(_ site: InstructionSite, _ instruction: TranslatedInstruction) -> Bool {
        var endsBlock = instruction.flow != .next
        for index in instruction.ops where site.builder.arena.pointee.ops[index].code == .branch { endsBlock = true }
        state.withLock { state in
            guard state.current >= 0 else { return }
            state.blocks[state.current].bytes &+= instruction.length
            state.blocks[state.current].instructions &+= 1
            state.next = site.pc &+ UInt64(truncatingIfNeeded: instruction.length)
            if endsBlock { state.blocks[state.current].isOpen = false }
        }
        return false
    }

    /// The blocks that have run.
    public func counted() -> [CountedBlock] {
        guard let runs = Self.runs else { return [] }
        return state.withLock { state in
            state.blocks.enumerated().compactMap { index, block in
                let count = apus_atomic_load_u64(runs + index)
                return count == 0 ? nil : CountedBlock(start: block.start, bytes: block.bytes, instructions: block.instructions, runs: count)
            }
        }
    }

    /// In a forked child: nothing has run yet.
    public func reset() {
        guard let runs = Self.runs else { return }
        let count = state.withLock { $0.blocks.count }
        for index in 0 ..< count { runs[index] = 0 }
    }

    /// Brackets a fork.
    public func willFork() { state.lock() }
    public func didFork() { state.unlock() }
}
