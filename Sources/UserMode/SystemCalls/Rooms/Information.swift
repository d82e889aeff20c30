import CHost
import Glibc

/// Who the process is and what it may do: identities, scheduling, limits, the system's own facts.
enum InformationCalls {
    static let identity: [SystemCallDescription] = [
        .host("getpid", SYS_getpid, []),
        .host("getppid", SYS_getppid, []),
        .host("getuid", SYS_getuid, []),
        .host("geteuid", SYS_geteuid, []),
        .host("getgid", SYS_getgid, []),
        .host("getegid", SYS_getegid, []),
        .host("setuid", SYS_setuid, [.int]),
        .host("setgid", SYS_setgid, [.int]),
        .host("setreuid", SYS_setreuid, [.int, .int]),
        .host("setregid", SYS_setregid, [.int, .int]),
        .host("setresuid", SYS_setresuid, [.int, .int, .int]),
        .host("setresgid", SYS_setresgid, [.int, .int, .int]),
        .host("getresuid", SYS_getresuid, [.structOut(.identifiers), .structOut(.identifiers), .structOut(.identifiers)]),
        .host("getresgid", SYS_getresgid, [.structOut(.identifiers), .structOut(.identifiers), .structOut(.identifiers)]),
        .host("setfsuid", SYS_setfsuid, [.int]),
        .host("setfsgid", SYS_setfsgid, [.int]),
        SystemCallDescription("getgroups", [.int, .pointer]) { groups($0, SYS_getgroups) },
        SystemCallDescription("setgroups", [.int, .pointer]) { groups($0, SYS_setgroups) },
        .host("getpgid", SYS_getpgid, [.pid]),
        .host("setpgid", SYS_setpgid, [.pid, .pid]),
        .host("getpgrp", SYS_getpgrp, []),
        .host("getsid", SYS_getsid, [.pid]),
        .host("setsid", SYS_setsid, []),
        .host("capget", SYS_capget, [.structInOut(.capabilityHeader), .structOut(.capabilityData)]),
        .host("capset", SYS_capset, [.structInOut(.capabilityHeader), .structIn(.capabilityData)]),
        .host("personality", SYS_personality, [.hex]),
        .host("setns", SYS_setns, [.fd, .hex]),
        .host("unshare", SYS_unshare, [.hex]),
    ]

    static let scheduling: [SystemCallDescription] = [
        .host("getpriority", SYS_getpriority, [.int, .int]),
        .host("setpriority", SYS_setpriority, [.int, .int, .int]),
        .host("sched_setparam", SYS_sched_setparam, [.pid, .structIn(.schedulingParameters)]),
        .host("sched_getparam", SYS_sched_getparam, [.pid, .structOut(.schedulingParameters)]),
        .host("sched_setscheduler", SYS_sched_setscheduler, [.pid, .flags(.scheduler), .structIn(.schedulingParameters)]),
        .host("sched_getscheduler", SYS_sched_getscheduler, [.pid]),
        .host("sched_get_priority_max", SYS_sched_get_priority_max, [.flags(.scheduler)]),
        .host("sched_get_priority_min", SYS_sched_get_priority_min, [.flags(.scheduler)]),
        .host("sched_rr_get_interval", SYS_sched_rr_get_interval, [.pid, .structOut(.timespec)]),
        .host("sched_rr_get_interval_time64", SYS_sched_rr_get_interval, [.pid, .structOut(.timespec64)]),
        .host("sched_setaffinity", SYS_sched_setaffinity, [.pid, .size, .pointer]),
        .host("sched_getaffinity", SYS_sched_getaffinity, [.pid, .size, .pointer]),
        .host("sched_setattr", SYS_sched_setattr, [.pid, .pointer, .hex]),
        .host("sched_getattr", SYS_sched_getattr, [.pid, .pointer, .size, .hex]),
        .host("getcpu", SYS_getcpu, [.structOut(.identifiers), .structOut(.identifiers), .pointer]),
        // Masks of nodes are arrays of longs, which only guests with the host's bytes can pass on.
        .host("get_mempolicy", SYS_get_mempolicy, [.integerOut, .pointer, .size, .pointer, .hex]),
        .host("set_mempolicy", SYS_set_mempolicy, [.int, .pointer, .size]),
        .host("mbind", SYS_mbind, [.pointer, .size, .int, .pointer, .size, .hex]),
        .host("membarrier", SYS_membarrier, [.int, .hex, .int]),
    ]

    static let limits: [SystemCallDescription] = [
        SystemCallDescription("getrlimit", [.flags(.resource), .structOut(.resourceLimit)]) { call in
            limit(call, .resourceLimit, pid: 0, resource: call.int(0), new: 0, old: call[1])
        },
        SystemCallDescription("setrlimit", [.flags(.resource), .structIn(.resourceLimit)]) { call in
            limit(call, .resourceLimit, pid: 0, resource: call.int(0), new: call[1], old: 0)
        },
        SystemCallDescription("prlimit64",
                              [.pid, .flags(.resource), .structIn(.resourceLimit64), .structOut(.resourceLimit64)]) { call in
            limit(call, .resourceLimit64, pid: Int(call.int(0)), resource: call.int(1), new: call[2], old: call[3])
        },
        .host("getrusage", SYS_getrusage, [.int, .structOut(.resourceUsage)]),
    ]

    static let system: [SystemCallDescription] = [
        SystemCallDescription("uname", [.structOut(.kernelNames)], kernelNames),
        SystemCallDescription("sysinfo", [.structOut(.systemInformation)], systemInformation),
        .host("getrandom", SYS_getrandom, [.bufferOut, .size, .flags(.random)], .waits),
        .host("sethostname", SYS_sethostname, [.string, .size]),
        .host("setdomainname", SYS_setdomainname, [.string, .size]),
        .host("syslog", SYS_syslog, [.int, .bufferOut, .int], .waits),
        .refused("reboot", EPERM, [.hex, .hex, .hex, .pointer], because: "a guest program is no machine"),
        SystemCallDescription("riscv_hwprobe", [.pointer, .size, .size, .pointer, .hex], hardwareProbe),
        SystemCallDescription("riscv_flush_icache", [.pointer, .pointer, .hex], flushInstructionCache),
        // Restartable sequences: registration is refused, as on kernels without them, and libc goes without.
        .refused("rseq", ENOSYS, [.pointer, .size, .hex, .hex],
                 because: "the kernel would restart host code, not guest code; C libraries go without"),
        .refused("ptrace", EPERM, [.int, .pid, .pointer, .pointer], because: "the tracer would see Apus, not the guest"),
        .refused("io_setup", ENOSYS, [.unsigned, .pointer],
                 because: "its ring would be mapped by the kernel beside what the guest knows of its memory; libraries use threads instead"),
        .refused("io_destroy", ENOSYS, because: "see io_setup"),
        .refused("io_submit", ENOSYS, because: "see io_setup"),
        .refused("io_cancel", ENOSYS, because: "see io_setup"),
        .refused("io_getevents", ENOSYS, because: "see io_setup"),
        .refused("io_pgetevents", ENOSYS, because: "see io_setup"),
        .refused("io_pgetevents_time64", ENOSYS, because: "see io_setup"),
        .refused("io_uring_setup", ENOSYS, [.unsigned, .pointer],
                 because: "its rings carry requests past Apus, with addresses and flags that nobody converts; libraries use epoll instead"),
        .refused("io_uring_enter", ENOSYS, because: "see io_uring_setup"),
        .refused("io_uring_register", ENOSYS, because: "see io_uring_setup"),
        .refused("bpf", ENOSYS, [.int, .pointer, .size], because: "programs would judge Apus, not the guest"),
        .refused("perf_event_open", ENOSYS, [.pointer, .pid, .int, .fd, .hex],
                 because: "it would count what Apus does, not the guest"),
        .refused("userfaultfd", ENOSYS, [.hex], because: "Apus's own accesses to guest memory would wait for the guest"),
        .refused("seccomp", EINVAL, [.unsigned, .hex, .pointer], because: "a filter would judge Apus's own calls"),
        .refused("kexec_load", EPERM, because: "a guest program is no machine"),
        .refused("kexec_file_load", EPERM, because: "a guest program is no machine"),
        .refused("init_module", EPERM, because: "modules are of the host's architecture"),
        .refused("finit_module", EPERM, because: "modules are of the host's architecture"),
        .refused("delete_module", EPERM, because: "modules are of the host's architecture"),
    ]

    private static func groups(_ call: SystemCall, _ number: Int32) -> SystemCallResult {
        let count = Int(call.int(0))
        guard call.model.bigEndian else { return .value(call.host(number, count, call.pointer(at: 1))) }
        guard count >= 0, count <= 65536 else { return .error(EINVAL) }
        return withUnsafeTemporaryAllocation(byteCount: max(count, 1) * 4, alignment: 4) { buffer in
            guard let base = buffer.baseAddress else { return .error(EFAULT) }
            if number == SYS_setgroups {
                for index in 0..<count {
                    guard let group = call.readInteger(call[1] &+ UInt64(index * 4), size: 4) else { return .error(EFAULT) }
                    base.storeBytes(of: UInt32(truncatingIfNeeded: group), toByteOffset: index * 4, as: UInt32.self)
                }
                return .value(call.host(number, count, Int(bitPattern: base)))
            }
            let result = call.host(number, count, Int(bitPattern: base))
            guard count > 0, result > 0 else { return .value(result) }
            for index in 0..<min(Int(result), count) {
                let group = UInt64(base.load(fromByteOffset: index * 4, as: UInt32.self))
                guard call.writeInteger(call[1] &+ UInt64(index * 4), group, size: 4) else { return .error(EFAULT) }
            }
            return .value(result)
        }
    }

    /// Limits of the address space, data and stack bind the whole host process, Apus's code cache included. Setting
    /// them for this process succeeds without effect on the host; reading gives the host's.
    private static func limit(_ call: SystemCall, _ layout: StructLayout, pid: Int, resource: Int32, new: UInt64,
                              old: UInt64) -> SystemCallResult {
        var wanted: (UInt64, UInt64) = (0, 0), found: (UInt64, UInt64) = (0, 0)
        let infinity = layout === StructLayout.resourceLimit && call.model.wordSize == 4 ? UInt64(UInt32.max) : UInt64.max
        if new != 0 {
            guard withUnsafeMutableBytes(of: &wanted, { bytes in
                bytes.baseAddress.map { call.readStructure(layout, new, $0) } ?? false
            }) else { return .error(EFAULT) }
            if wanted.0 == infinity { wanted.0 = .max }
            if wanted.1 == infinity { wanted.1 = .max }
        }
        let mine = pid == 0 || pid == Int(getpid())
        let virtual = mine && VirtualLimits.resources.contains(resource)
        if virtual && new != 0 && wanted.0 > wanted.1 { return .error(EINVAL) }
        let passNew = new != 0 && !virtual
        let result = withUnsafeMutableBytes(of: &wanted) { wanted in
            withUnsafeMutableBytes(of: &found) { found in
                call.host(SYS_prlimit64, pid, Int(resource), passNew ? Int(bitPattern: wanted.baseAddress) : 0,
                          Int(bitPattern: found.baseAddress))
            }
        }
        guard result >= 0 else { return .value(result) }
        if virtual { found = VirtualLimits.exchange(resource, found, new == 0 ? nil : wanted) }
        if infinity != .max { found = (min(found.0, infinity), min(found.1, infinity)) }
        if old != 0 {
            guard withUnsafeBytes(of: &found, { bytes in
                bytes.baseAddress.map { call.writeStructure(layout, old, $0) } ?? false
            }) else { return .error(EFAULT) }
        }
        return .value(0)
    }

    /// The host's names with the guest's machine; a release of at least 6.1, because guests' C libraries refuse to
    /// start on kernels older than they were built for.
    private static func kernelNames(_ call: SystemCall) -> SystemCallResult {
        var names = utsname()
        let size = MemoryLayout<utsname>.size
        return withUnsafeMutableBytes(of: &names) { bytes in
            guard let base = bytes.baseAddress else { return .error(EFAULT) }
            let result = call.host(SYS_uname, Int(bitPattern: base))
            guard result == 0 else { return .value(result) }
            func put(_ text: String, field: Int) {
                var at = field * 65
                for byte in text.utf8.prefix(64) {
                    bytes[at] = byte
                    at += 1
                }
                for rest in at..<(field + 1) * 65 { bytes[rest] = 0 }
            }
            put(call.process.abi.machine, field: 4)
            let release = bytes[130..<195].prefix { $0 != 0 }
            let major = release.prefix { $0 >= 48 && $0 <= 57 }.reduce(0) { ($0 &* 10) &+ Int($1 &- 48) }
            if major < 6 { put("6.1.0", field: 2) }
            return call.copyOut(call[0], base, size) ? .value(0) : .error(EFAULT)
        }
    }

    /// `riscv_hwprobe`: pairs (key, value) to fill; unknown keys become -1 with value 0. Every hart is the same, so
    /// the processor set only matters to the flag that asks which harts have all the given values.
    private static func hardwareProbe(_ call: SystemCall) -> SystemCallResult {
        let count = call[1], which = call[4] & 1 != 0
        guard call[4] & ~1 == 0, count <= 65536 else { return .error(EINVAL) }
        if which && (call[2] == 0 || call[3] == 0) { return .error(EINVAL) }
        var all = true
        for index in 0..<count {
            let at = call[0] &+ index &* 16
            guard let raw = call.readInteger(at, size: 8) else { return .error(EFAULT) }
            let value = call.process.abi.hardwareProbe(Int64(bitPattern: raw))
            if which {
                guard let asked = call.readInteger(at &+ 8, size: 8) else { return .error(EFAULT) }
                guard let value else {
                    guard call.writeInteger(at, UInt64.max, size: 8), call.writeInteger(at &+ 8, 0, size: 8) else { return .error(EFAULT) }
                    all = false
                    continue
                }
                // Bit masks ask for a subset, identities for equality.
                let isMask = [3, 4, 5, 11, 13, 14, 16].contains(raw)
                if isMask ? value & asked != asked : value != asked { all = false }
            } else {
                guard call.writeInteger(at, value == nil ? UInt64.max : raw, size: 8),
                      call.writeInteger(at &+ 8, value ?? 0, size: 8) else { return .error(EFAULT) }
            }
        }
        if which {
            let bytes = Int(min(call[2], 128))
            return withUnsafeTemporaryAllocation(byteCount: max(bytes, 8), alignment: 8) { buffer in
                guard let base = buffer.baseAddress, call.copyIn(call[3], base, bytes) else { return .error(EFAULT) }
                if (0..<bytes).allSatisfy({ buffer[$0] == 0 }) {
                    let got = call.host(SYS_sched_getaffinity, 0, bytes & ~7, Int(bitPattern: base))
                    if got < 0 { return .value(got) }
                }
                if !all { base.initializeMemory(as: UInt8.self, repeating: 0, count: bytes) }
                return call.copyOut(call[3], base, bytes) ? .value(0) : .error(EFAULT)
            }
        }
        return .value(0)
    }

    /// Numbers of bytes that a 32-bit word cannot hold are counted in larger units, as the kernel does for 32-bit programs.
    private static func systemInformation(_ call: SystemCall) -> SystemCallResult {
        guard call.model.wordSize == 4 else { return call.withOutput(.systemInformation, call[0]) { .value(call.host(SYS_sysinfo, $0)) } }
        return call.withOutput(.systemInformation, call[0]) { address in
            let result = call.host(SYS_sysinfo, address)
            guard result == 0, let host = UnsafeMutableRawPointer(bitPattern: address) else { return .value(result) }
            // On the host six numbers of bytes begin at 32 and two at 88; the unit is at 104.
            let numbers = [32, 40, 48, 56, 64, 72, 88, 96]
            let greatest = numbers.map { host.load(fromByteOffset: $0, as: UInt64.self) }.max() ?? 0
            var shift: UInt64 = 0
            while greatest &>> shift > UInt64(UInt32.max) { shift &+= 12 }
            for offset in numbers {
                host.storeBytes(of: host.load(fromByteOffset: offset, as: UInt64.self) &>> shift, toByteOffset: offset, as: UInt64.self)
            }
            let unit = host.load(fromByteOffset: 104, as: UInt32.self)
            host.storeBytes(of: unit &<< UInt32(truncatingIfNeeded: shift), toByteOffset: 104, as: UInt32.self)
            return .value(0)
        }
    }

    private static func flushInstructionCache(_ call: SystemCall) -> SystemCallResult {
        guard call[2] & ~1 == 0 else { return .error(EINVAL) }
        if call[0] < call[1] {
            call.memory.codeWasFenced(call[0]..<call[1])
            call.process.engine.synchronize(call[0]..<call[1])
        }
        return .value(0)
    }
}
