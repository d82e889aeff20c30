// "Physical Memory Protection": the check against a plain reading of the manual, over random entries. What is remembered of earlier
// checks must never show.

import Testing
import Translation
import RISCV

@Suite struct PhysicalMemoryProtectionTests {
    /// The range of entry `index`, last byte included, from its registers.
    private func range(_ pmp: PhysicalMemoryProtection, _ index: Int) -> ClosedRange<UInt64>? {
        let address = pmp.addresses[index]
        switch pmp.configurations[index] >> 3 & 3 {
        case 1:
            let low = index == 0 ? 0 : pmp.addresses[index - 1] * 4
            return address * 4 > low ? low ... address * 4 - 1 : nil
        case 2: return address * 4 ... address * 4 + 3
        case 3:
            var size: UInt64 = 8, bits = address
            while bits & 1 == 1 {
                bits >>= 1
                size *= 2
            }
            let low = address * 4 & ~(size - 1)
            return low ... low + (size - 1)
        default: return nil
        }
    }

    private func expected(_ pmp: PhysicalMemoryProtection, _ address: UInt64, _ bytes: Int, _ mode: PrivilegeMode) -> AccessRights {
        let access = address ... address + UInt64(bytes) - 1
        for index in 0 ..< 16 {
            guard let range = range(pmp, index), range.overlaps(access) else { continue }
            guard range.contains(access.lowerBound), range.contains(access.upperBound) else { return [] }
            let bits = pmp.configurations[index]
            return mode == .machine && bits & 0x80 == 0 ? [.load, .store, .fetch] : AccessRights(rawValue: bits & 7)
        }
        return mode == .machine ? [.load, .store, .fetch] : []
    }

    @Test(arguments: 0 ..< 60) func agreesWithTheManual(seed: Int) {
        var random = SystemRandomNumberGenerator()
        let pmp = PhysicalMemoryProtection(entries: 16)
        let base: UInt64 = 0x8000_0000
        for _ in 0 ..< 12 {
            for index in 0 ..< 16 where UInt8.random(in: 0 ..< 3, using: &random) == 0 {
                let napot = UInt64.random(in: 0 ..< 1 << 12, using: &random)
                let ones = (UInt64(1) << UInt64.random(in: 0 ..< 12, using: &random)) - 1
                pmp.setAddress(index, base / 4 + (napot & ~ones | ones >> 1))
                // Locks are rare: they would soon hold everything.
                pmp.setConfiguration(index, UInt8.random(in: 0 ..< 32, using: &random) | (UInt8.random(in: 0 ..< 40, using: &random) == 0 ? 0x80 : 0))
            }
            for _ in 0 ..< 400 {
                let bytes = 1 << Int.random(in: 0 ..< 4, using: &random)
                let address = (base - 0x1000 + UInt64.random(in: 0 ..< 0x6000, using: &random)) & ~UInt64(bytes - 1)
                let mode: PrivilegeMode = [.user, .supervisor, .machine][Int.random(in: 0 ..< 3, using: &random)]
                let (rights, isWhole) = pmp.rights(address, bytes: bytes, mode: mode)
                #expect(rights == expected(pmp, address, bytes, mode), "seed \(seed), \(String(address, radix: 16)), \(bytes) bytes, \(mode)")
                if isWhole {
                    let other = address & ~0xfff | UInt64.random(in: 0 ..< 0x1000, using: &random)
                    #expect(expected(pmp, other, 1, mode) == rights, "whole page of \(String(address, radix: 16)) at \(String(other, radix: 16))")
                }
                let size = UInt64(4096) << UInt64.random(in: 0 ..< 3, using: &random)
                if pmp.isUniform(address, size: size) {
                    let other = address & ~(size - 1) | UInt64.random(in: 0 ..< size, using: &random)
                    #expect(expected(pmp, other, 1, mode) == expected(pmp, address, 1, mode))
                }
            }
        }
    }
}
