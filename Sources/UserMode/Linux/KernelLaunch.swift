import CHost
import Glibc

/// What the kernel says when it started Apus itself for a guest program, by an entry of binfmt_misc
/// (Documentation/admin-guide/binfmt-misc.rst, `linux/auxvec.h`, `linux/binfmts.h`).
public enum KernelLaunch {
    /// Whether an entry with flag P started this process: then the arguments are the program's path, the program's own
    /// argv[0], and the rest. Known since Linux 5.12, by bit 0 of AT_FLAGS.
    public static var isByBinaryFormat: Bool { getauxval(UInt(AuxiliaryKey.flags)) & 1 != 0 }

    /// The program, which the kernel opened for us: an entry with flag O.
    public static var programDescriptor: Int32? {
        let executableDescriptor: UInt = 2 // AT_EXECFD
        errno = 0
        let value = getauxval(executableDescriptor)
        guard value != 0 || errno != ENOENT else { return nil }
        return Int32(exactly: value)
    }

    /// Whether the program has more rights than who started it (AT_SECURE): an entry with flag C, and set-ID bits.
    public static var isSecure: Bool { getauxval(UInt(AuxiliaryKey.secure)) != 0 }

    /// The first kernel that tells a program started by flag P from another.
    public static func kernelTellsBinaryFormat(release: String) -> Bool {
        let numbers = release.split(whereSeparator: { $0 == "." || $0 == "-" }).prefix(2).map { Int($0) ?? 0 }
        guard let major = numbers.first else { return false }
        return major > 5 || major == 5 && numbers.count > 1 && numbers[1] >= 12
    }
}
