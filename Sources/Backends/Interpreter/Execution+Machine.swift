// Memory ops in machines: on host memory where the vCPU's `SoftMMU` finds some, else by its own accesses, which reach
// devices and cross pages.
import CHost
import Core
import IR
import Translation

extension Execution {
    func load(_ mmu: SoftMMU, _ address: UInt64, _ access: MemoryAccess, _ type: ValueType, _ out: UnsafeMutablePointer<UInt64>) -> Bool {
        if access.bytes > 8 {
            guard let low = mmu.load(address, bytes: 8, mmuIndex: access.mmuIndex),
                  let high = mmu.load(address &+ 8, bytes: 8, mmuIndex: access.mmuIndex) else { return recorded() }
            out[0] = low
            out[1] = high
            return true
        }
        guard let raw = mmu.load(address, bytes: access.bytes, mmuIndex: access.mmuIndex) else { return recorded() }
        if access.atomic { order() }
        out[0] = converted(raw, access, type)
        return true
    }

    func store(_ mmu: SoftMMU, _ address: UInt64, _ access: MemoryAccess, _ value: UnsafeMutablePointer<UInt64>) -> Bool {
        if access.atomic { order() }
        guard access.bytes > 8 else {
            return mmu.store(address, memoryImage(value[0], access), bytes: access.bytes, mmuIndex: access.mmuIndex) || recorded()
        }
        // Nothing is stored unless everything can be.
        for end in [address, address &+ 15] {
            if case .fault = mmu.host(end, .store, bytes: 1, mmuIndex: access.mmuIndex) { return recorded() }
        }
        guard mmu.store(address, value[0], bytes: 8, mmuIndex: access.mmuIndex),
              mmu.store(address &+ 8, value[1], bytes: 8, mmuIndex: access.mmuIndex) else { return recorded() }
        return true
    }

    /// Replaces memory by what `change` makes of it, in one atomic step if it is RAM; nil leaves it as it is, but the right to
    /// write is needed all the same. `out` becomes the old value.
    /// - Parameter reads: false: what it finds is not the guest's to see.
    func update(_ mmu: SoftMMU, _ address: UInt64, _ access: MemoryAccess, _ type: ValueType, _ out: UnsafeMutablePointer<UInt64>, reads: Bool = true,
                _ change: (UInt64) -> UInt64?) -> Bool {
        let bytes = access.bytes
        mmu.isUpdate = reads
        defer { mmu.isUpdate = false }
        switch mmu.host(address, .store, bytes: bytes, mmuIndex: access.mmuIndex) {
        case .fault: return recorded()
        case .memory(let host):
            var failed: Int32 = 0
            var old = apus_guarded_load(host, Int32(truncatingIfNeeded: bytes), &failed)
            while true {
                let seen = old, new = change(memoryImage(seen, access)).map { memoryImage($0, access) } ?? seen
                // The memory of a machine is always there.
                guard apus_guarded_cas(host, &old, new, Int32(truncatingIfNeeded: bytes)) == 0, old != seen else { break }
            }
            if mmu.watched != nil { mmu.didStore(bytes: bytes) }
            out[0] = converted(old, access, type)
            return true
        case .other:
            // Devices have no atomic accesses; a failure is that of a store.
            guard let old = mmu.load(address, bytes: bytes, mmuIndex: access.mmuIndex) else {
                mmu.guest.recordBusError(address, .store, mmuIndex: access.mmuIndex, of: mmu.vcpu)
                return recorded()
            }
            if let new = change(memoryImage(old, access)) {
                guard mmu.store(address, memoryImage(new, access), bytes: bytes, mmuIndex: access.mmuIndex) else { return recorded() }
            }
            out[0] = converted(old, access, type)
            return true
        }
    }

    /// The exception is recorded already.
    private func recorded() -> Bool {
        state.storeBytes(of: UInt32(ExitReason.memoryFault.rawValue), toByteOffset: Int(StateHeader.exitReason), as: UInt32.self)
        return false
    }
}
