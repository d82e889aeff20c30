import Glibc

/// An open file that is to be run, read through checked positional reads.
package final class ProgramFile: Sendable {
    /// The name to show in messages.
    package let name: String
    package let descriptor: Int32
    package let size: UInt64
    /// Its first bytes: up to 256, as Linux looks at for `#!`.
    package let head: [UInt8]

    /// Opens `path` for running.
    /// - Throws: the errno of `execve`: EACCES for what is not a regular file with an execute bit.
    package init(path bytes: [UInt8], name: String? = nil) throws(HostError) {
        self.name = name ?? String(decoding: bytes, as: UTF8.self)
        let path = bytes.map { CChar(bitPattern: $0) } + [0]
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw HostError(errno) }
        var status = stat()
        guard fstat(fd, &status) == 0 else {
            let code = errno
            close(fd)
            throw HostError(code)
        }
        guard status.st_mode & S_IFMT == S_IFREG, access(path, X_OK) == 0 else {
            close(fd)
            throw HostError(EACCES)
        }
        descriptor = fd
        size = UInt64(max(status.st_size, 0))
        head = ProgramFile.read(fd, 0, 256) ?? []
    }

    /// Takes over `descriptor`, which the kernel opened because the file may be run; it need not be readable by us.
    package init(descriptor: Int32, name: String) throws(HostError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw HostError(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw HostError(EACCES) }
        self.name = name
        self.descriptor = descriptor
        size = UInt64(max(status.st_size, 0))
        head = ProgramFile.read(descriptor, 0, 256) ?? []
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(descriptor) }

    /// `count` bytes from `offset`, or nil if the file ends before.
    package func bytes(_ offset: UInt64, _ count: Int) -> [UInt8]? {
        guard offset <= size, UInt64(max(count, 0)) <= size &- offset else { return nil }
        guard let bytes = ProgramFile.read(descriptor, offset, count), bytes.count == count else { return nil }
        return bytes
    }

    /// Up to `count` bytes from `offset`.
    private static func read(_ fd: Int32, _ offset: UInt64, _ count: Int) -> [UInt8]? {
        guard count > 0, offset <= UInt64(Int64.max) else { return count == 0 ? [] : nil }
        var failed = false
        let result = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while initialized < count {
                let n = pread(fd, buffer.baseAddress.map { $0 + initialized }, count &- initialized,
                              off_t(offset) &+ off_t(initialized))
                if n < 0, errno == EINTR { continue }
                if n < 0 { failed = true }
                guard n > 0 else { return }
                initialized += n
            }
        }
        return failed ? nil : result
    }
}

/// An error number of the host, as a typed error.
package struct HostError: Error, Equatable, Sendable {
    package let code: Int32
    package init(_ code: Int32) { self.code = code }
    /// The C library's text for it.
    package static func text(_ code: Int32) -> String { strerror(code).map { String(cString: $0) } ?? "error \(code)" }
    package var text: String { HostError.text(code) }
}
