import CHost
import Glibc

/// What the host kernel shows others of this process: `ps`, `pgrep`, `/proc/PID/cmdline` and `environ` take a process's
/// arguments from where it says they lie in its memory, and that is where the guest has its own. prctl(2), PR_SET_MM_MAP.
///
/// Left out: `/proc/PID/exe`, which the kernel changes only when nothing of the old executable is mapped any more, and
/// `/proc/PID/auxv`, by which the host's debuggers find Apus.
enum KernelRecord {
    private static let setMemory = 35, memoryMap = 14

    /// Names the guest's strings instead of Apus's. Where the host will not (it was built without CHECKPOINT_RESTORE, or
    /// there is no /proc), others go on seeing Apus's.
    static func publish(_ image: ProgramImage, _ memory: GuestMemory) {
        guard image.argumentRange.count > 0, let brk = sbrk(0), let known = places() else { return }
        func host(_ address: UInt64) -> UInt64 { address &+ memory.base }
        // struct prctl_mm_map: code, data, break and stack as they are; arguments, environment; no auxiliary vector (0)
        // and no executable (-1).
        let map: [UInt64] = [
            known.code.0, known.code.1, known.data.0, known.data.1, known.breakStart, UInt64(UInt(bitPattern: brk)), known.stack,
            host(image.argumentRange.lowerBound), host(image.argumentRange.upperBound),
            host(image.environmentRange.lowerBound), host(image.environmentRange.upperBound),
            0, 0xffff_ffff_0000_0000,
        ]
        _ = map.withUnsafeBytes {
            apus_syscall(Int(SYS_prctl), setMemory, memoryMap, Int(bitPattern: $0.baseAddress), $0.count, 0, 0)
        }
    }

    private struct Places {
        var code: (UInt64, UInt64), data: (UInt64, UInt64), breakStart: UInt64, stack: UInt64
    }

    /// Fields 26 to 28 and 45 to 47 of proc_pid_stat(5); the second, the name, may hold spaces and parentheses.
    private static func places() -> Places? {
        let text = HostFile.read("/proc/self/stat", chunk: 1024)
        guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[(end + 1)...].split(separator: UInt8(ascii: " ")).map { digits in
            digits.reduce(into: UInt64(0)) { $0 = $0 &* 10 &+ UInt64($1 & 15) }
        }
        guard fields.count > 44 else { return nil }
        return Places(code: (fields[23], fields[24]), data: (fields[42], fields[43]), breakStart: fields[44], stack: fields[25])
    }
}
