import Glibc
import Host
import Testing
import UserMode

/// Pages of writable code are read-only on the host from the time their code is read until somebody stores there.
@Suite struct CodeWatchTests {
    private static let page = AddressLayout.page
    private static let all = PROT_READ | PROT_WRITE | PROT_EXEC

    private func memory(at address: UInt64) -> GuestMemory {
        HostFaults.install()
        let memory = GuestMemory(layout: AddressLayout(wordSize: 8, hostLimit: AddressLayout.hostLimit(), reserved: 0, stackSize: 8 << 20, random: 0))
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
        #expect(memory.mmap(address, 4 * Self.page, Self.all, flags, -1, 0) == Int64(address))
        return memory
    }

    private func read(_ memory: GuestMemory, _ address: UInt64) {
        var buffer: UInt64 = 0
        _ = withUnsafeMutableBytes(of: &buffer) { bytes in bytes.baseAddress.map { memory.readCode(at: address, into: $0, count: 8) } }
    }

    @Test func storesOpenAPage() {
        let at: UInt64 = 0x1100_0000_0000, memory = memory(at: at)
        #expect(!memory.liftAllWatches())
        read(memory, at)
        read(memory, at &+ Self.page &- 4)
        // Two pages were read; a store by Apus opens both.
        #expect(memory.write(at, UInt32(1)))
        #expect(!memory.liftAllWatches())
        read(memory, at)
        #expect(memory.liftWatch(at: at &+ 100, store: 1))
        #expect(!memory.liftAllWatches())
        // Elsewhere a fault is the guest's own.
        #expect(!memory.liftWatch(at: at &- Self.page, store: 1))
        #expect(memory.munmap(at, 4 * Self.page) == 0)
    }

    @Test func fencedPagesAreLeftAlone() {
        let at: UInt64 = 0x1200_0000_0000, memory = memory(at: at)
        read(memory, at)
        memory.codeWasFenced(at ..< at &+ 8)
        read(memory, at)
        #expect(!memory.liftAllWatches())
        read(memory, at &+ Self.page)
        #expect(memory.liftAllWatches())
        memory.codeWasFenced(0 ..< UInt64.max)
        read(memory, at &+ 2 * Self.page)
        #expect(!memory.liftAllWatches())
        #expect(memory.munmap(at, 4 * Self.page) == 0)
    }

    @Test func aStoreThatFaultsAgainAndAgainWins() {
        let at: UInt64 = 0x1300_0000_0000, memory = memory(at: at)
        for _ in 0 ..< 8 {
            read(memory, at)
            _ = memory.liftWatch(at: at, store: 7)
        }
        read(memory, at)
        #expect(!memory.liftAllWatches())
        #expect(memory.munmap(at, 4 * Self.page) == 0)
    }

    @Test func pagesThatMoveAreOpened() {
        let at: UInt64 = 0x1400_0000_0000, memory = memory(at: at)
        read(memory, at)
        let target = at &+ 16 * Self.page
        #expect(memory.mremap(at, Self.page, Self.page, 3, target) == Int64(target))
        #expect(!memory.liftAllWatches())
        #expect(memory.write(target, UInt32(1)))
        // New permissions and new mappings end a watch as well.
        read(memory, target)
        #expect(memory.mprotect(target, Self.page, Self.all) == 0)
        #expect(!memory.liftAllWatches())
        #expect(memory.write(target, UInt32(1)))
        #expect(memory.munmap(at, 32 * Self.page) == 0)
    }
}
