// Host memory: anonymous mappings, and memory mapped twice for writing and executing (W^X).

import CHost
import Glibc

/// Thin wrappers over the host's memory mapping calls.
public enum HostMemory {
    public static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

    /// Maps `size` bytes of zeroed private memory with protection `prot`; nil if there is none.
    /// - Parameters:
    ///   - address: where, if it must be there (existing mappings are replaced).
    ///   - reserve: false maps without reserving swap space.
    public static func map(_ size: Int, _ prot: Int32, at address: UnsafeMutableRawPointer? = nil, reserve: Bool = true) -> UnsafeMutableRawPointer? {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | (address == nil ? 0 : MAP_FIXED) | (reserve ? 0 : MAP_NORESERVE)
        let result = mmap(address, size, prot, flags, -1, 0)
        return result == MAP_FAILED ? nil : result
    }

    /// Unmaps whole pages. - Returns: whether that worked.
    @discardableResult
    public static func unmap(_ base: UnsafeMutableRawPointer, _ size: Int) -> Bool { munmap(base, size) == 0 }

    /// Changes the protection of whole pages. - Returns: whether that worked.
    @discardableResult
    public static func protect(_ base: UnsafeMutableRawPointer, _ size: Int, _ prot: Int32) -> Bool {
        mprotect(base, size, prot) == 0
    }
}

/// One piece of memory mapped twice: to write to, and to execute from. No address is ever both.
///
/// Invariant: `writable` and `executable` each span `size` bytes for as long as the object lives.
public final class DoubleMapping: @unchecked Sendable {
    public let writable: UnsafeMutableRawPointer
    public let executable: UnsafeMutableRawPointer
    public let size: Int

    /// Maps `size` bytes (a multiple of the page size), zeroed and allocated on first touch; nil if the host refuses.
    /// A forked child shares the memory with its parent until it calls `separate`.
    public init?(size: Int) {
        let descriptor = apus_memory_file("apus-code")
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard ftruncate(descriptor, size) == 0,
              let first = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), first != MAP_FAILED
        else { return nil }
        guard let second = mmap(nil, size, PROT_READ | PROT_EXEC, MAP_SHARED, descriptor, 0), second != MAP_FAILED else {
            munmap(first, size)
            return nil
        }
        writable = first
        executable = second
        self.size = size
    }

    deinit {
        munmap(writable, size)
        munmap(executable, size)
    }

    /// Called in a forked child: replaces the memory shared with the parent by its own at the same addresses.
    /// - Parameter used: the parts, as offsets, that keep their contents; the caller sees to it that the parent does not
    ///   change them meanwhile.
    /// - Returns: false if the host refuses; then the parent's memory may still be mapped.
    public func separate(keeping used: [Range<Int>]) -> Bool {
        let descriptor = apus_memory_file("apus-code")
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        guard ftruncate(descriptor, size) == 0 else { return false }
        for range in used {
            var done = range.lowerBound
            let end = min(range.upperBound, size)
            while done < end {
                let written = pwrite(descriptor, writable + done, end - done, done)
                guard written > 0 else { return false }
                done += written
            }
        }
        return mmap(writable, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0) != MAP_FAILED
            && mmap(executable, size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, descriptor, 0) != MAP_FAILED
    }
}
