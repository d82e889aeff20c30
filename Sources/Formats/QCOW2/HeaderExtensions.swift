// qcow2: the header extensions: runs of (type, length, data padded to 8 bytes) between the header and the name of the
// backing file. What is unknown is kept.

import Block

/// One entry of the feature name table.
struct QCOW2FeatureName: Sendable {
    var word: UInt8
    var bit: UInt8
    var name: String
}

extension QCOW2Header {
    private static let backingFormatType: UInt32 = 0xe279_2aca
    private static let namesType: UInt32 = 0x6803_f857
    private static let bitmapsType: UInt32 = 0x2385_2875
    private static let encryptionType: UInt32 = 0x0537_be77
    private static let dataFileType: UInt32 = 0x4441_5441

    /// Reads the extensions in `area`; returns the feature names.
    mutating func readExtensions(_ area: Bytes, from start: Int, to end: Int) throws(BlockError) -> [QCOW2FeatureName] {
        var names: [QCOW2FeatureName] = []
        var position = start
        while position <= end - 8 {
            let type = try area.u32(position)
            let length = Int(try area.u32(position + 4))
            if type == 0 { break }
            position += 8
            guard length <= end - position else {
                throw .corrupt(at: UInt64(position), "Header extension too large: \(length) bytes, expected at most \(end - position)")
            }
            let data = Bytes(try area.slice(position, length), at: UInt64(position), order: .big)
            switch type {
            case QCOW2Header.backingFormatType:
                guard length < 16 else { throw .corrupt(at: UInt64(position), "ERROR: ext_backing_format: len=\(length) too large (>=16)") }
                backingFormat = String(decoding: data.array, as: UTF8.self)
            case QCOW2Header.namesType:
                for entry in 0..<min(length / 48, 192) {
                    names.append(QCOW2FeatureName(word: try data.u8(entry * 48), bit: try data.u8(entry * 48 + 1), name: try data.text(entry * 48 + 2, 46)))
                }
            case QCOW2Header.bitmapsType: try readBitmapArea(data)
            case QCOW2Header.encryptionType:
                guard cryptMethod == 2 else { throw .corrupt(at: UInt64(position), "CRYPTO header extension only expected with LUKS encryption method") }
                let place = (offset: try data.u64(0), length: try data.u64(8))
                guard isCluster(place.offset), place.length <= UInt64(Node.largestMetadata) else { throw .corrupt(at: UInt64(position), "Encryption header offset invalid") }
                encryption = place
            case QCOW2Header.dataFileType: dataFileName = String(decoding: data.array, as: UTF8.self)
            default: unknownExtensions.append((type, data.array))
            }
            position += (length + 7) / 8 * 8
        }
        if version >= 3, autoclear & QCOW2Feature.bitmaps != 0, bitmaps == nil {
            // The bit without the extension: nothing is consistent, nothing is there.
            autoclear &= ~QCOW2Feature.bitmaps
        }
        return names
    }

    private mutating func readBitmapArea(_ data: Bytes) throws(BlockError) {
        guard data.count == 24 else { throw .corrupt(at: data.origin, "bitmaps_ext: Invalid extension length") }
        // Without its autoclear bit, the extension is of another time: whoever wrote last did not know it.
        guard autoclear & QCOW2Feature.bitmaps != 0 else { return }
        guard try data.u32(4) == 0 else { throw .corrupt(at: data.origin, "bitmaps_ext: Reserved field is not zero") }
        let area = QCOW2BitmapArea(count: try data.u32(0), size: try data.u64(8), offset: try data.u64(16))
        guard area.count > 0, area.count <= 65535 else { throw .corrupt(at: data.origin, "bitmaps_ext: found bitmaps extension with \(area.count) bitmaps") }
        guard isCluster(area.offset), area.offset != 0 else { throw .corrupt(at: data.origin, "bitmaps_ext: invalid bitmap directory offset") }
        guard area.size <= UInt64(area.count) * (24 + 1023 + 1), area.size <= UInt64(Node.largestMetadata) else {
            throw .corrupt(at: data.origin, "bitmaps_ext: bitmap directory size (\(area.size)) exceeds the maximum supported size")
        }
        bitmaps = area
    }

    /// The extensions as the file holds them, end marker included.
    func encodedExtensions(withNames: Bool) -> [UInt8] {
        var out: [UInt8] = []
        func put(_ value: UInt64, _ bytes: Int) { for byte in (0..<bytes).reversed() { out.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) } }
        func add(_ type: UInt32, _ data: [UInt8]) {
            put(UInt64(type), 4)
            put(UInt64(data.count), 4)
            out += data
            while out.count % 8 != 0 { out.append(0) }
        }
        if backingName != nil, let backingFormat { add(QCOW2Header.backingFormatType, Array(backingFormat.utf8)) }
        if hasDataFile, let dataFileName { add(QCOW2Header.dataFileType, Array(dataFileName.utf8)) }
        if let encryption {
            put(UInt64(QCOW2Header.encryptionType), 4)
            put(16, 4)
            put(encryption.offset, 8)
            put(encryption.length, 8)
        }
        if withNames {
            add(QCOW2Header.namesType, QCOW2Feature.names.flatMap { name in
                let text = Array(name.2.utf8).prefix(46)
                return [name.0, name.1] + text + [UInt8](repeating: 0, count: 46 - text.count)
            })
        }
        if let bitmaps {
            put(UInt64(QCOW2Header.bitmapsType), 4)
            put(24, 4)
            put(UInt64(bitmaps.count), 4)
            put(0, 4)
            put(bitmaps.size, 8)
            put(bitmaps.offset, 8)
        }
        for one in unknownExtensions { add(one.type, one.data) }
        put(0, 8)
        return out
    }
}
