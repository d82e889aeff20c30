// Directories as they stand on the disk, made from what is in a folder, and times in them.

import Block
import Glibc

enum FATDirectory {
    static let readOnly: UInt8 = 1, volumeLabel: UInt8 = 8, directory: UInt8 = 0x10, archive: UInt8 = 0x20, longName: UInt8 = 0x0f

    /// Entries of the folder: those of the names, and its own and its parent's, or in the top folder the label.
    static func entryCount(_ folder: FolderItem, isTop: Bool) -> Int {
        folder.children.values.reduce(isTop ? 1 : 2) { $0 + 1 + FATNames.longEntries($1.fatName, short: $1.shortName).count / FATNames.entrySize }
    }

    /// - Parameter label: 11 bytes, for the top folder.
    static func encoded(_ folder: FolderItem, label: [UInt8]?) -> [UInt8] {
        var bytes: [UInt8] = []
        if let label {
            bytes += entry(label, volumeLabel, start: 0, size: 0, modified: folder.modified)
        } else {
            let dot = UInt8(ascii: "."), space = UInt8(ascii: " ")
            bytes += entry([dot] + [UInt8](repeating: space, count: 10), directory, start: folder.firstCluster, size: 0, modified: folder.modified)
            // The top folder is 0 here, whatever its cluster.
            let parent = folder.parent?.parent == nil ? 0 : folder.parent?.firstCluster ?? 0
            bytes += entry([dot, dot] + [UInt8](repeating: space, count: 9), directory, start: parent, size: 0, modified: folder.modified)
        }
        for child in folder.sorted {
            bytes += FATNames.longEntries(child.fatName, short: child.shortName)
            let attributes = (child.isDirectory ? directory : archive) | (child.isReadOnly && !child.isDirectory ? readOnly : 0)
            bytes += entry(child.shortName, attributes, start: child.firstCluster, size: child.size, modified: child.modified)
        }
        return bytes
    }

    private static func entry(_ name: [UInt8], _ attributes: UInt8, start: UInt32, size: UInt32, modified: Int) -> [UInt8] {
        var entry = Array(name.prefix(11)) + [UInt8](repeating: 0, count: 21)
        func put(_ value: UInt32, _ count: Int, at place: Int) { for byte in 0..<count { entry[place + byte] = UInt8(value >> (8 * UInt32(byte)) & 0xff) } }
        entry[11] = attributes
        let (date, time) = stamp(modified)
        put(UInt32(time), 2, at: 14)
        put(UInt32(date), 2, at: 16)
        put(UInt32(date), 2, at: 18)
        put(start >> 16, 2, at: 20)
        put(UInt32(time), 2, at: 22)
        put(UInt32(date), 2, at: 24)
        put(start & 0xffff, 2, at: 26)
        put(size, 4, at: 28)
        return entry
    }

    // MARK: times, which are local

    /// Seconds since 1970 as FAT has them: from 1980 to 2107.
    static func stamp(_ seconds: Int) -> (date: UInt16, time: UInt16) {
        var time = time_t(seconds), parts = tm()
        guard localtime_r(&time, &parts) != nil, parts.tm_year >= 80 else { return (0x21, 0) }
        guard parts.tm_year <= 207 else { return (0xff9f, 0xbf7d) }
        return (UInt16(parts.tm_year - 80) << 9 | UInt16(parts.tm_mon + 1) << 5 | UInt16(parts.tm_mday),
                UInt16(parts.tm_hour) << 11 | UInt16(parts.tm_min) << 5 | UInt16(min(parts.tm_sec, 59) / 2))
    }

    /// Seconds since 1970; nil if it is no time.
    static func seconds(date: UInt16, time: UInt16) -> Int? {
        var parts = tm()
        parts.tm_year = Int32(date >> 9) + 80
        parts.tm_mon = Int32(date >> 5 & 15) - 1
        parts.tm_mday = Int32(date & 31)
        parts.tm_hour = Int32(time >> 11)
        parts.tm_min = Int32(time >> 5 & 63)
        parts.tm_sec = Int32(time & 31) * 2
        parts.tm_isdst = -1
        guard (0..<12).contains(parts.tm_mon), parts.tm_mday > 0, parts.tm_hour < 24, parts.tm_min < 60 else { return nil }
        let result = mktime(&parts)
        return result == -1 ? nil : result
    }
}
