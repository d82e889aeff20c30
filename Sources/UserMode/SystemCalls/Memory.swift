import CHost
import Glibc

// System calls on the address space: a thin skin over `GuestMemory`.
extension SystemCallTable {
    static let memory: [SystemCallDescription] = [
        SystemCallDescription("brk", [.pointer]) { .value($0.memory.brk($0[0])) },
        SystemCallDescription("mmap", [.pointer, .size, .flags(.protection), .flags(.mapping), .fd, .offset]) { call in
            .value(call.memory.mmap(call[0], call[1], call.int(2), call.int(3), call.int(4), call.long(5)))
        },
        // The offset counts units of 4096 bytes.
        SystemCallDescription("mmap2", [.pointer, .size, .flags(.protection), .flags(.mapping), .fd, .hex]) { call in
            let offset = Int64(bitPattern: (call[5] & 0xffff_ffff) << 12)
            return .value(call.memory.mmap(call[0], call[1], call.int(2), call.int(3), call.int(4), offset))
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
        .refused("remap_file_pages", EINVAL, [.pointer, .size, .hex, .size, .hex],
                 because: "Linux itself only imitates it, and nobody calls it"),
        SystemCallDescription("mseal", [.pointer, .size, .hex]) { .value($0.memory.seal($0[0], $0[1], $0.int(2))) },
        SystemCallDescription("process_madvise", [.fd, .pointer, .size, .flags(.memoryAdvice), .hex], adviseProcess),
        // Keys of pages are an ability of the processor, which riscv64's do not have: the kernel's answers without it.
        SystemCallDescription("pkey_alloc", [.hex, .hex]) { $0[0] == 0 && $0[1] & ~3 == 0 ? .error(ENOSPC) : .error(EINVAL) },
        SystemCallDescription("pkey_free", [.int]) { _ in .error(EINVAL) },
        SystemCallDescription("pkey_mprotect", [.pointer, .size, .flags(.protection), .int]) { call in
            call.int(3) == -1 ? .value(call.memory.mprotect(call[0], call[1], call.int(2))) : .error(EINVAL)
        },
        .hostUnconverted("move_pages", SYS_move_pages, [.pid, .size, .pointer, .pointer, .pointer, .hex]),
        .hostUnconverted("migrate_pages", SYS_migrate_pages, [.pid, .size, .pointer, .pointer]),
        .host("set_mempolicy_home_node", 450, [.pointer, .size, .size, .hex]),
        SystemCallDescription("map_shadow_stack", [.pointer, .size, .hex]) { call in
            .value(call.process.abi.mapShadowStack(call[0], call[1], call[2], memory: call.memory) ?? -Int64(EOPNOTSUPP))
        },
    ]

    private static func adviseProcess(_ call: SystemCall) -> SystemCallResult {
        call.withVectors(call[1], count: call[2]) { vectors in
            let result = call.host(SYS_process_madvise, Int(call.int(0)), vectors, Int(call.long(2)), Int(call.int(3)), Int(call.long(4)))
            // The process may be this one, and what was discarded its code.
            if result > 0 { call.process.engine.synchronize(0..<UInt64.max) }
            return .value(result)
        }
    }
}
