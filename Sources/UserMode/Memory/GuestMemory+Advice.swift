import CHost
import Glibc
import Translation

// madvise(2), msync(2), mlock(2), mincore(2): the host's own, kept inside the guest's part of the address space.
extension GuestMemory {
    public func madvise(_ address: UInt64, _ length: UInt64, _ advice: Int32) -> Int64 {
        let result = bounded(Int(SYS_madvise), address, length, Int(advice))
        // These discard private pages, code among them.
        let discards = [MADV_DONTNEED, 8 /* MADV_FREE */, 9 /* MADV_REMOVE */, 24 /* MADV_DONTNEED_LOCKED */]
        if discards.contains(advice), result == 0, let size = Self.wholePages(length), size > 0 {
            let engine = state.withLock { state in
                state.map.contains(address, address &+ size, where: \.isExecutable) ? state.engine : nil
            }
            engine?.invalidate(address..<address &+ size)
        }
        return result
    }

    public func msync(_ address: UInt64, _ length: UInt64, _ flags: Int32) -> Int64 {
        bounded(Int(SYS_msync), address, length, Int(flags))
    }

    public func mlock(_ address: UInt64, _ length: UInt64) -> Int64 { bounded(Int(SYS_mlock), pageStart(address), grown(address, length)) }

    public func mlock2(_ address: UInt64, _ length: UInt64, _ flags: Int32) -> Int64 {
        bounded(Int(SYS_mlock2), pageStart(address), grown(address, length), Int(flags))
    }

    public func munlock(_ address: UInt64, _ length: UInt64) -> Int64 {
        bounded(Int(SYS_munlock), pageStart(address), grown(address, length))
    }

    /// mseal(2): nothing may change the mappings of the range any more, on the host as for the guest.
    public func seal(_ address: UInt64, _ length: UInt64, _ flags: Int32) -> Int64 { bounded(462, address, length, Int(flags)) }

    /// - Parameter vector: guest address of the result, a byte a page.
    public func mincore(_ address: UInt64, _ length: UInt64, vector: UInt64) -> Int64 {
        guard Self.isPageAligned(address) else { return -Int64(EINVAL) }
        guard contains(vector, (length &+ 4095) / 4096) || length == 0 else { return -Int64(EFAULT) }
        return bounded(Int(SYS_mincore), address, length, Int(bitPattern: host(vector)))
    }

    private func pageStart(_ address: UInt64) -> UInt64 { address & ~(Self.page &- 1) }
    private func grown(_ address: UInt64, _ length: UInt64) -> UInt64 {
        length == 0 ? 0 : length.addingReportingOverflow(address & (Self.page &- 1)).partialValue
    }

    /// Calls the host for a range that must lie in the guest's part.
    private func bounded(_ number: Int, _ address: UInt64, _ length: UInt64, _ argument: Int = 0) -> Int64 {
        guard Self.isPageAligned(address) else { return -Int64(EINVAL) }
        // A range that wraps is no range to the first three, and an unmapped one to the others.
        let wraps = [Int(SYS_madvise), Int(SYS_mlock), Int(SYS_munlock)].contains(number) ? EINVAL : ENOMEM
        guard let size = Self.wholePages(length), !address.addingReportingOverflow(size).overflow else { return -Int64(wraps) }
        guard size == 0 || contains(address, size) else { return -Int64(ENOMEM) }
        guard size == 0 || !state.withLock({ $0.map.contains(address, address &+ size, where: { $0.kind == .foreign }) }) else {
            return -Int64(ENOMEM)
        }
        return Int64(apus_syscall(number, Int(bitPattern: host(address)), Int(truncatingIfNeeded: length), argument, 0, 0, 0))
    }
}
