// qcow2: how large a file will be.

import Block

/// Sums of clusters, for `measure` and preallocation.
enum QCOW2Size {
    /// Bytes of a file for `size` bytes of disk, all allocated.
    static func allocated(_ size: UInt64, _ header: QCOW2Header) -> UInt64 {
        let cluster = header.clusterSize
        let data = size.divided(roundingUpBy: cluster)
        let l2 = data.divided(roundingUpBy: header.l2Entries)
        let l1 = (l2 * 8).divided(roundingUpBy: cluster)
        let others = 1 + l2 + l1 + data
        // Refcounts count themselves.
        var blocks: UInt64 = 0, table: UInt64 = 0
        while true {
            let need = (others + blocks + table).divided(roundingUpBy: header.refcountEntries)
            let needTable = (need * 8).divided(roundingUpBy: cluster)
            if need <= blocks, needTable <= table { break }
            (blocks, table) = (max(need, blocks), max(needTable, table))
        }
        return (others + blocks + table) * cluster
    }

    /// Bytes that copies of bitmaps will take.
    static func bitmaps(_ records: [BitmapRecord], _ size: UInt64, _ cluster: UInt64) -> UInt64 {
        var total: UInt64 = 0, directory: UInt64 = 0
        for record in records where !record.isInconsistent {
            let bytes = size.divided(roundingUpBy: record.granularity).divided(roundingUpBy: 8)
            let clusters = bytes.divided(roundingUpBy: cluster)
            total += clusters * cluster + (clusters * 8).divided(roundingUpBy: cluster) * cluster
            directory += (24 + UInt64(record.name.utf8.count) + 7) / 8 * 8
        }
        return total + directory.divided(roundingUpBy: cluster) * cluster
    }
}

extension QCOW2Format: MeasurableFormat {
    public static func measure(_ options: OptionValues, size given: UInt64, source: Node?) throws(BlockError) -> Measurement {
        let header = try header(options)
        let cluster = header.clusterSize
        guard let size = given.roundedUp(to: 512), size <= 1 << 62, size.divided(roundingUpBy: header.l2Coverage) * 8 <= QCOW2Header.largestL1 else {
            throw .invalid("The image size is too large (try using a larger cluster size)")
        }
        var full = QCOW2Size.allocated(size, header)
        if header.cryptMethod == QCOW2Encryption.luksMethod {
            full += try LUKSVolume.length(options, prefix: QCOW2Encryption.prefix).divided(roundingUpBy: cluster) * cluster
        }
        var result = Measurement(required: full, fullyAllocated: full)
        let data = size.divided(roundingUpBy: cluster) * cluster
        let mode = options.text("preallocation") ?? "off"
        if mode == "off" || mode == "metadata" {
            result.required -= data
            if let source { result.required += try stored(source, size, cluster, aboveBacking: header.backingName != nil) }
        }
        if header.version >= 3, let image = source?.image as? any BitmappedImage { result.bitmaps = QCOW2Size.bitmaps(image.bitmaps, size, cluster) }
        return result
    }

    /// Bytes in clusters that hold data of `source`.
    private static func stored(_ source: Node, _ size: UInt64, _ cluster: UInt64, aboveBacking: Bool) throws(BlockError) -> UInt64 {
        var position: UInt64 = 0, total: UInt64 = 0
        let length = min(size, try source.length())
        while position < length {
            let status = aboveBacking ? try source.status(position, length - position) : try source.chainStatus(position, length - position)
            var step = max(1, min(status.length, length - position))
            if !status.isZero, status.isAllocated {
                total += (position % cluster + step).divided(roundingUpBy: cluster) * cluster
                // To the end of the cluster, so that it is counted once.
                step = (position + step).divided(roundingUpBy: cluster) * cluster - position
            }
            position += step
        }
        return total
    }
}
