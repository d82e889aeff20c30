// Memory of a machine: RAM, ROM and video memory, as one mapping of the host each.
//
// Unsafe: guest memory is raw memory that vCPUs, devices and the host change at any time, so it is never a Swift
// reference. Invariant: `host ..< host + size` stays mapped, readable and writable for as long as the object lives.

import CHost
import Glibc
import Host

/// Why memory for a machine could not be had.
public enum MemoryError: Error, Equatable, CustomStringConvertible {
    /// `size` is 0 or no multiple of the page size.
    case badSize(String, UInt64)
    case noMemory(String, UInt64)
    /// A file behind the memory cannot be used.
    case file(String, String)

    public var description: String {
        switch self {
        case .badSize(let name, let size): "memory '\(name)': \(size) bytes is not a whole number of 4 KiB pages"
        case .noMemory(let name, let size): "memory '\(name)': the host has no \(size >> 20) MiB for it"
        case .file(let path, let reason): "memory file '\(path)': \(reason)"
        }
    }
}

/// What is known of one 4 KiB page of a `RAMBlock`, one byte a page, changed atomically.
public struct PageFlags: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Code was translated from the page: a store to it must be told to `codeWatcher`.
    public static let hasCode = PageFlags(rawValue: 1)
    /// Not written since the display last looked. Only set on pages somebody watches.
    public static let cleanForDisplay = PageFlags(rawValue: 2)
    /// Not written since migration last looked.
    public static let cleanForMigration = PageFlags(rawValue: 4)
    /// A page with any of these must not be written to without telling: see `RAMBlock.willWrite`.
    public static let watched: PageFlags = [.hasCode, .cleanForDisplay, .cleanForMigration]
}

/// Who has translated code from guest memory.
public protocol CodeWatcher: AnyObject, Sendable {
    /// Bytes `range` (offsets into `block`), on a page that has code, are about to be written, or just were.
    func codeChanged(in block: RAMBlock, _ range: Range<UInt64>)
    /// Whether code may have been translated from bytes in `range`, on one page.
    func hasCode(in block: RAMBlock, _ range: Range<UInt64>) -> Bool
}

/// One piece of memory of a machine.
public final class RAMBlock: @unchecked Sendable {
    /// 4 KiB: the unit of `PageFlags` and of address translation.
    public static let pageBits: UInt64 = 12
    public static let pageBytes: UInt64 = 1 << pageBits

    /// What the memory is backed by.
    public enum Backing: Sendable {
        case anonymous
        /// A file descriptor of at least the block's size, which the block then owns.
        case file(descriptor: Int32, isShared: Bool)
    }

    /// As state files and monitors name it, e.g. `riscv_virt_board.ram`.
    public let name: String
    public let size: UInt64
    public let host: UnsafeMutableRawPointer
    /// The number of its first page among all pages of all blocks of the process: (block, offset) as one number.
    public let firstPage: UInt64
    /// One byte of `PageFlags` for each page.
    public let flags: UnsafeMutablePointer<UInt8>
    private let descriptor: Int32
    private let watcher = Locked(WeakWatcher())

    private struct WeakWatcher: Sendable { weak var watcher: (any CodeWatcher)? }

    private static let pageCount = Locked<UInt64>(1)

    public init(name: String, size: UInt64, backing: Backing = .anonymous) throws(MemoryError) {
        guard size > 0, size & (Self.pageBytes - 1) == 0, let length = Int(exactly: size), size < 1 << 48 else { throw .badSize(name, size) }
        let protection = PROT_READ | PROT_WRITE
        let memory: UnsafeMutableRawPointer?
        switch backing {
        case .anonymous:
            descriptor = -1
            memory = mmap(nil, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        case .file(let file, let isShared):
            descriptor = file
            memory = mmap(nil, length, protection, isShared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE, file, 0)
        }
        let pages = Int(size >> Self.pageBits)
        guard let memory, memory != MAP_FAILED, let flags = HostMemory.map((pages + 4095) & ~4095, protection, reserve: false) else {
            throw .noMemory(name, size)
        }
        madvise(memory, length, Int32(MADV_HUGEPAGE))
        self.name = name
        self.size = size
        host = memory
        self.flags = flags.bindMemory(to: UInt8.self, capacity: pages)
        firstPage = Self.pageCount.withLock { count in
            defer { count += UInt64(pages) }
            return count
        }
    }

    deinit {
        munmap(host, Int(size))
        munmap(flags, (Int(size >> Self.pageBits) + 4095) & ~4095)
        if descriptor >= 0 { close(descriptor) }
    }

    /// Who is told of stores to pages with code; not kept alive by this.
    public var codeWatcher: (any CodeWatcher)? {
        get { watcher.withLock { $0.watcher } }
        set { watcher.withLock { $0.watcher = newValue } }
    }

    /// The flags of page number `page` of the block; nothing if there is none.
    @inline(__always)
    public func flags(ofPage page: UInt64) -> PageFlags {
        guard page < size >> Self.pageBits else { return [] }
        return PageFlags(rawValue: apus_atomic_load_u8(flags + Int(page)))
    }

    public func setFlags(_ new: PageFlags, ofPage page: UInt64) {
        guard page < size >> Self.pageBits else { return }
        apus_atomic_or_u8(flags + Int(page), new.rawValue)
    }

    /// Clears flags of a page. - Returns: those it had before.
    @discardableResult
    public func clearFlags(_ old: PageFlags, ofPage page: UInt64) -> PageFlags {
        guard page < size >> Self.pageBits else { return [] }
        return PageFlags(rawValue: apus_atomic_and_u8(flags + Int(page), ~old.rawValue))
    }

    /// To be called by whoever writes `count` bytes at `offset` by other means than a vCPU's own fast path, before and
    /// after it writes: marks pages dirty and has translated code forgotten.
    public func willWrite(_ offset: UInt64, _ count: UInt64) {
        guard count > 0, offset < size, count <= size - offset else { return }
        for page in offset >> Self.pageBits ... (offset + count - 1) >> Self.pageBits {
            let flags = flags(ofPage: page)
            guard !flags.isDisjoint(with: .watched) else { continue }
            clearFlags([.cleanForDisplay, .cleanForMigration], ofPage: page)
            guard flags.contains(.hasCode) else { continue }
            let start = max(offset, page << Self.pageBits), end = min(offset + count, (page + 1) << Self.pageBits)
            codeWatcher?.codeChanged(in: self, start ..< end)
        }
    }
}
