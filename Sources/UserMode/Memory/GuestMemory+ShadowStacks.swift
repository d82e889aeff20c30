import Glibc

// Shadow stacks: pages that the program reads and that only the instructions for it write. The host maps them for reading, so
// that ordinary stores fault; a push opens its page for a moment, under the lock of the map.
extension GuestMemory {
    /// Maps a shadow stack of whole pages; its address or a negated errno.
    func mapShadowStack(_ address: UInt64, _ length: UInt64) -> Int64 {
        let fixed = address != 0 ? MAP_FIXED_NOREPLACE : 0
        return map(address, length, PROT_READ, Int32(MAP_PRIVATE | MAP_ANONYMOUS | fixed), -1, 0, kind: .shadowStack)
    }

    /// The word of `bytes` (4, sign-extended, or 8) at `address`; nil if that is not on a shadow stack, or misaligned.
    func loadShadow(_ address: UInt64, bytes: Int) -> UInt64? {
        let isShadow = state.withLock { $0.map.region(at: address)?.kind == .shadowStack }
        guard isShadow, address & UInt64(bytes &- 1) == 0 else { return nil }
        return bytes == 8 ? read(address, as: UInt64.self) : read(address, as: UInt32.self).map { UInt64(bitPattern: Int64(Int32(bitPattern: $0))) }
    }

    /// Stores the low `bytes` of `value`; false where `loadShadow` is nil.
    func storeShadow(_ address: UInt64, _ value: UInt64, bytes: Int) -> Bool { updateShadow(address, bytes: bytes) { _ in value } != nil }

    /// Replaces a word of a shadow stack in one step, as seen by other instructions of this kind: its old value, zero-extended.
    func updateShadow(_ address: UInt64, bytes: Int, _ compute: (UInt64) -> UInt64) -> UInt64? {
        guard address & UInt64(bytes &- 1) == 0 else { return nil }
        return state.withLock { state -> UInt64? in
            guard state.map.region(at: address)?.kind == .shadowStack else { return nil }
            let start = host(address & ~(Self.page &- 1)), size = Int(Self.page)
            guard Glibc.mprotect(start, size, PROT_READ | PROT_WRITE) == 0 else { return nil }
            defer { _ = Glibc.mprotect(start, size, PROT_READ) }
            if bytes == 8 {
                guard let old = read(address, as: UInt64.self), write(address, compute(old)) else { return nil }
                return old
            }
            guard let old = read(address, as: UInt32.self), write(address, UInt32(truncatingIfNeeded: compute(UInt64(old)))) else { return nil }
            return UInt64(old)
        }
    }
}
