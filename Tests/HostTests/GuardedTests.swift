import CHost
import Glibc
import Host
import Testing

/// Two pages, the second not accessible.
private func halfMapped() -> UnsafeMutableRawPointer? {
    let page = HostMemory.pageSize
    guard let base = HostMemory.map(2 * page, PROT_READ | PROT_WRITE) else { return nil }
    HostMemory.protect(base + page, page, PROT_NONE)
    return base
}

@Suite(.serialized) struct GuardedAccess {
    init() {
        HostFaults.prepareThread()
        HostFaults.install()
    }

    @Test func loadsAndStores() throws {
        let base = try #require(halfMapped())
        let page = HostMemory.pageSize
        for bytes in [1, 2, 4, 8] {
            let value: UInt64 = 0xfedc_ba98_7654_3210
            let mask = bytes == 8 ? ~0 : (UInt64(1) << UInt64(8 * bytes)) - 1
            var failed: Int32 = 5
            #expect(apus_guarded_store(base + page - bytes, value, Int32(bytes)) == 0)
            #expect(apus_guarded_load(base + page - bytes, Int32(bytes), &failed) == value & mask)
            #expect(failed == 0)
            #expect(apus_guarded_store(base + page - bytes + 1, value, Int32(bytes)) != 0)
            _ = apus_guarded_load(base + page - bytes + 1, Int32(bytes), &failed)
            #expect(failed == 1)
            let fault = apus_last_fault_get().pointee
            #expect(fault.address == UInt64(UInt(bitPattern: base + page)) || bytes == 1)
            #expect(fault.signal == SIGSEGV && fault.code == 2)
        }
        HostMemory.unmap(base, 2 * page)
    }

    @Test func copiesStopAtTheFault() throws {
        let base = try #require(halfMapped())
        let page = HostMemory.pageSize
        var buffer = [UInt8](repeating: 0, count: 256)
        for offset in [0, 1, 7, 63, 100, 200] {
            let copied = buffer.withUnsafeMutableBytes { apus_guarded_copy($0.baseAddress, base + page - offset, 200) }
            #expect(copied == min(offset, 200))
            let written = buffer.withUnsafeBytes { apus_guarded_copy(base + page - offset, $0.baseAddress, 200) }
            #expect(written == min(offset, 200))
        }
        #expect(apus_guarded_copy(nil, base, 8) == 0)
        HostMemory.unmap(base, 2 * page)
    }

    @Test func strings() throws {
        let base = try #require(halfMapped())
        let page = HostMemory.pageSize
        let start = (base + page - 6).assumingMemoryBound(to: CChar.self)
        for (i, c) in "hello".utf8CString.enumerated() { start[i] = c }
        #expect(apus_guarded_string(start, 100) == 5)
        #expect(apus_guarded_string(start, 3) == 3)
        start[5] = 65
        #expect(apus_guarded_string(start, 100) == Int(bitPattern: UInt.max))
        HostMemory.unmap(base, 2 * page)
    }

    @Test func atomics() throws {
        let base = try #require(halfMapped())
        let page = HostMemory.pageSize
        let cell = base.assumingMemoryBound(to: UInt64.self)
        for bytes in [1, 2, 4, 8] {
            let mask = bytes == 8 ? ~0 : (UInt64(1) << UInt64(8 * bytes)) - 1
            cell.pointee = 0x8182_8384_8586_8788
            var expected: UInt64 = 1
            #expect(apus_guarded_cas(base, &expected, 2, Int32(bytes)) == 0)
            #expect(expected == 0x8182_8384_8586_8788 & mask)
            #expect(apus_guarded_cas(base, &expected, 2, Int32(bytes)) == 0)
            #expect(expected == 0x8182_8384_8586_8788 & mask)
            #expect(cell.pointee == (0x8182_8384_8586_8788 & ~mask) | 2)
            let minusOne = mask, high = (mask >> 1) + 1
            // Old value, operand, expected results for swap, add, and, or, xor, minS, maxS, minU, maxU.
            let results: [UInt64] = [minusOne, (high &- 1) & mask, high, minusOne, high ^ minusOne, high, minusOne, high, minusOne]
            for (operation, result) in results.enumerated() {
                cell.pointee = high
                var old: UInt64 = 0
                #expect(apus_guarded_rmw(base, Int32(operation), minusOne, Int32(bytes), &old) == 0)
                #expect(old == high)
                #expect(cell.pointee == result, "operation \(operation) of \(bytes) bytes")
            }
            #expect(apus_guarded_cas(base + page, &expected, 2, Int32(bytes)) != 0)
            var old: UInt64 = 0
            #expect(apus_guarded_rmw(base + page, 1, 1, Int32(bytes), &old) != 0)
        }
        HostMemory.unmap(base, 2 * page)
    }

    @Test func doubleMapping() throws {
        let mapping = try #require(DoubleMapping(size: 1 << 20))
        mapping.writable.storeBytes(of: 0xc3, as: UInt8.self)
        #expect(mapping.executable.load(as: UInt8.self) == 0xc3)
        #expect(apus_guarded_store(mapping.executable, 1, 1) != 0)
        #expect(mapping.separate(keeping: [0 ..< 4096]))
        #expect(mapping.executable.load(as: UInt8.self) == 0xc3)
        mapping.writable.storeBytes(of: 0x90, as: UInt8.self)
        #expect(mapping.executable.load(as: UInt8.self) == 0x90)
    }

    @Test func safeSystemCalls() {
        var pending: Int32 = 1
        #expect(apus_safe_syscall(&pending, 39, 0, 0, 0, 0, 0, 0) == -513)
        pending = 0
        #expect(apus_safe_syscall(&pending, 39, 0, 0, 0, 0, 0, 0) == Int(getpid()))
        #expect(apus_safe_syscall(&pending, 3, -1, 0, 0, 0, 0, 0) == -Int(EBADF))
    }
}
