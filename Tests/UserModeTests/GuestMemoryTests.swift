import Glibc
import Host
import Testing
import UserMode

@Suite(.serialized) struct GuestMemoryTests {
    private static let anonymous = MAP_PRIVATE | MAP_ANONYMOUS
    private static let page: UInt64 = 4096
    private static let everything = PROT_READ | PROT_WRITE

    /// A space far from other tests' ones, so that suites may run side by side.
    private func makeMemory() -> GuestMemory {
        HostFaults.install()
        return GuestMemory(layout: AddressLayout(wordSize: 8, hostLimit: AddressLayout.hostLimit(), reserved: 0, stackSize: 8 << 20, random: 0))
    }
    private static let area: UInt64 = 0x1000_0000_0000

    @Test func mapsWhereAsked() {
        let memory = makeMemory()
        let at = Self.area
        #expect(memory.mmap(at, 3 * Self.page, Self.everything, Self.anonymous | MAP_FIXED, -1, 0) == Int64(at))
        #expect(memory.write(at &+ 8, UInt64(77)))
        #expect(memory.read(at &+ 8, as: UInt64.self) == 77)
        #expect(memory.mmap(at, Self.page, Self.everything, Self.anonymous | Int32(MAP_FIXED_NOREPLACE), -1, 0) == -Int64(EEXIST))
        // A taken hint is only a hint.
        let other = memory.mmap(at, Self.page, Self.everything, Self.anonymous, -1, 0)
        #expect(other > 0 && UInt64(other) != at && UInt64(other) < memory.layout.mapTop)
        #expect(memory.munmap(UInt64(other), Self.page) == 0)
        // Replacing clears.
        #expect(memory.mmap(at, Self.page, Self.everything, Self.anonymous | MAP_FIXED, -1, 0) == Int64(at))
        #expect(memory.read(at &+ 8, as: UInt64.self) == 0)
        #expect(memory.munmap(at, 3 * Self.page) == 0)
        #expect(memory.read(at &+ 8, as: UInt64.self) == nil)
        #expect(memory.munmap(at, 3 * Self.page) == 0)
    }

    @Test func refusesAsTheKernelDoes() {
        let memory = makeMemory()
        let limit = memory.layout.limit
        #expect(memory.mmap(0, 0, 3, Self.anonymous, -1, 0) == -Int64(EINVAL))
        #expect(memory.mmap(1, Self.page, 3, Self.anonymous | MAP_FIXED, -1, 0) == -Int64(EINVAL))
        #expect(memory.mmap(0, ~0, 3, Self.anonymous, -1, 0) == -Int64(ENOMEM))
        #expect(memory.mmap(0, Self.page, 3, MAP_PRIVATE, -1, 0) == -Int64(EBADF))
        #expect(memory.mmap(0, Self.page, 3, MAP_PRIVATE, 0, 1) == -Int64(EINVAL))
        #expect(memory.mmap(limit, Self.page, 3, Self.anonymous | MAP_FIXED, -1, 0) == -Int64(ENOMEM))
        #expect(memory.mmap(limit &- Self.page, 2 &* Self.page, 3, Self.anonymous | MAP_FIXED, -1, 0) == -Int64(ENOMEM))
        #expect(memory.munmap(limit, Self.page) == -Int64(EINVAL))
        #expect(memory.munmap(1, Self.page) == -Int64(EINVAL))
        #expect(memory.munmap(Self.page, 0) == -Int64(EINVAL))
        #expect(memory.munmap(Self.page, ~0) == -Int64(EINVAL))
        #expect(memory.mprotect(Self.area, Self.page, 1) == -Int64(ENOMEM))
        #expect(memory.mprotect(limit, Self.page, 1) == -Int64(ENOMEM))
        #expect(memory.mprotect(1, Self.page, 1) == -Int64(EINVAL))
        #expect(memory.mprotect(Self.area, Self.page, 64) == -Int64(EINVAL))
        #expect(memory.mremap(Self.area, Self.page, Self.page, 0, 0) == -Int64(EFAULT))
        #expect(memory.madvise(limit, Self.page, MADV_DONTNEED) == -Int64(ENOMEM))
        #expect(memory.madvise(Self.area, ~0, MADV_DONTNEED) == -Int64(EINVAL))
        // Apus's own memory is out of reach by any call.
        var own: UInt64 = 0
        withUnsafePointer(to: &own) { pointer in
            let address = UInt64(UInt(bitPattern: pointer))
            #expect(memory.read(address, as: UInt64.self) == nil)
            #expect(!memory.write(address, UInt64(1)))
            #expect(memory.munmap(address & ~4095, Self.page) == -Int64(EINVAL))
        }
    }

    @Test func protectionsAreKept() {
        let memory = makeMemory()
        let at = Self.area
        #expect(memory.mmap(at, 4 * Self.page, PROT_READ | PROT_EXEC, Self.anonymous | MAP_FIXED, -1, 0) == Int64(at))
        #expect(memory.isExecutable(at) && !memory.isWritable(at))
        var buffer = [UInt8](repeating: 1, count: 16384)
        #expect(memory.readCode(at: at &+ 100, into: &buffer, count: 16384) == 16284)
        #expect(memory.mprotect(at &+ 2 &* Self.page, Self.page, Self.everything) == 0)
        #expect(memory.readCode(at: at, into: &buffer, count: 16384) == 8192)
        #expect(memory.readCode(at: at &+ 2 &* Self.page, into: &buffer, count: 8) == 0)
        #expect(memory.isWritable(at &+ 2 &* Self.page))
        // Execute without read is fetchable; the hole beyond is ENOMEM, after what could be changed was.
        #expect(memory.mprotect(at &+ 3 &* Self.page, 2 &* Self.page, PROT_EXEC) == -Int64(ENOMEM))
        #expect(memory.readCode(at: at &+ 3 &* Self.page, into: &buffer, count: 8) == 8)
        #expect(memory.readCode(at: memory.layout.limit, into: &buffer, count: 8) == 0)
        #expect(memory.readCode(at: ~0, into: &buffer, count: 8) == 0)
        #expect(memory.munmap(at, 4 * Self.page) == 0)
        // Code in shared memory may change through another mapping.
        #expect(memory.mmap(at, Self.page, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == Int64(at))
        #expect(memory.isWritable(at))
        #expect(memory.munmap(at, Self.page) == 0)
    }

    @Test func remapsInPlaceAndElsewhere() {
        let memory = makeMemory()
        let at = Self.area
        #expect(memory.mmap(at, 2 * Self.page, Self.everything, Self.anonymous | MAP_FIXED, -1, 0) == Int64(at))
        #expect(memory.write(at, UInt32(11)))
        #expect(memory.mremap(at, 2 * Self.page, 4 * Self.page, 0, 0) == Int64(at))
        #expect(memory.write(at &+ 3 &* Self.page, UInt32(12)))
        #expect(memory.mremap(at, 4 * Self.page, Self.page, 0, 0) == Int64(at))
        #expect(memory.read(at &+ Self.page, as: UInt32.self) == nil)
        // Something in the way: only a move helps.
        #expect(memory.mmap(at &+ Self.page, Self.page, Self.everything, Self.anonymous | MAP_FIXED, -1, 0) == Int64(at &+ Self.page))
        #expect(memory.mremap(at, Self.page, 2 * Self.page, 0, 0) == -Int64(ENOMEM))
        let moved = memory.mremap(at, Self.page, 2 * Self.page, 1, 0)
        #expect(moved > 0 && UInt64(moved) < memory.layout.limit)
        #expect(memory.read(UInt64(moved), as: UInt32.self) == 11)
        #expect(!memory.isMapped(at))
        let fixed = at &+ 16 &* Self.page
        #expect(memory.mremap(UInt64(moved), 2 * Self.page, Self.page, 3, fixed) == Int64(fixed))
        #expect(memory.read(fixed, as: UInt32.self) == 11)
        #expect(memory.mremap(fixed, Self.page, Self.page, 3, memory.layout.limit) == -Int64(EINVAL))
        #expect(memory.mremap(fixed, Self.page, Self.page, 3, fixed) == -Int64(EINVAL))
        #expect(memory.regions().filter { $0.start >= at && $0.start < at &+ 0x10_0000 }.count == 2)
        #expect(memory.munmap(at, 32 * Self.page) == 0)
    }

    @Test func theBreakGrowsShrinksAndCollides() {
        let memory = makeMemory()
        let start = Self.area
        memory.setBreak(start: start)
        #expect(memory.brk(0) == Int64(start))
        #expect(memory.brk(start &+ 10) == Int64(start &+ 10))
        #expect(memory.write(start, UInt8(9)))
        #expect(memory.brk(start &+ 100_000) == Int64(start &+ 100_000))
        #expect(memory.write(start &+ 99_999, UInt8(9)))
        #expect(memory.brk(start &- 1) == Int64(start &+ 100_000))
        #expect(memory.mmap(start &+ 0x10_0000, Self.page, 0, Self.anonymous | MAP_FIXED, -1, 0) > 0)
        #expect(memory.brk(start &+ 0x10_0000) == Int64(start &+ 100_000))
        #expect(memory.brk(~0) == Int64(start &+ 100_000))
        #expect(memory.brk(start) == Int64(start))
        #expect(memory.read(start, as: UInt8.self) == nil)
        #expect(memory.munmap(start, 0x20_0000) == 0)
    }

    /// Random calls: the map must stay what the host kernel says in /proc/self/maps.
    @Test func agreesWithTheHostKernel() throws {
        let memory = makeMemory()
        let area = Self.area
        var random = RandomNumbers(3)
        let pages: UInt64 = 48
        for _ in 0..<1500 {
            let at = area &+ UInt64.random(in: 0..<pages, using: &random) &* Self.page
            let size = UInt64.random(in: 1...12, using: &random) &* Self.page
            let protection = Int32.random(in: 0...3, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1: _ = memory.mmap(at, size, protection, Self.anonymous | MAP_FIXED, -1, 0)
            case 2: _ = memory.munmap(at, size)
            case 3: _ = memory.mprotect(at, size, protection)
            case 4: _ = memory.mremap(at, size, UInt64.random(in: 1...12, using: &random) &* Self.page, 0, 0)
            default:
                let target = area &+ UInt64.random(in: 0..<pages, using: &random) &* Self.page
                _ = memory.mremap(at, size, size, 3, target)
            }
        }
        func byPage(_ ranges: [(UInt64, UInt64, Int32)]) -> [UInt64: Int32] {
            var table: [UInt64: Int32] = [:]
            for (start, end, protection) in ranges where start >= area && start < area &+ 0x10_0000 {
                var at = start
                while at < end {
                    table[at] = protection
                    at &+= Self.page
                }
            }
            return table
        }
        let mine = byPage(memory.regions().map { ($0.start, $0.end, $0.protection & 3) })
        #expect(mine == byPage(try hostMaps()))
        #expect(memory.munmap(area, 0x10_0000) == 0)
    }

    private func hostMaps() throws -> [(UInt64, UInt64, Int32)] {
        let file = try #require(fopen("/proc/self/maps", "r"))
        defer { fclose(file) }
        var result: [(UInt64, UInt64, Int32)] = []
        var line = [CChar](repeating: 0, count: 4096)
        while fgets(&line, 4096, file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let words = text.split(separator: " ")
            let ends = words[0].split(separator: "-").compactMap { UInt64($0, radix: 16) }
            let flags = Array(words[1].utf8)
            result.append((ends[0], ends[1], (flags[0] == UInt8(ascii: "r") ? PROT_READ : 0) | (flags[1] == UInt8(ascii: "w") ? PROT_WRITE : 0)))
        }
        return result
    }
}
