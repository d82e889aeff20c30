// `vFile:` packets ("Host I/O Packets", "File-I/O Remote Protocol Extension" in gdb's manual): the debugger reads files
// through the target, which is how it finds a program and its libraries. Reading only: what would write is refused.

import Glibc

/// The files that a session has open.
struct OpenFiles {
    private var descriptors: Set<Int32> = []
    /// Opening more is refused.
    private static let limit = 64

    mutating func closeAll() {
        for descriptor in descriptors { Glibc.close(descriptor) }
        descriptors = []
    }

    mutating func respond(_ scanner: inout PacketScanner, _ system: (any DebugOperatingSystem)?) -> [UInt8] {
        guard let system else { return [] }
        if scanner.take("setfs:") { return Self.result(0) }
        if scanner.take("open:") { return open(&scanner, system) }
        if scanner.take("pread:") { return read(&scanner) }
        if scanner.take("fstat:") { return status(&scanner) }
        if scanner.take("close:") { return close(&scanner) }
        if scanner.take("readlink:") { return readLink(&scanner, system) }
        return []
    }

    private static func result(_ value: Int) -> [UInt8] { Array(("F" + String(value, radix: 16)).utf8) }

    private static func failure(_ error: Int32) -> [UInt8] {
        // The protocol's numbers, which are mostly the traditional ones.
        let known: Set<Int32> = [EPERM, ENOENT, EINTR, EBADF, EACCES, EFAULT, EBUSY, EEXIST, ENODEV, ENOTDIR, EISDIR, EINVAL, ENFILE,
                                 EMFILE, EFBIG, ENOSPC, ESPIPE, EROFS]
        let number = error == ENAMETOOLONG ? 91 : known.contains(error) ? error : 9999
        return Array(("F-1," + String(number, radix: 16)).utf8)
    }

    private mutating func open(_ scanner: inout PacketScanner, _ system: any DebugOperatingSystem) -> [UInt8] {
        guard let path = Hexadecimal.decode(scanner.field(until: UInt8(ascii: ","))), !path.isEmpty, !path.contains(0),
              let flags = scanner.number() else { return Self.failure(EINVAL) }
        // The lowest two bits: 0 reads.
        guard flags & 3 == 0, flags & 0x600 == 0 else { return Self.failure(EACCES) }
        guard descriptors.count < Self.limit else { return Self.failure(EMFILE) }
        let descriptor = system.openFile(path, flags: O_RDONLY, mode: 0)
        guard descriptor >= 0 else { return Self.failure(descriptor == Int32.min ? EINVAL : -descriptor) }
        descriptors.insert(descriptor)
        return Self.result(Int(descriptor))
    }

    private func descriptor(_ scanner: inout PacketScanner) -> Int32? {
        guard let number = scanner.count(limit: Int(Int32.max)) else { return nil }
        let descriptor = Int32(number)
        return descriptors.contains(descriptor) ? descriptor : nil
    }

    private func read(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let descriptor = descriptor(&scanner), scanner.take(","), let count = scanner.count(limit: .max), scanner.take(","),
              let offset = scanner.count(limit: .max) else { return Self.failure(EBADF) }
        var bytes = [UInt8](repeating: 0, count: min(count, RemoteSession.packetSize / 2 &- 16))
        let got = pread(descriptor, &bytes, bytes.count, offset)
        guard got >= 0 else { return Self.failure(errno) }
        return Self.result(got) + [UInt8(ascii: ";")] + bytes[..<got]
    }

    /// The structure of "struct stat" in the File-I/O chapter: big-endian, 64 bytes.
    private func status(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let descriptor = descriptor(&scanner) else { return Self.failure(EBADF) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return Self.failure(errno) }
        var bytes: [UInt8] = []
        func put(_ value: some BinaryInteger, _ size: Int) {
            let bits = UInt64(truncatingIfNeeded: value)
            for index in 0 ..< size { bytes.append(UInt8(truncatingIfNeeded: bits &>> UInt64(8 &* (size &- 1 &- index)))) }
        }
        put(status.st_dev, 4)
        put(status.st_ino, 4)
        put(status.st_mode, 4)
        put(status.st_nlink, 4)
        put(status.st_uid, 4)
        put(status.st_gid, 4)
        put(status.st_rdev, 4)
        put(status.st_size, 8)
        put(status.st_blksize, 8)
        put(status.st_blocks, 8)
        put(status.st_atim.tv_sec, 4)
        put(status.st_mtim.tv_sec, 4)
        put(status.st_ctim.tv_sec, 4)
        return Self.result(bytes.count) + [UInt8(ascii: ";")] + bytes
    }

    private mutating func close(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let descriptor = descriptor(&scanner) else { return Self.failure(EBADF) }
        descriptors.remove(descriptor)
        Glibc.close(descriptor)
        return Self.result(0)
    }

    private func readLink(_ scanner: inout PacketScanner, _ system: any DebugOperatingSystem) -> [UInt8] {
        guard let path = Hexadecimal.decode(scanner.rest), !path.isEmpty, !path.contains(0) else { return Self.failure(EINVAL) }
        guard let target = system.readLink(path) else { return Self.failure(EINVAL) }
        return Self.result(target.count) + [UInt8(ascii: ";")] + target
    }
}
