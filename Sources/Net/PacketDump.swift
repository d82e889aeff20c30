// Writes frames into a file that tcpdump and Wireshark read: libpcap's format, version 2.4, link type Ethernet.

import Core
import Glibc
import Host

final class PacketDump: FrameObserver {
    private let file: Int32
    private let limit: Int
    private let lock = Locked(())

    init(path: String, limit: Int) throws(ConfigurationError) {
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw ConfigurationError("filter-dump: '\(path)': \(String(cString: strerror(errno)))") }
        self.limit = limit
        // Magic, version 2.4, time zone, accuracy, the longest frame, Ethernet.
        let header: [UInt32] = [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, UInt32(clamping: limit), 1]
        _ = header.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
    }

    deinit { close(file) }

    func observe(_ frame: UnsafeRawBufferPointer, isFromCard: Bool) {
        var time = timeval()
        gettimeofday(&time, nil)
        let kept = min(frame.count, limit)
        var header: [UInt32] = [UInt32(truncatingIfNeeded: time.tv_sec), UInt32(truncatingIfNeeded: time.tv_usec), UInt32(clamping: kept), UInt32(clamping: frame.count)]
        lock.withLock { _ in
            header.withUnsafeMutableBytes { head in
                var parts = [iovec(iov_base: head.baseAddress, iov_len: head.count), iovec(iov_base: UnsafeMutableRawPointer(mutating: frame.baseAddress), iov_len: kept)]
                _ = writev(file, &parts, 2)
            }
        }
    }
}
