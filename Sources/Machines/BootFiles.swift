// What a person asks to be loaded: files with their contents, and where those can be read again at a reset.

import Glibc

/// Firmware, kernel and what goes with them.
public struct BootFiles: Sendable {
    /// Unpacked contents and names for messages.
    public struct File: Sendable {
        public var name: String
        public var bytes: [UInt8]
        /// Where `bytes` came from as they are; nil: from nowhere, or they were packed.
        public var origin: FileOrigin?
        public init(name: String, bytes: [UInt8], origin: FileOrigin? = nil) {
            self.name = name
            self.bytes = bytes
            self.origin = origin
        }
    }
    public var firmware: File?
    public var kernel: File?
    public var initrd: File?
    public var deviceTree: File?
    public var commandLine: String?
    public init() {}
}

/// A file that stays open, so that what was loaded of it need not be kept in memory.
public final class FileOrigin: Sendable {
    private let descriptor: Int32
    private let length: Int
    private let seconds: Int, nanoseconds: Int

    /// - Parameter descriptor: of a file that was read whole just now; duplicated.
    /// - Returns: nil if the host has no descriptor left.
    public init?(_ descriptor: Int32) {
        var status = stat()
        let own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard own >= 0, fstat(own, &status) == 0 else {
            if own >= 0 { close(own) }
            return nil
        }
        self.descriptor = own
        (length, seconds, nanoseconds) = (Int(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }

    deinit { close(descriptor) }

    /// Whether somebody has written to the file since.
    var hasChanged: Bool {
        var status = stat()
        return fstat(descriptor, &status) != 0 || Int(status.st_size) != length || status.st_mtim.tv_sec != seconds || status.st_mtim.tv_nsec != nanoseconds
    }

    /// Calls `body` with pieces of `count` bytes from `offset` on, in order, each with its place from `offset` on.
    /// - Returns: false if the file has fewer, or `body` did.
    func forEachPiece(_ offset: Int, _ count: Int, _ body: (_ place: Int, UnsafeRawBufferPointer) -> Bool) -> Bool {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, min(count, 1 << 20)), alignment: 4096)
        defer { buffer.deallocate() }
        var done = 0
        while done < count {
            let got = pread(descriptor, buffer.baseAddress, min(buffer.count, count - done), offset + done)
            guard got > 0, body(done, UnsafeRawBufferPointer(rebasing: buffer[..<got])) else { return false }
            done += got
        }
        return true
    }
}
