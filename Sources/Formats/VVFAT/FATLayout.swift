// The geometry of a FAT disk: where its parts are, and the sectors before the first FAT (Microsoft, "FAT: General Overview
// of On-Disk Format", 1.03). The sizes are those that QEMU's vvfat gives its disks, so that guests see the same disk.

import Block

/// How wide the FAT's entries are: 12, 16 or 32 bits.
enum FATKind: Int, Sendable {
    case fat12 = 12, fat16 = 16, fat32 = 32

    /// Entries from here on are no clusters: bad (0x…7), or the end of a chain (0x…8 and more).
    var firstReserved: UInt32 {
        switch self {
        case .fat12: 0xff7
        case .fat16: 0xfff7
        case .fat32: 0x0fff_fff7
        }
    }
    var endOfChain: UInt32 { firstReserved | 0xf }
}

/// A disk's layout. Sectors have 512 bytes and are counted from the start of the disk.
struct FATLayout: Sendable {
    static let sectorSize = 512
    let kind: FATKind
    let isFloppy: Bool
    let heads: UInt32
    let sectorsPerTrack: UInt32
    let diskSectors: UInt32
    /// The volume's first sector: after the partition table's track; 0 on a floppy disk, which has none.
    let volumeStart: UInt32
    let sectorsPerCluster: UInt32
    let reservedSectors: UInt32
    let sectorsPerFAT: UInt32
    /// Of the root directory before FAT32, where it is no chain of clusters.
    let rootEntries: UInt32
    /// They are numbered from 2.
    let clusters: UInt32

    var fatStart: UInt32 { volumeStart + reservedSectors }
    var rootStart: UInt32 { fatStart + 2 * sectorsPerFAT }
    var rootSectors: UInt32 { rootEntries / 16 }
    var dataStart: UInt32 { rootStart + rootSectors }
    var clusterSize: Int { Int(sectorsPerCluster) * FATLayout.sectorSize }
    var mediaDescriptor: UInt8 { isFloppy ? 0xf0 : 0xf8 }
    /// No cluster has this number or a higher one.
    var clusterEnd: UInt32 { clusters + 2 }
    func sector(ofCluster cluster: UInt32) -> UInt32 { dataStart + (cluster - 2) * sectorsPerCluster }

    /// - Parameters: `kind`: nil: what is usual for such a disk. `rootItems`: entries in the root directory. `bytes`: of all
    ///   files, rounded up to clusters of 32 KiB, for a FAT32 disk, which becomes larger if it must.
    /// - Throws: `invalid`: there is no such disk.
    init(_ wish: FATKind?, isFloppy: Bool, rootItems: Int, bytes: UInt64) throws(BlockError) {
        let kind = wish ?? (isFloppy ? .fat12 : .fat16)
        self.kind = kind
        self.isFloppy = isFloppy
        if isFloppy {
            guard kind != .fat32 else { throw .invalid("a floppy disk has fat-type=12 or fat-type=16") }
            heads = 2
            // 2.88 MB, and 1.44 MB with FAT12 asked for.
            sectorsPerTrack = wish == .fat12 ? 18 : 36
            diskSectors = 80 * 2 * sectorsPerTrack
            sectorsPerCluster = wish == nil ? 2 : 1
            volumeStart = 0
        } else {
            sectorsPerTrack = 63
            volumeStart = 63
            let small: UInt64 = (kind == .fat12 ? 64 : 1024) * 16 * 63
            let wanted = kind == .fat32 ? max(small, (bytes * 2).divided(roundingUpBy: 255 * 63 * 512) * 255 * 63) : small
            guard wanted < UInt64(UInt32.max) else { throw .invalid("\(bytes) bytes in files are too many for a FAT32 disk, which has at most 2 TiB") }
            heads = wanted > small ? 255 : 16
            diskSectors = UInt32(wanted)
            let gigabytes = wanted >> 21
            sectorsPerCluster = kind == .fat32 ? (gigabytes < 8 ? 8 : gigabytes < 16 ? 16 : gigabytes < 32 ? 32 : 64) : 16
        }
        reservedSectors = kind == .fat32 ? 32 : 1
        let leastRoot: UInt32 = isFloppy ? (wish == .fat12 ? 224 : 240) : 512
        guard rootItems < 65000 else { throw .invalid("\(rootItems) entries in the top folder are too many: at most 65000") }
        rootEntries = kind == .fat32 ? 0 : max(leastRoot, (UInt32(rootItems) + 15) / 16 * 16)
        // The FATs describe what they leave.
        var perFAT: UInt32 = 1, count: UInt32 = 0
        while true {
            let taken = reservedSectors + rootEntries / 16 + 2 * perFAT
            guard taken < diskSectors - volumeStart else { throw .invalid("the top folder has too many entries for such a disk") }
            count = (diskSectors - volumeStart - taken) / sectorsPerCluster
            let needed = UInt32((UInt64(count + 2) * UInt64(kind.rawValue)).divided(roundingUpBy: 8 * 512))
            if needed <= perFAT { break }
            perFAT = needed
        }
        sectorsPerFAT = perFAT
        clusters = count
    }

    // MARK: the sectors before the FATs

    /// A sector number as cylinder, head and sector; the highest there is where they do not reach.
    private func geometry(of sector: UInt32) -> [UInt8] {
        let cylinder = sector / (heads * sectorsPerTrack)
        guard cylinder < 1024 else { return [UInt8(heads - 1), 0xff, 0xff] }
        let head = sector / sectorsPerTrack % heads, place = sector % sectorsPerTrack + 1
        return [UInt8(head), UInt8(place | (cylinder >> 8) << 6), UInt8(cylinder & 0xff)]
    }

    /// The master boot record: one active partition.
    var partitionTable: [UInt8] {
        get throws(BlockError) {
            var sector = Bytes([UInt8](repeating: 0, count: 512), order: .little)
            try sector.set(440, UInt32(0x7573_7041))
            let type: UInt8 = switch kind {
            case .fat12: 0x01
            case .fat16: 0x06
            case .fat32: 0x0c
            }
            try sector.set(446, bytes: [0x80] + geometry(of: volumeStart) + [type] + geometry(of: diskSectors - 1))
            try sector.set(454, volumeStart)
            try sector.set(458, diskSectors - volumeStart)
            try sector.set(510, bytes: [0x55, 0xaa])
            return sector.array
        }
    }

    /// The reserved sectors: the boot sector, and with FAT32 its information sector and their copies.
    /// - Parameters: `label`: 11 bytes. `free`: clusters that nothing takes. `next`: the first of them.
    func reserved(label: [UInt8], free: UInt32, next: UInt32) throws(BlockError) -> [UInt8] {
        var boot = Bytes([UInt8](repeating: 0, count: 512), order: .little)
        let codeStart: UInt8 = kind == .fat32 ? 90 : 62
        try boot.set(0, bytes: [0xeb, codeStart - 2, 0x90] + Array("MSWIN4.1".utf8))
        try boot.set(11, UInt16(512))
        try boot.set(13, UInt8(sectorsPerCluster))
        try boot.set(14, UInt16(reservedSectors))
        try boot.set(16, UInt8(2))
        try boot.set(17, UInt16(rootEntries))
        let sectors = diskSectors - volumeStart
        if sectors < 65536, kind != .fat32 { try boot.set(19, UInt16(sectors)) } else { try boot.set(32, sectors) }
        try boot.set(21, mediaDescriptor)
        if kind != .fat32 { try boot.set(22, UInt16(sectorsPerFAT)) }
        try boot.set(24, UInt16(sectorsPerTrack))
        try boot.set(26, UInt16(heads))
        try boot.set(28, volumeStart)
        if kind == .fat32 {
            try boot.set(36, sectorsPerFAT)
            try boot.set(44, UInt32(2))
            try boot.set(48, UInt16(1))
            try boot.set(50, UInt16(6))
        }
        let extended = kind == .fat32 ? 64 : 36
        try boot.set(extended, bytes: [isFloppy ? 0 : 0x80, 0, 0x29])
        try boot.set(extended + 3, UInt32(0xfabe_1afd))
        try boot.set(extended + 7, bytes: label + Array("FAT\(kind.rawValue)   ".utf8))
        // Started as a boot disk, it lets the firmware try the next one.
        try boot.set(Int(codeStart), bytes: [0xcd, 0x18, 0xf4, 0xeb, 0xfd])
        try boot.set(510, bytes: [0x55, 0xaa])
        guard kind == .fat32 else { return boot.array }

        var information = Bytes([UInt8](repeating: 0, count: 512), order: .little)
        try information.set(0, UInt32(0x4161_5252))
        try information.set(484, UInt32(0x6141_7272))
        try information.set(488, free)
        try information.set(492, next)
        try information.set(508, UInt32(0xaa55_0000))
        var all = Bytes([UInt8](repeating: 0, count: Int(reservedSectors) * 512), order: .little)
        for start in [0, 6 * 512] {
            try all.set(start, bytes: boot.array)
            try all.set(start + 512, bytes: information.array)
            try all.set(start + 1024 + 508, UInt32(0xaa55_0000))
        }
        return all.array
    }

    // MARK: FATs

    /// A FAT as it stands on the disk, of entries from cluster 0.
    func encoded(_ entries: [UInt32]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(sectorsPerFAT) * 512)
        for (index, entry) in entries.enumerated() {
            switch kind {
            case .fat12:
                let at = index * 3 / 2
                guard at + 1 < bytes.count else { break }
                if index & 1 == 0 {
                    bytes[at] = UInt8(entry & 0xff)
                    bytes[at + 1] |= UInt8(entry >> 8 & 0xf)
                } else {
                    bytes[at] |= UInt8(entry << 4 & 0xf0)
                    bytes[at + 1] = UInt8(entry >> 4 & 0xff)
                }
            case .fat16:
                guard index * 2 + 1 < bytes.count else { break }
                for byte in 0..<2 { bytes[index * 2 + byte] = UInt8(entry >> (8 * UInt32(byte)) & 0xff) }
            case .fat32:
                guard index * 4 + 3 < bytes.count else { break }
                for byte in 0..<4 { bytes[index * 4 + byte] = UInt8(entry >> (8 * UInt32(byte)) & 0xff) }
            }
        }
        return bytes
    }

    /// The entry of a cluster in a FAT as it stands on the disk.
    func entry(_ cluster: UInt32, in fat: [UInt8]) -> UInt32 {
        func byte(_ index: Int) -> UInt32 { index < fat.count ? UInt32(fat[index]) : 0 }
        let index = Int(cluster)
        switch kind {
        case .fat12:
            let pair = byte(index * 3 / 2) | byte(index * 3 / 2 + 1) << 8
            return index & 1 == 0 ? pair & 0xfff : pair >> 4
        case .fat16: return byte(index * 2) | byte(index * 2 + 1) << 8
        case .fat32: return (byte(index * 4) | byte(index * 4 + 1) << 8 | byte(index * 4 + 2) << 16 | byte(index * 4 + 3) << 24) & 0x0fff_ffff
        }
    }
}
