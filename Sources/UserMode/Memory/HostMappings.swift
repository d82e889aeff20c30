import Glibc

/// The host process's own mappings, from `/proc/self/maps` (proc_pid_maps(5)). Read only when the quick rules of
/// `AddressLayout` cannot keep Apus and guest apart.
enum HostMappings {
    /// Mapped stretches that begin below `limit`, in ascending order; a heap gets room to grow.
    static func below(_ limit: UInt64) -> [(UInt64, UInt64)] {
        var result: [(UInt64, UInt64)] = []
        for line in readWhole("/proc/self/maps").split(separator: UInt8(ascii: "\n")) {
            var at = line.startIndex
            let start = hex(line, &at)
            guard at < line.endIndex else { continue }
            at += 1
            var end = hex(line, &at)
            guard start < limit, end > start else { continue }
            if line.hasSuffix("[heap]".utf8) { end = min(end &+ (256 << 20), limit) }
            result.append((start, min(end, limit)))
        }
        return result
    }

    private static func hex(_ line: ArraySlice<UInt8>, _ at: inout Int) -> UInt64 {
        var value: UInt64 = 0
        while at < line.endIndex {
            let c = line[at]
            switch c {
            case 48...57: value = value &<< 4 | UInt64(c &- 48)
            case 97...102: value = value &<< 4 | UInt64(c &- 87)
            default: return value
            }
            at += 1
        }
        return value
    }

    private static func readWhole(_ path: String) -> [UInt8] {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return [] }
        defer { close(fd) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let n = read(fd, &chunk, chunk.count)
            guard n > 0 else { return bytes }
            bytes += chunk[..<n]
        }
    }
}

extension ArraySlice<UInt8> {
    fileprivate func hasSuffix(_ suffix: String.UTF8View) -> Bool { self.suffix(suffix.count).elementsEqual(suffix) }
}
