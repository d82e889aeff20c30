import CHost
import Glibc
import Host
import Translation

/// Signals that find the host program counter in translated code.
///
/// Everything here runs in signal handlers: raw memory only. `spaces` entries are complete before their region is
/// registered with `HostFaults` and never change their addresses.
///
/// An asynchronous signal stops a vCPU at the next guest instruction boundary by single-stepping the host (the trap
/// flag): translated code pays nothing for being interruptible. At a boundary all guest state is in its homes.
enum FaultRecovery {
    struct Space: BitwiseCopyable {
        var base: UInt
        var size: UInt
        var trampolines: Trampolines
        var halves: UnsafeMutablePointer<BlockTable>
    }

    static let capacity = 16
    nonisolated(unsafe) static let spaces = UnsafeMutablePointer<Space>.allocate(capacity: capacity)
    nonisolated(unsafe) static let count: UnsafeMutablePointer<Int> = {
        let count = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        count.initialize(to: 0)
        return count
    }()

    static let trapFlag: UInt64 = 0x100

    /// An entry whose addresses the new space takes belonged to an engine that is gone, and is replaced.
    static func register(_ space: Space) -> Bool {
        let gone = (0 ..< count.pointee).first { spaces[$0].base < space.base &+ space.size && space.base < spaces[$0].base &+ spaces[$0].size }
        if let gone {
            spaces[gone] = space
        } else {
            guard count.pointee < capacity else { return false }
            (spaces + count.pointee).initialize(to: space)
            count.pointee += 1
        }
        guard let base = UnsafeRawPointer(bitPattern: space.base) else { return false }
        HostFaults.registerCode(base: base, size: Int(space.size), fault: { signal, info, context in
            FaultRecovery.fault(signal, info, context)
        }, interrupt: { _, _, context in
            FaultRecovery.interrupt(context)
        })
        return true
    }

    private static func space(of pc: UInt) -> UnsafeMutablePointer<Space>? {
        // The first that matches: `register` replaces the first of an engine that is gone; later ones may be stale too.
        for index in 0 ..< count.pointee where pc &- spaces[index].base < spaces[index].size { return spaces + index }
        return nil
    }

    /// The block and the last guest instruction boundary at or before host address `pc`.
    private static func locate(_ space: UnsafeMutablePointer<Space>, _ pc: UInt) -> (guestPC: UInt64, isBoundary: Bool)? {
        locate(space.pointee.halves, UInt32(truncatingIfNeeded: pc &- space.pointee.base))
    }

    /// The guest instruction whose code is at `offset` of the code buffer.
    static func guestAddress(_ halves: UnsafeMutablePointer<BlockTable>, _ offset: UInt) -> UInt64? {
        locate(halves, UInt32(truncatingIfNeeded: offset))?.guestPC
    }

    private static func locate(_ halves: UnsafeMutablePointer<BlockTable>, _ offset: UInt32) -> (guestPC: UInt64, isBoundary: Bool)? {
        for half in 0 ..< 2 {
            let table = halves + half
            guard let block = BlockTable.block(containing: offset, table.pointee.blocks.base, table.pointee.blocks.count) else { continue }
            let inside = offset &- block.pointee.hostStart
            let boundaries = block.pointee.boundaries, words = table.pointee.boundaryWords.base
            var low = 0, high = Int(boundaries.count)
            while low < high {
                let middle = (low &+ high) &>> 1
                if boundaries.offset(middle, words) <= inside { low = middle &+ 1 } else { high = middle }
            }
            guard low > 0 else { return nil }
            let guestPC = block.pointee.pc &+ UInt64(bitPattern: boundaries.pcDelta(low &- 1, words))
            return (guestPC, boundaries.offset(low &- 1, words) == inside)
        }
        return nil
    }

    private static func fault(_ signal: Int32, _ info: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer) -> Bool {
        let pc = UInt(apus_uc_pc(context))
        guard let state = apus_thread_get(1) else { return false }
        guard let space = space(of: pc) else {
            // Single-stepping left translated code: it is over.
            guard signal == SIGTRAP, apus_uc_flags(context) & trapFlag != 0 else { return false }
            apus_uc_set_flags(context, apus_uc_flags(context) & ~trapFlag)
            return true
        }
        if signal == SIGTRAP {
            step(space, pc, state, context)
            return true
        }
        guard signal == SIGSEGV || signal == SIGBUS else { return false }
        let address = apus_si_address(info)
        let top = state.load(fromByteOffset: Int(BackendState.shadowTop), as: UInt64.self)
        if address &- (top &- UInt64(ShadowStack.bytes) &- UInt64(ShadowStack.guardBytes)) < UInt64(ShadowStack.guardBytes) {
            // The shadow stack is full: forget it; returns to the forgotten frames are looked up.
            apus_uc_set_gpr(context, 4, top)
            return true
        }
        guard let place = locate(space, pc) else { return false }
        state.storeBytes(of: place.guestPC, toByteOffset: Int(StateHeader.pc), as: UInt64.self)
        let base = state.load(fromByteOffset: Int(StateHeader.memoryBase), as: UInt64.self)
        let mask = state.load(fromByteOffset: Int(StateHeader.addressMask), as: UInt64.self)
        state.storeBytes(of: (address &- base) & mask, toByteOffset: Int(StateHeader.faultAddress), as: UInt64.self)
        state.storeBytes(of: signal, toByteOffset: Int(StateHeader.faultSignal), as: Int32.self)
        // x86 reports a non-canonical address as a protection fault without an address: nothing is mapped there.
        let code = apus_si_code(info) == 128 ? 1 : apus_si_code(info)
        state.storeBytes(of: code, toByteOffset: Int(StateHeader.faultCode), as: Int32.self)
        apus_uc_set_flags(context, apus_uc_flags(context) & ~trapFlag)
        apus_uc_set_pc(context, space.pointee.trampolines.faulted)
        return true
    }

    private static func interrupt(_ context: UnsafeMutableRawPointer) -> Bool {
        let pc = UInt(apus_uc_pc(context))
        guard let space = space(of: pc), let state = apus_thread_get(1) else { return false }
        step(space, pc, state, context)
        return true
    }

    /// Leaves at a boundary, or goes one host instruction on.
    private static func step(_ space: UnsafeMutablePointer<Space>, _ pc: UInt, _ state: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer) {
        let t = space.pointee.trampolines
        let address = UInt64(pc)
        let flags = apus_uc_flags(context)
        // On the way out already; or about to call the runtime, which checks for requests when it comes back.
        if address >= t.exit && address < t.exitEnd || address >= t.helper && address < t.helperCheck
            || address >= t.slowMemory && address < t.slowMemoryCheck || address >= t.slowFloat && address < t.slowFloatCheck || address >= t.slowLanes && address < t.slowLanesCheck {
            apus_uc_set_flags(context, flags & ~trapFlag)
            return
        }
        if let place = locate(space, pc), place.isBoundary {
            state.storeBytes(of: place.guestPC, toByteOffset: Int(StateHeader.pc), as: UInt64.self)
            apus_uc_set_pc(context, t.interrupted)
            apus_uc_set_flags(context, flags & ~trapFlag)
            return
        }
        apus_uc_set_flags(context, flags | trapFlag)
    }
}

/// The memory behind `rsp` while translated code runs: pairs of guest and host return address.
enum ShadowStack {
    static let bytes = 256 << 10
    static let guardBytes = 64 << 10
    /// Readable sentinels above the empty stack, which no return matches.
    static let headroom = 4096

    /// Maps one and returns its empty top; nil if there is no memory.
    static func allocate() -> UnsafeMutableRawPointer? {
        guard let base = HostMemory.map(guardBytes + bytes + headroom, PROT_READ | PROT_WRITE, reserve: false),
              HostMemory.protect(base, guardBytes, PROT_NONE) else { return nil }
        let top = base + guardBytes + bytes
        memset(top, 0xFF, 256)
        return top
    }

    static func deallocate(_ top: UnsafeMutableRawPointer) {
        HostMemory.unmap(top - bytes - guardBytes, guardBytes + bytes + headroom)
    }
}
