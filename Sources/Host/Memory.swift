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
        guard let first = Self.shared(size) else { return nil }
        guard let second = Self.again(first, size, at: nil), mprotect(second, size, PROT_READ | PROT_EXEC) == 0 else {
            munmap(first, size)
            return nil
        }
        writable = first
        executable = second
        self.size = size
    }

    // Anonymous shared memory rather than a memory file: a process that has no descriptor left can still be forked.
    private static func shared(_ size: Int) -> UnsafeMutableRawPointer? {
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        return memory == MAP_FAILED ? nil : memory
    }

    /// Maps shared memory a second time, at `place` if that is given (mremap(2): an old size of 0).
    private static func again(_ memory: UnsafeMutableRawPointer, _ size: Int, at place: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        remap(memory, 0, size, place)
    }

    private static func remap(_ memory: UnsafeMutableRawPointer, _ oldSize: Int, _ size: Int,
                              _ place: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        let mayMove = 1, fixed = 2
        let result = apus_syscall(Int(SYS_mremap), Int(bitPattern: memory), oldSize, size, mayMove | (place == nil ? 0 : fixed),
                                  Int(bitPattern: place), 0)
        return result < 0 && result > -4096 ? nil : UnsafeMutableRawPointer(bitPattern: result)
    }

    /// Lets the host unmap what was written in the first `count` bytes from where it is written: it stays where it is executed,
    /// and comes back when it is written again. Else it would count twice in the process's memory.
    public func settle(_ count: Int) {
        let pages = min(max(0, count), size) & ~4095
        if pages > 0 { madvise(writable, pages, Int32(MADV_DONTNEED)) }
    }

    deinit {
        munmap(writable, size)
        munmap(executable, size)
    }

    /// Called in a forked child: replaces the memory shared with the parent by its own at the same addresses.
    /// - Parameter used: the parts, as offsets, that keep their contents; the caller sees to it that the parent does not
    ///   change them meanwhile.
    /// - Returns: false if the host refuses; then the parent's memory may still be mapped, and nothing may run in it.
    public func separate(keeping used: [Range<Int>]) -> Bool {
        guard let fresh = Self.shared(size) else { return false }
        for range in used {
            let start = max(0, range.lowerBound), end = min(range.upperBound, size)
            if start < end { (fresh + start).copyMemory(from: writable + start, byteCount: end - start) }
        }
        guard let second = Self.again(fresh, size, at: executable), mprotect(second, size, PROT_READ | PROT_EXEC) == 0 else {
            munmap(fresh, size)
            return false
        }
        return Self.remap(fresh, size, size, writable) != nil
    }
}
