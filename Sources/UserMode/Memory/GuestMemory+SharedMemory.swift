import CHost
import Glibc
import Translation

// shmat(2) and shmdt(2): System V segments in the guest's address space.
extension GuestMemory {
    /// The guest address where segment `id` was attached, or a negated errno.
    public func attach(_ id: Int32, _ address: UInt64, _ flags: Int32) -> Int64 {
        let round: Int32 = 0o20000, remap: Int32 = 0o40000, readOnly: Int32 = 0o10000, execute: Int32 = 0o100000
        var information = shmid_ds()
        guard shmctl(id, IPC_STAT, &information) == 0 else { return -Int64(errno) }
        guard let size = Self.wholePages(UInt64(information.shm_segsz)), size > 0 else { return -Int64(EINVAL) }
        var wanted = address
        if wanted != 0, !Self.isPageAligned(wanted) {
            guard flags & round != 0 else { return -Int64(EINVAL) }
            wanted &= ~(Self.page &- 1)
        }
        if wanted == 0, flags & remap != 0 { return -Int64(EINVAL) }
        guard wanted == 0 || contains(wanted, size) else { return -Int64(EINVAL) }
        var lostCode: (any Engine)?
        let result: Int64 = state.withLock { state in
            if wanted == 0 {
                guard let chosen = choose(state, hint: 0, size: size, alignment: Self.page) else { return -Int64(ENOMEM) }
                wanted = chosen
            } else if !state.map.isFree(wanted, wanted &+ size) {
                guard flags & remap != 0, !state.map.contains(wanted, wanted &+ size, where: { $0.kind == .foreign }) else {
                    return -Int64(EINVAL)
                }
                if state.map.contains(wanted, wanted &+ size, where: \.isExecutable) { lostCode = state.engine }
            }
            let host = apus_syscall(Int(SYS_shmat), Int(id), Int(truncatingIfNeeded: wanted &+ base),
                                    Int(flags & ~(execute | round)), 0, 0, 0)
            if host < 0 && host > -4096 { return Int64(host) }
            let protection = PROT_READ | (flags & readOnly == 0 ? PROT_WRITE : 0) | (flags & execute != 0 ? PROT_EXEC : 0)
            state.map.insert(Region(start: wanted, end: wanted &+ size, protection: protection, kind: .sharedMemory, shared: true))
            state.attached[wanted] = size
            return Int64(bitPattern: wanted)
        }
        if result >= 0 { lostCode?.invalidate(wanted..<wanted &+ size) }
        return result
    }

    public func detach(_ address: UInt64) -> Int64 {
        guard address < layout.limit else { return -Int64(EINVAL) }
        var lostCode: (any Engine)?
        var size: UInt64 = 0
        let result: Int64 = state.withLock { state in
            guard let attached = state.attached[address] else { return -Int64(EINVAL) }
            let host = apus_syscall(Int(SYS_shmdt), Int(truncatingIfNeeded: address &+ base), 0, 0, 0, 0, 0)
            guard host == 0 else { return Int64(host) }
            state.attached[address] = nil
            size = attached
            if state.map.contains(address, address &+ size, where: \.isExecutable) { lostCode = state.engine }
            // Parts that the guest has since covered with other mappings stay.
            for piece in state.map.pieces(address, address &+ size) where piece.kind == .sharedMemory {
                state.map.remove(piece.start, piece.end)
            }
            return 0
        }
        if result == 0 { lostCode?.invalidate(address..<address &+ size) }
        return result
    }
}
