import Testing
import UserMode

/// Computed layouts against what C compilers make of the same structures.
@Suite struct StructLayoutTests {
    private static let riscv64 = GuestShape(DataModel(wordSize: 8, bigEndian: false), .generic)
    private static let amd64 = GuestShape(DataModel(wordSize: 8, bigEndian: false), .x86)
    private static let i386 = GuestShape(DataModel(wordSize: 4, bigEndian: false, int64Alignment: 4), .x86)
    private static let arm = GuestShape(DataModel(wordSize: 4, bigEndian: false), .arm)
    private static let big32 = GuestShape(DataModel(wordSize: 4, bigEndian: true), .generic)

    /// Structure, field (empty: its size), and the number on riscv64 and amd64, by gcc 12 with glibc 2.36.
    private static let known: [(StructLayout, String, Int, Int)] = [
        (.stat, "", 128, 144),
        (.stat, "st_ino", 8, 8),
        (.stat, "st_mode", 16, 24),
        (.stat, "st_nlink", 20, 16),
        (.stat, "st_uid", 24, 28),
        (.stat, "st_rdev", 32, 40),
        (.stat, "st_size", 48, 48),
        (.stat, "st_blksize", 56, 56),
        (.stat, "st_blocks", 64, 64),
        (.stat, "st_atime", 72, 72),
        (.stat, "st_mtime", 88, 88),
        (.stat, "st_ctime", 104, 104),
        (.statx, "", 256, 256),
        (.statx, "stx_ino", 32, 32),
        (.statx, "stx_mtime.tv_sec", 112, 112),
        (.statx, "stx_rdev_major", 128, 128),
        (.statx, "stx_mnt_id", 144, 144),
        (.statfs, "", 120, 120),
        (.statfs, "f_fsid[0]", 56, 56),
        (.statfs, "f_namelen", 64, 64),
        (.statfs, "f_flags", 80, 80),
        (.flock, "", 32, 32),
        (.flock, "l_start", 8, 8),
        (.flock, "l_pid", 24, 24),
        (.flock64, "", 32, 32),
        (.epollEvent, "", 16, 12),
        (.epollEvent, "data", 8, 4),
        (.semaphoreSet, "", 88, 104),
        (.semaphoreSet, "sem_otime", 48, 48),
        (.semaphoreSet, "sem_ctime", 56, 64),
        (.semaphoreSet, "sem_nsems", 64, 80),
        (.sharedMemory, "", 112, 112),
        (.sharedMemory, "shm_atime", 56, 56),
        (.sharedMemory, "shm_cpid", 80, 80),
        (.sharedMemory, "shm_nattch", 88, 88),
        (.messageQueue, "", 120, 120),
        (.messageQueue, "msg_stime", 48, 48),
        (.messageQueue, "msg_qnum", 80, 80),
        (.messageQueue, "msg_lrpid", 100, 100),
        (.resourceUsage, "", 144, 144),
        (.systemInformation, "", 112, 112),
        (.systemInformation, "procs", 80, 80),
        (.systemInformation, "mem_unit", 104, 104),
        (.messageHeader, "", 56, 56),
        (.messageHeader, "msg_control", 32, 32),
        (.messageHeader, "msg_flags", 48, 48),
        (.multipleMessageHeader, "", 64, 64),
        (.timex, "", 208, 208),
        (.timex, "time.tv_sec", 72, 72),
        (.timex, "tai", 160, 160),
        (.timex, "shift", 112, 112),
        (.itimerval, "", 32, 32),
        (.sigevent, "", 64, 64),
        (.kernelNames, "", 390, 390),
        (.queueAttributes, "", 64, 64),
        (.terminal2, "", 44, 44),
        (.terminal2, "c_ispeed", 36, 36),
        (.terminal, "", 36, 36),
        (.iovec, "", 16, 16),
        (.controlHeader, "", 16, 16),
        (.timespec, "", 16, 16),
        (.resourceLimit, "", 16, 16),
    ]

    private func offset(_ layout: ComputedLayout, _ field: String) -> Int? {
        field.isEmpty ? layout.size : layout.leaf(field)?.offset
    }

    @Test func offsetsOf64BitGuests() {
        var wrong: [String] = []
        for (layout, field, riscv, amd) in Self.known {
            let a = offset(layout.computed(for: Self.riscv64), field), b = offset(layout.computed(for: Self.amd64), field)
            if a != riscv || b != amd {
                wrong.append("\(layout.name).\(field): \(String(describing: a)) \(String(describing: b)) for \(riscv) \(amd)")
            }
        }
        #expect(wrong == [])
    }

    @Test func offsetsOf32BitGuests() {
        // The alignment of 64-bit integers makes the difference between i386 and the others.
        #expect(StructLayout.flock64.computed(for: Self.i386).size == 24)
        #expect(StructLayout.flock64.computed(for: Self.arm).size == 32)
        #expect(StructLayout.timespec.computed(for: Self.arm).size == 8)
        #expect(StructLayout.timespec64.computed(for: Self.i386).size == 16)
        #expect(StructLayout.iovec.computed(for: Self.big32).size == 8)
        #expect(StructLayout.messageHeader.computed(for: Self.arm).size == 28)
        #expect(StructLayout.controlHeader.computed(for: Self.arm).size == 12)
        #expect(StructLayout.resourceUsage.computed(for: Self.arm).size == 72)
        #expect(StructLayout.epollEvent.computed(for: Self.arm).size == 16)
        #expect(StructLayout.epollEvent.computed(for: Self.i386).size == 12)
        #expect(StructLayout.statx.computed(for: Self.i386).size == 256)
        #expect(StructLayout.statx.computed(for: Self.big32).size == 256)
        #expect(StructLayout.sharedMemory.computed(for: Self.arm).leaf("shm_segsz")?.size == 4)
    }

    @Test func sameBytesPass() {
        #expect(StructLayout.timespec.conversions(Self.riscv64).identical)
        #expect(StructLayout.statx.conversions(Self.riscv64).identical)
        #expect(StructLayout.terminal.conversions(Self.riscv64).identical)
        #expect(!StructLayout.timespec.conversions(Self.big32).identical)
        if KernelFlavour.host == .x86 {
            #expect(!StructLayout.stat.conversions(Self.riscv64).identical)
            #expect(!StructLayout.epollEvent.conversions(Self.riscv64).identical)
            #expect(!StructLayout.semaphoreSet.conversions(Self.riscv64).identical)
        }
    }

    /// Host to guest and back gives the same fields, for values that fit both.
    @Test func conversionsRoundTrip() {
        let layouts: [StructLayout] = [
            .stat, .statx, .statfs, .flock, .epollEvent, .semaphoreSet, .sharedMemory, .messageQueue, .systemInformation,
            .timex, .itimerspec, .messageHeader, .terminal2, .resourceUsage,
        ]
        var wrong: [String] = []
        for shape in [Self.riscv64, Self.i386, Self.arm, Self.big32] {
            for layout in layouts {
                let pair = layout.conversions(shape)
                var host = [UInt8](repeating: 0, count: pair.host.size)
                var guest = [UInt8](repeating: 0xee, count: pair.guest.size)
                var back = host
                host.withUnsafeMutableBytes { host in
                    for (index, leaf) in pair.host.leaves.enumerated() where pair.guest.leaf(leaf.name) != nil {
                        let width = min(leaf.size, pair.guest.leaf(leaf.name)?.size ?? 0)
                        guard !leaf.raw, let base = host.baseAddress else { continue }
                        let value = leaf.signed && index % 2 == 0 ? UInt64(bitPattern: Int64(-index - 1)) : UInt64(index + 1)
                        _ = width
                        IntegerBytes.store(value, base + leaf.offset, leaf.size, bigEndian: false)
                    }
                }
                host.withUnsafeBytes { host in
                    guest.withUnsafeMutableBytes { guest in
                        back.withUnsafeMutableBytes { back in
                            guard let h = host.baseAddress, let g = guest.baseAddress, let b = back.baseAddress else { return }
                            pair.toGuest.apply(h, g)
                            pair.toHost.apply(g, b)
                        }
                    }
                }
                if host != back { wrong.append("\(layout.name) on \(shape)") }
            }
        }
        #expect(wrong == [])
    }

    @Test func bigEndianBytes() {
        let pair = StructLayout.timespec.conversions(Self.big32)
        var seconds: (Int, Int) = (0x0102_0304, 5)
        var guest = [UInt8](repeating: 0, count: 8)
        withUnsafeMutableBytes(of: &seconds) { host in
            guest.withUnsafeMutableBytes { guest in
                guard let h = host.baseAddress, let g = guest.baseAddress else { return }
                pair.toGuest.apply(h, g)
            }
        }
        #expect(guest == [1, 2, 3, 4, 0, 0, 0, 5])
    }
}
