import Glibc

// System calls on the address space: a thin skin over `GuestMemory`.
extension SystemCallTable {
    static let memory: [SystemCallDescription] = [
        SystemCallDescription("brk", [.pointer]) { .value($0.memory.brk($0[0])) },
        SystemCallDescription("mmap", [.pointer, .size, .flags(.protection), .flags(.mapping), .fd, .offset]) { call in
            .value(call.memory.mmap(call[0], call[1], call.int(2), call.int(3), call.int(4), call.long(5)))
        },
        SystemCallDescription("munmap", [.pointer, .size]) { .value($0.memory.munmap($0[0], $0[1])) },
        SystemCallDescription("mprotect", [.pointer, .size, .flags(.protection)]) { call in
            .value(call.memory.mprotect(call[0], call[1], call.int(2)))
        },
        SystemCallDescription("mremap", [.pointer, .size, .size, .hex, .pointer]) { call in
            .value(call.memory.mremap(call[0], call[1], call[2], call.int(3), call[4]))
        },
        SystemCallDescription("madvise", [.pointer, .size, .flags(.memoryAdvice)]) { call in
            .value(call.memory.madvise(call[0], call[1], call.int(2)))
        },
        SystemCallDescription("msync", [.pointer, .size, .hex]) { .value($0.memory.msync($0[0], $0[1], $0.int(2))) },
        SystemCallDescription("mlock", [.pointer, .size]) { .value($0.memory.mlock($0[0], $0[1])) },
        SystemCallDescription("mlock2", [.pointer, .size, .hex]) { .value($0.memory.mlock2($0[0], $0[1], $0.int(2))) },
        SystemCallDescription("munlock", [.pointer, .size]) { .value($0.memory.munlock($0[0], $0[1])) },
        // Locking everything would lock Apus's own code cache: what is there and what comes stays as it is.
        SystemCallDescription("mlockall", [.hex]) { call in
            call.int(0) != 0 && call.int(0) & ~7 == 0 ? .value(0) : .error(EINVAL)
        },
        SystemCallDescription("munlockall", []) { _ in .value(0) },
        SystemCallDescription("mincore", [.pointer, .size, .pointer]) { .value($0.memory.mincore($0[0], $0[1], vector: $0[2])) },
        SystemCallDescription("remap_file_pages", [.pointer, .size, .hex, .size, .hex]) { _ in .error(EINVAL) },
    ]
}
