// Looking files up below a folder, whoever chose their names: with openat2(2), which refuses symbolic links and whatever
// leads outside; where the kernel has none, name by name with O_NOFOLLOW.

import CHost
import Glibc

public enum Beneath {
    /// O_PATH: a descriptor that only names a file.
    public static let pathOnly: Int32 = 0o10000000

    /// Opens what is there; `flags` create nothing. The caller closes the descriptor.
    /// - Parameters: `folder`: an open folder. `path`: names with slashes between them; empty or ".": the folder itself.
    /// - Returns: the descriptor, or the error's number, negative.
    public static func open(_ folder: Int32, _ path: [UInt8], _ flags: Int32) -> Int32 {
        let flags = flags | O_NOFOLLOW | O_CLOEXEC
        let path = path.isEmpty ? [0x2e] : path
        let result = openAt2(folder, path, flags)
        // Sandboxes that do not know the call say EPERM.
        return result == -ENOSYS || result == -EPERM ? walk(folder, path, flags) : result
    }

    private static func openAt2(_ folder: Int32, _ path: [UInt8], _ flags: Int32) -> Int32 {
        let number = 437, noMagicLinks: UInt64 = 2, noLinks: UInt64 = 4, beneath: UInt64 = 8
        var how: (flags: UInt64, mode: UInt64, resolve: UInt64) = (UInt64(UInt32(bitPattern: flags)), 0, noMagicLinks | noLinks | beneath)
        let result = withUnsafePointer(to: &how) { how in
            (path + [0]).withUnsafeBufferPointer { name in
                apus_syscall(number, Int(folder), Int(bitPattern: name.baseAddress), Int(bitPattern: how), MemoryLayout<(UInt64, UInt64, UInt64)>.size, 0, 0)
            }
        }
        return Int32(truncatingIfNeeded: result)
    }

    private static func walk(_ folder: Int32, _ path: [UInt8], _ flags: Int32) -> Int32 {
        var here = folder
        let names = path.split(separator: UInt8(ascii: "/"))
        for (index, name) in names.enumerated() {
            guard name != [0x2e, 0x2e] else {
                if here != folder { close(here) }
                return -EXDEV
            }
            let isLast = index == names.count - 1
            let next = withName(Array(name)) { openat(here, $0, isLast ? flags : pathOnly | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
            let error = errno
            if here != folder { close(here) }
            guard next >= 0 else { return -error }
            here = next
        }
        return here
    }

    /// Runs `body` with the name as C has it.
    public static func withName<Result>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
        var text = name.map { CChar(bitPattern: $0) }
        text.append(0)
        return text.withUnsafeBufferPointer { buffer in
            // The array has at least its NUL.
            withUnsafePointer(to: CChar(0)) { body(buffer.baseAddress ?? $0) }
        }
    }
}
