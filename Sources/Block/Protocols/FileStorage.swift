// Files and block devices of the host: reading and writing, O_DIRECT, holes, discards, preallocation, copies from file to
// file (man pages 2).

import CHost
import Glibc
import Host

/// Numbers that the platform's Swift modules do not export (include/uapi/linux/{fcntl,falloc,fs}.h, x86-64 and riscv64).
enum HostFileNumbers {
    static let direct: Int32 = 0o40000
    static let keepSize: Int32 = 1
    static let punchHole: Int32 = 2
    static let zeroRange: Int32 = 16
    static let seekData: Int32 = 3
    static let seekHole: Int32 = 4
    static let blockDeviceSize: Int = 0x8008_1272
    static let blockDiscard: Int = 0x1277
    static let blockZeroOut: Int = 0x127f
}

/// A file or block device.
public final class FileStorage: VectoredStorage, ResizableStorage, DescribedStorage, LockableStorage, NamedStorage {
    private let descriptor: Int32
    private let isDevice: Bool
    private let isDirect: Bool
    private let ignoresFlush: Bool
    private let path: String
    private let requests: HostRequests
    private let takesLocks: Bool
    private let locks: FileLocks
    /// Held by a write that has to read the rest of an aligned unit first (O_DIRECT).
    /// The file is at least this long. Held while it becomes longer.
    private let growing = Locked<UInt64>(0)
    private let unaligned = Locked(())
    /// Cleared when the host has said that it cannot.
    private let canPunch = Locked(true)
    private let canZero = Locked(true)
    private static let alignment = 4096

    /// Opens `path`. - Parameter locking: other processes are kept out. - Throws: what `open` says.
    public init(path: String, _ access: Access, locking: Bool = true) throws(BlockError) {
        if access.interface == .native, !access.cache.direct {
            throw .invalid("aio=native was specified, but it requires cache.direct=on, which was not specified.")
        }
        let flags = (access.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | (access.cache.direct ? HostFileNumbers.direct : 0)
        let opened = Glibc.open(path, flags)
        guard opened >= 0 else { throw .host(errno, "Could not open '\(path)'") }
        var info = stat()
        let found = fstat(opened, &info)
        let kind = info.st_mode & S_IFMT
        guard found == 0, kind == S_IFREG || kind == S_IFBLK || kind == S_IFCHR else {
            Glibc.close(opened)
            throw BlockError(.cannotOpen, kind == S_IFDIR ? "Could not open '\(path)': Is a directory" : "Could not open '\(path)': neither a regular file nor a device")
        }
        descriptor = opened
        self.path = path
        requests = HostRequests(opened, access.interface)
        takesLocks = locking
        isDevice = kind != S_IFREG
        isDirect = access.cache.direct
        ignoresFlush = access.cache.ignoresFlush
        locks = FileLocks(descriptor: opened, path: path)
    }

    public var driverName: String { isDevice ? "host_device" : "file" }
    public var growsOnWrite: Bool { !isDevice }

    private func failure(_ what: String, _ offset: UInt64) -> BlockError { .host(errno, what, offset: offset) }

    public func length() throws(BlockError) -> UInt64 {
        if isDevice {
            var size: UInt64 = 0
            let result = withUnsafeMutablePointer(to: &size) { ioctl(HostFileNumbers.blockDeviceSize, Int(bitPattern: $0)) }
            if result == 0 { return size }
            let end = lseek(descriptor, 0, SEEK_END)
            guard end >= 0 else { throw failure("the size of the device", 0) }
            return UInt64(end)
        }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw failure("the size of the file", 0) }
        return UInt64(max(0, info.st_size))
    }

    private func ioctl(_ request: Int, _ argument: Int) -> Int { Int(apus_syscall(Int(SYS_ioctl), Int(descriptor), request, argument, 0, 0, 0)) }

    public func allocatedSize() throws(BlockError) -> UInt64? {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw failure("the size of the file", 0) }
        return UInt64(max(0, info.st_blocks)) * 512
    }

    // MARK: Reading and writing

    private func isAligned(_ offset: UInt64, _ buffer: BlockBuffer) -> Bool {
        let mask = FileStorage.alignment - 1
        return !isDirect || (Int(truncatingIfNeeded: offset) | buffer.count | Int(bitPattern: buffer.base)) & mask == 0
    }

    public func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        if isAligned(offset, buffer) { return try readAligned(offset, buffer) }
        let unit = UInt64(FileStorage.alignment)
        let start = offset.roundedDown(to: unit)
        guard let end = (offset &+ UInt64(buffer.count)).roundedUp(to: unit), end > start, end - start <= UInt64(Int.max) else {
            throw BlockError(.invalid, "a read beyond 2^64", offset: offset)
        }
        let bounce = try OwnedBuffer(Int(end - start))
        try readAligned(start, bounce.buffer)
        buffer.copy(from: bounce.buffer.slice(Int(offset - start), buffer.count))
        withExtendedLifetime(bounce) {}
    }

    /// readv(2) takes at most this many pieces (IOV_MAX).
    private static let maximumPieces = 1024

    public func read(_ offset: UInt64, scattered buffers: [BlockBuffer]) throws(BlockError) -> Bool {
        guard offset <= UInt64(Int64.max), buffers.count <= Self.maximumPieces, buffers.allSatisfy({ isAligned(offset, $0) }) else { return false }
        let vectors = buffers.map { iovec(iov_base: $0.base, iov_len: $0.count) }
        let result = requests.transfer(writes: false, vectors, vectors.count, Int(offset))
        // Less than asked for (the end, a signal): piece by piece.
        if result == buffers.reduce(0, { $0 + $1.count }) { return true }
        var at = offset
        for buffer in buffers {
            try readAligned(at, buffer)
            at &+= UInt64(buffer.count)
        }
        return true
    }

    public func write(_ offset: UInt64, scattered buffers: [BlockBuffer]) throws(BlockError) -> Bool {
        let count = buffers.reduce(0) { $0 + $1.count }
        guard offset <= UInt64(Int64.max) - UInt64(count), buffers.count <= Self.maximumPieces, buffers.allSatisfy({ isAligned(offset, $0) }) else { return false }
        guard isDevice || offset + UInt64(count) <= growing.withLock({ $0 }) else { return false }
        let vectors = buffers.map { iovec(iov_base: $0.base, iov_len: $0.count) }
        let result = requests.transfer(writes: true, vectors, vectors.count, Int(offset))
        if result == count { return true }
        var at = offset
        for buffer in buffers {
            try writeOut(at, buffer)
            at &+= UInt64(buffer.count)
        }
        return true
    }

    private func readAligned(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        guard offset <= UInt64(Int64.max) else { return buffer.fill() }
        var done = 0
        while done < buffer.count {
            let result = requests.transfer(writes: false, buffer.slice(done, Int.max), Int(offset) &+ done)
            if result < 0 {
                if errno == EINTR { continue }
                throw failure("reading \(buffer.count) bytes", offset)
            }
            if result == 0 { break }
            done += result
            // The end of a file that is no multiple of the unit: O_DIRECT could not go on.
            if isDirect, done % FileStorage.alignment != 0 { break }
        }
        buffer.slice(done, Int.max).fill()
    }

    public func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        if isAligned(offset, buffer) { return try writeAligned(offset, buffer) }
        let unit = UInt64(FileStorage.alignment)
        let start = offset.roundedDown(to: unit)
        guard let end = (offset &+ UInt64(buffer.count)).roundedUp(to: unit), end > start, end - start <= UInt64(Int.max) else {
            throw BlockError(.invalid, "a write beyond 2^64", offset: offset)
        }
        try unaligned.withLock { (_) throws(BlockError) in
            let before = isDevice ? UInt64.max : try length()
            let bounce = try OwnedBuffer(Int(end - start))
            let head = bounce.buffer.slice(0, FileStorage.alignment)
            try readAligned(start, head)
            if end - start > unit { try readAligned(end - unit, bounce.buffer.slice(Int(end - start - unit), Int.max)) }
            bounce.buffer.slice(Int(offset - start), buffer.count).copy(from: buffer)
            try writeAligned(start, bounce.buffer)
            let wanted = max(before, offset + UInt64(buffer.count))
            if !isDevice, end > wanted {
                try growing.withLock { (known: inout UInt64) throws(BlockError) in
                    // Unless another has written behind it since.
                    guard try length() == end else { return }
                    guard ftruncate(descriptor, Int(wanted)) == 0 else { throw failure("setting the length", wanted) }
                    known = min(known, wanted)
                }
            }
            withExtendedLifetime(bounce) {}
        }
    }

    private func write(_ offset: UInt64, bytes: [UInt8]) throws(BlockError) {
        var copy = bytes
        try BlockBuffer.with(&copy) { (buffer) throws(BlockError) in try write(offset, buffer) }
    }

    /// Writes within what is known to be the file's length go side by side; those that lengthen it hold `growing`, so
    /// that nobody who sets the length meanwhile cuts them off.
    private func writeAligned(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        let end = offset &+ UInt64(buffer.count)
        if isDevice || end <= growing.withLock({ $0 }) { return try writeOut(offset, buffer) }
        try growing.withLock { (known: inout UInt64) throws(BlockError) in
            try writeOut(offset, buffer)
            known = max(known, try length())
        }
    }

    private func writeOut(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        var done = 0
        while done < buffer.count {
            let result = requests.transfer(writes: true, buffer.slice(done, Int.max), Int(truncatingIfNeeded: offset) &+ done)
            if result < 0 {
                if errno == EINTR { continue }
                throw failure("writing \(buffer.count) bytes", offset)
            }
            done += result
        }
    }

    // MARK: Copying from file to file

    /// Copies bytes from another file by the host (copy_file_range(2)), which shares their space where the file system can.
    /// - Returns: how many were copied; fewer than `count` where the host does no more.
    func copy(from source: FileStorage, at start: UInt64, to offset: UInt64, _ count: UInt64) throws(BlockError) -> UInt64 {
        let (end, overflow) = offset.addingReportingOverflow(count)
        guard !overflow, end <= UInt64(Int64.max), start <= UInt64(Int64.max), !isDevice, !source.isDevice else { return 0 }
        if end <= growing.withLock({ $0 }) { return copyOut(source, start, offset, count) }
        return try growing.withLock { (known: inout UInt64) throws(BlockError) in
            let done = copyOut(source, start, offset, count)
            known = max(known, try length())
            return done
        }
    }

    private func copyOut(_ source: FileStorage, _ start: UInt64, _ offset: UInt64, _ count: UInt64) -> UInt64 {
        var done: UInt64 = 0
        while done < count {
            var from = Int64(start + done), to = Int64(offset + done)
            let result = withUnsafeMutablePointer(to: &from) { from in
                withUnsafeMutablePointer(to: &to) { to in
                    apus_syscall(Int(SYS_copy_file_range), Int(source.descriptor), Int(bitPattern: from), Int(descriptor), Int(bitPattern: to), Int(clamping: count - done), 0)
                }
            }
            if result == -Int(EINTR) { continue }
            if result <= 0 { break }
            done += UInt64(result)
        }
        return done
    }

    // MARK: Holes

    public func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        if try !zero(offset, count, unmap: unmap) { try writeZeroesAsData(offset, count) }
    }

    /// Zeros a range without writing it; false if the host cannot.
    private func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> Bool {
        guard offset <= UInt64(Int64.max), count <= UInt64(Int64.max) - offset else { return false }
        if isDevice {
            var range = (offset, count)
            return withUnsafeMutablePointer(to: &range) { ioctl(HostFileNumbers.blockZeroOut, Int(bitPattern: $0)) } == 0
        }
        if offset + count > (try length()) {
            // What lies beyond the end is made by lengthening the file.
            return try growing.withLock { (known: inout UInt64) throws(BlockError) -> Bool in
                let end = try length()
                if offset < end, !(try zero(offset, min(end - offset, count), unmap: unmap)) { return false }
                if offset + count <= end { return true }
                guard ftruncate(descriptor, Int(offset + count)) == 0 else { return false }
                known = offset + count
                return true
            }
        }
        if unmap, try punch(offset, count) { return true }
        guard canZero.withLock({ $0 }) else { return false }
        let problem = allocate(HostFileNumbers.zeroRange | HostFileNumbers.keepSize, offset, count)
        if problem == 0 { return true }
        if problem == ENOSPC { throw .host(problem, "zeroing \(count) bytes", offset: offset) }
        canZero.withLock { $0 = false }
        return false
    }

    /// fallocate(2), which the platform's module lacks. Returns 0 or an error number.
    private func allocate(_ mode: Int32, _ offset: UInt64, _ count: UInt64) -> Int32 {
        Int32(truncatingIfNeeded: -apus_syscall(Int(SYS_fallocate), Int(descriptor), Int(mode), Int(offset), Int(count), 0, 0))
    }

    private func punch(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Bool {
        guard canPunch.withLock({ $0 }) else { return false }
        let problem = allocate(HostFileNumbers.punchHole | HostFileNumbers.keepSize, offset, count)
        if problem == 0 { return true }
        if problem == EOPNOTSUPP || problem == ENOSYS { canPunch.withLock { $0 = false } }
        return false
    }

    public func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) {
        guard offset <= UInt64(Int64.max), count <= UInt64(Int64.max) - offset else { return }
        if isDevice {
            var range = (offset, count)
            _ = withUnsafeMutablePointer(to: &range) { ioctl(HostFileNumbers.blockDiscard, Int(bitPattern: $0)) }
        } else { _ = try punch(offset, count) }
    }

    public func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus {
        guard offset <= UInt64(Int64.max) else { return BlockStatus(length: count, isData: false, isZero: true) }
        let position = Int(offset)
        let data = lseek(descriptor, position, HostFileNumbers.seekData)
        func answer(_ end: UInt64, data: Bool) -> BlockStatus {
            BlockStatus(length: max(1, min(count, end &- offset)), isData: data, isZero: !data, offset: offset, file: path)
        }
        if data < 0 {
            // ENXIO: nothing but a hole up to the end. Anything else: the host does not know of holes.
            if errno == ENXIO { return answer(offset &+ count, data: false) }
            return answer(offset &+ count, data: true)
        }
        if data > position { return answer(UInt64(data), data: false) }
        let hole = lseek(descriptor, position, HostFileNumbers.seekHole)
        return answer(hole > position ? UInt64(hole) : offset &+ count, data: true)
    }

    // MARK: The whole file

    public func flush() throws(BlockError) {
        if ignoresFlush { return }
        guard requests.flush() == 0 else { throw failure("flushing", 0) }
    }

    public func setLength(_ length: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        guard !isDevice else {
            guard length <= (try self.length()) else { throw .unsupported("a device cannot grow") }
            return
        }
        guard length <= UInt64(Int64.max) else { throw .invalid("a length of \(length) bytes: expected less than 2^63") }
        let old = try self.length()
        try growing.withLock { (known: inout UInt64) throws(BlockError) in
            guard ftruncate(descriptor, Int(length)) == 0 else { throw failure("setting the length to \(length)", length) }
            known = length
        }
        guard length > old else { return }
        switch preallocation {
        case .off:
            // The first block of a new file is made data, as QEMU does: looking for its end is quick then, and hosts whose
            // alignment is found by trying have something to try on.
            if old == 0 { try write(0, bytes: [UInt8](repeating: 0, count: Int(min(length, 4096)))) }
        case .metadata: throw .unsupported("Unsupported preallocation mode 'metadata'")
        case .falloc:
            let result = posix_fallocate(descriptor, Int(old), Int(length - old))
            guard result == 0 else { throw .host(result, "Could not preallocate", offset: old) }
        case .full:
            let piece = try OwnedBuffer(1 << 20)
            piece.buffer.fill()
            var position = old
            while position < length {
                let part = piece.buffer.slice(0, length - position)
                try write(position, part)
                position += UInt64(part.count)
            }
            withExtendedLifetime(piece) {}
        }
    }

    public func lock(using: Permissions, sharing: Permissions) throws(BlockError) {
        if !isDevice, takesLocks { try locks.set(using: using, sharing: sharing) }
    }

    public func close() throws(BlockError) {
        requests.close()
        // Closing would not do: a process that was forked a moment ago holds the description, and its locks, too.
        try? lock(using: [], sharing: .all)
        guard Glibc.close(descriptor) == 0 else { throw failure("closing", 0) }
    }
}
