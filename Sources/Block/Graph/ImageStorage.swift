// Drives an image: formats answer where bytes live, this reads and writes them. Backing chains, copy-on-write,
// expansion of compressed units, and the lock over guest ranges that keeps a format's answers true are all here, once.

import Host

/// An image as storage.
public final class ImageStorage: VectoredStorage, ResizableStorage {
    public let image: any Image
    let writable: (any WritableImage)?
    /// Nodes that hold the image's bytes; flushed after its metadata.
    private let files: [Node]
    private let backingNode: Locked<Node?>
    /// Set for raw images whose format was guessed: refuses a first sector that would make the guess another one.
    private let admitsStart: (@Sendable ([UInt8]) -> Bool)?
    private let ranges = RangeLock()
    private let expanded = ExpandedUnits()

    public init(image: any Image, files: [Node], writable: Bool, backing: Node? = nil, admitsStart: (@Sendable ([UInt8]) -> Bool)? = nil) {
        self.image = image
        self.admitsStart = admitsStart
        self.files = files
        self.writable = writable ? image as? any WritableImage : nil
        backingNode = Locked(backing)
    }

    public var growsOnWrite: Bool { false }
    public var backing: Node? { backingNode.withLock { $0 } }
    /// Replaces the backing node; the caller closes the old one, and no request is in flight.
    public func setBacking(_ node: Node?) { backingNode.withLock { $0 = node } }

    public func length() throws(BlockError) -> UInt64 { image.virtualSize }

    private func locked<Result>(_ start: UInt64, _ end: UInt64, exclusive: Bool, _ body: () throws(BlockError) -> Result) throws(BlockError) -> Result {
        let hold = ranges.acquire(start, end, exclusive: exclusive)
        defer { ranges.release(hold) }
        return try body()
    }

    /// The range rounded out to allocation units.
    private func units(_ offset: UInt64, _ count: UInt64) -> (UInt64, UInt64) {
        let unit = max(512, writable?.allocationUnit ?? 512)
        return (offset.roundedDown(to: unit), (offset &+ count).roundedUp(to: unit) ?? UInt64.max)
    }

    // MARK: Reading

    public func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        // A read-only image never changes: nothing to lock.
        if writable == nil { return try readContents(offset, buffer) }
        try locked(offset, offset &+ UInt64(buffer.count), exclusive: false) { () throws(BlockError) in try readContents(offset, buffer) }
    }

    /// Reads with the range already locked. Beyond the end: zeros.
    private func readContents(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        var done = 0
        let size = image.virtualSize
        while done < buffer.count {
            let position = offset &+ UInt64(done)
            guard position < size else { buffer.slice(done, Int.max).fill(); return }
            let extent = try image.map(position, min(UInt64(buffer.count - done), size - position))
            let part = buffer.slice(done, min(extent.length, size - position))
            guard part.count > 0 else { throw .corrupt(at: nil, "the map of guest offset 0x\(String(position, radix: 16)) covers nothing") }
            try read(extent, position, part)
            done += part.count
        }
    }

    /// Where all bytes stand in one node, as they are, that node reads them.
    public func read(_ offset: UInt64, scattered buffers: [BlockBuffer]) throws(BlockError) -> Bool {
        let count = buffers.reduce(UInt64(0)) { $0 + UInt64($1.count) }, end = offset &+ count
        guard count > 0, end >= offset, end <= image.virtualSize else { return false }
        let body = { () throws(BlockError) -> Bool in
            let extent = try self.image.map(offset, count)
            guard extent.length >= count, case .data(let node, let at) = extent.place else { return false }
            try node.read(at, scattered: buffers)
            return true
        }
        return writable == nil ? try body() : try locked(offset, end, exclusive: false, body)
    }

    private func read(_ extent: Extent, _ position: UInt64, _ part: BlockBuffer) throws(BlockError) {
        switch extent.place {
        case .data(let node, let offset): try node.read(offset, part)
        case .encrypted(let node, let offset): try readEncrypted(node, offset, position, part)
        case .zero: part.fill()
        case .unallocated: try readBacking(position, part)
        case .compressed(let unit): try readCompressed(unit, position, part)
        }
    }

    private func readBacking(_ position: UInt64, _ part: BlockBuffer) throws(BlockError) {
        guard let backing else { part.fill(); return }
        let length = try backing.length()
        let there = position < length ? part.slice(0, length - position) : part.slice(0, 0)
        try backing.read(position, there)
        part.slice(there.count, Int.max).fill()
    }

    private func readEncrypted(_ node: Node, _ offset: UInt64, _ position: UInt64, _ part: BlockBuffer) throws(BlockError) {
        guard let encrypted = image as? any EncryptedImage else { throw .corrupt("the format maps encrypted bytes that it cannot read") }
        let head = Int(position % 512)
        if head == 0, part.count % 512 == 0 {
            try node.read(offset, part)
            return try encrypted.decrypt(part, offset: position, fileOffset: offset)
        }
        let whole = (head + part.count + 511) / 512 * 512
        let bounce = try OwnedBuffer(whole)
        try node.read(offset &- UInt64(head), bounce.buffer)
        try encrypted.decrypt(bounce.buffer, offset: position - UInt64(head), fileOffset: offset &- UInt64(head))
        part.copy(from: bounce.buffer.slice(head, part.count))
        withExtendedLifetime(bounce) {}
    }

    private func readCompressed(_ unit: CompressedUnit, _ position: UInt64, _ part: BlockBuffer) throws(BlockError) {
        guard let compressed = image as? any CompressedImage else { throw .corrupt("the format maps compressed bytes that it cannot read") }
        guard unit.start <= position, position - unit.start <= UInt64(Int.max), unit.length <= UInt64(Node.largestMetadata) else {
            throw .corrupt(at: unit.offset, "a compressed unit of \(unit.length) bytes at guest offset \(unit.start)")
        }
        let inside = Int(position - unit.start)
        if let known = expanded.find(unit) {
            part.copy(from: known.buffer.slice(inside, part.count))
            return withExtendedLifetime(known) {}
        }
        guard unit.count <= compressed.largestPayload, unit.count <= UInt64(Node.largestMetadata) else {
            throw .corrupt(at: unit.offset, "a compressed payload of \(unit.count) bytes: expected at most \(compressed.largestPayload)")
        }
        let payload = try OwnedBuffer(Int(unit.count))
        try unit.node.read(unit.offset, payload.buffer)
        if inside == 0, part.count == Int(unit.length) {
            try compressed.expand(unit, payload.buffer, into: part)
        } else {
            let whole = try OwnedBuffer(Int(unit.length))
            try compressed.expand(unit, payload.buffer, into: whole.buffer)
            part.copy(from: whole.buffer.slice(inside, part.count))
            expanded.keep(unit, whole)
        }
        withExtendedLifetime(payload) {}
    }

    // MARK: Writing

    private func writer() throws(BlockError) -> any WritableImage {
        guard let writable else { throw BlockError(.readOnly, "the image cannot be written") }
        return writable
    }

    public func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        let image = try writer()
        if offset < UInt64(probeLength), let admitsStart { try checkStart(offset, buffer, admitsStart) }
        let end = offset &+ UInt64(buffer.count)
        let done = try locked(offset, end, exclusive: false) { () throws(BlockError) in try overwrite(offset, buffer) }
        guard done < buffer.count else { return }
        let rest = buffer.slice(done, Int.max)
        let start = offset &+ UInt64(done)
        let (first, last) = units(start, UInt64(rest.count))
        try locked(first, last, exclusive: true) { () throws(BlockError) in try place(image, start, rest) }
    }

    public func write(_ offset: UInt64, scattered buffers: [BlockBuffer]) throws(BlockError) -> Bool {
        let count = buffers.reduce(UInt64(0)) { $0 + UInt64($1.count) }, end = offset &+ count
        guard count > 0, end >= offset, admitsStart == nil || offset >= UInt64(probeLength) else { return false }
        return try locked(offset, end, exclusive: false) { () throws(BlockError) in
            let extent = try image.map(offset, count)
            guard extent.length >= count, extent.isWritable, case .data(let node, let at) = extent.place else { return false }
            try node.write(at, scattered: buffers)
            return true
        }
    }

    private func checkStart(_ offset: UInt64, _ buffer: BlockBuffer, _ admits: @Sendable ([UInt8]) -> Bool) throws(BlockError) {
        var start = [UInt8](repeating: 0, count: probeLength)
        try BlockBuffer.with(&start) { (bytes) throws(BlockError) in
            try readContents(0, bytes)
            bytes.slice(Int(offset), Int.max).copy(from: buffer)
        }
        guard admits(start) else {
            throw BlockError(.readOnly, "the write would make a raw image look like one of another format: name the format 'raw' explicitly", offset: offset)
        }
    }

    /// Writes what may be overwritten where it is; returns how many bytes from the start that were.
    private func overwrite(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) -> Int {
        var done = 0
        while done < buffer.count {
            let position = offset &+ UInt64(done)
            let extent = try image.map(position, UInt64(buffer.count - done))
            let part = buffer.slice(done, extent.length)
            guard part.count > 0 else { throw .corrupt("the map of guest offset 0x\(String(position, radix: 16)) covers nothing") }
            switch extent.place {
            case .data(let node, let at) where extent.isWritable: try node.write(at, part)
            case .encrypted(let node, let at) where extent.isWritable && position % 512 == 0 && part.count % 512 == 0:
                try writeEncrypted(node, at, position, part)
            default: return done
            }
            done += part.count
        }
        return done
    }

    private func place(_ image: any WritableImage, _ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        expanded.forget()
        var done = 0
        while done < buffer.count {
            let position = offset &+ UInt64(done)
            let placement = try image.place(position, UInt64(buffer.count - done))
            let part = buffer.slice(done, placement.length)
            guard part.count > 0 else { throw .corrupt("a placement covers nothing") }
            guard let fresh = placement.fresh else {
                try writeOut(placement, placement.offset, position, part)
                done += part.count
                continue
            }
            do {
                try fill(fresh, placement, position, part)
                try image.link(fresh)
            } catch {
                image.abandon(fresh)
                throw error
            }
            done += part.count
        }
    }

    private func writeOut(_ placement: Placement, _ offset: UInt64, _ position: UInt64, _ part: BlockBuffer) throws(BlockError) {
        if !placement.isEncrypted { return try placement.node.write(offset, part) }
        if position % 512 == 0, part.count % 512 == 0 { return try writeEncrypted(placement.node, offset, position, part) }
        let head = Int(position % 512)
        let bounce = try OwnedBuffer((head + part.count + 511) / 512 * 512)
        try readContents(position - UInt64(head), bounce.buffer)
        bounce.buffer.slice(head, part.count).copy(from: part)
        try writeEncrypted(placement.node, offset &- UInt64(head), position - UInt64(head), bounce.buffer)
        withExtendedLifetime(bounce) {}
    }

    private func writeEncrypted(_ node: Node, _ offset: UInt64, _ position: UInt64, _ part: BlockBuffer) throws(BlockError) {
        guard let encrypted = image as? any EncryptedImage else { throw .corrupt("the format places encrypted bytes that it cannot write") }
        let secret = try OwnedBuffer(part.count)
        secret.buffer.copy(from: part)
        try encrypted.encrypt(secret.buffer, offset: position, fileOffset: offset)
        try node.write(offset, secret.buffer)
        withExtendedLifetime(secret) {}
    }

    /// Whether writes to the first sector are looked at.
    var isStartGuarded: Bool { admitsStart != nil }

    /// Runs `body` with the allocation units of a range to itself.
    func placing<Result>(_ offset: UInt64, _ count: UInt64, _ body: (any WritableImage) throws(BlockError) -> Result) throws(BlockError) -> Result {
        let image = try writer()
        let (first, last) = units(offset, count)
        return try locked(first, last, exclusive: true) { () throws(BlockError) in
            expanded.forget()
            return try body(image)
        }
    }

    // MARK: Copy-on-write

    /// Above this, the old contents around a request are copied in pieces instead of in one write with it.
    private static let largestBounce = 1 << 20

    /// Fills fresh space: the request's bytes, and around them what the units held before.
    private func fill(_ fresh: FreshSpace, _ placement: Placement, _ position: UInt64, _ part: BlockBuffer) throws(BlockError) {
        let head = position &- fresh.start
        let end = position &+ UInt64(part.count)
        let (freshEnd, overflow) = fresh.start.addingReportingOverflow(fresh.length)
        guard !overflow, fresh.start <= position, freshEnd >= end, placement.offset >= head else { throw .corrupt("a placement lies outside its own unit") }
        let base = placement.offset - head
        let tail = freshEnd - end
        if head == 0, tail == 0 { return try writeOut(placement, base, position, part) }
        if head + tail <= UInt64(ImageStorage.largestBounce), part.count <= ImageStorage.largestBounce, placement.isEncrypted || !fresh.isZero {
            let bounce = try OwnedBuffer(Int(fresh.length))
            try readContents(fresh.start, bounce.buffer.slice(0, head))
            bounce.buffer.slice(Int(head), part.count).copy(from: part)
            try readContents(end, bounce.buffer.slice(Int(end - fresh.start), tail))
            try writeOut(placement, base, fresh.start, bounce.buffer)
            return withExtendedLifetime(bounce) {}
        }
        try copyOld(fresh.start, head, placement, base, isZero: fresh.isZero)
        try writeOut(placement, placement.offset, position, part)
        try copyOld(end, tail, placement, placement.offset &+ UInt64(part.count), isZero: fresh.isZero)
    }

    /// Copies the old contents of a guest range to a place in the file.
    private func copyOld(_ start: UInt64, _ count: UInt64, _ placement: Placement, _ target: UInt64, isZero: Bool) throws(BlockError) {
        var done: UInt64 = 0
        while done < count {
            let known = try contents(start + done, count - done)
            if known.isZero, !placement.isEncrypted {
                if !isZero { try placement.node.writeZeroes(target + done, known.length, unmap: false) }
                done += known.length
                continue
            }
            let piece = try OwnedBuffer(Int(min(known.length, UInt64(ImageStorage.largestBounce))))
            try readContents(start + done, piece.buffer)
            try writeOut(placement, target + done, start + done, piece.buffer)
            done += UInt64(piece.buffer.count)
        }
    }

    /// Whether a guest range is known to be zeros, chain included; how much of it that holds for.
    private func contents(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> (isZero: Bool, length: UInt64) {
        guard offset < image.virtualSize else { return (true, count) }
        let extent = try image.map(offset, min(count, image.virtualSize - offset))
        let length = max(1, min(extent.length, count))
        switch extent.place {
        case .zero: return (true, length)
        case .unallocated:
            guard let backing else { return (true, length) }
            let end = try backing.length()
            guard offset < end else { return (true, length) }
            let below = try backing.wholeStatus(offset, min(length, end - offset))
            return (below.isZero, below.length)
        default: return (false, length)
        }
    }

    // MARK: Zeros, discards, flushes

    public func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        let image = try writer()
        let (first, last) = units(offset, count)
        try locked(first, last, exclusive: true) { () throws(BlockError) in
            expanded.forget()
            var done: UInt64 = 0
            while done < count {
                let position = offset + done
                if let zeroing = image as? any ZeroingImage {
                    let skipped = min(try zeroing.zero(position, count - done, unmap: unmap), count - done)
                    if skipped > 0 { done += skipped; continue }
                }
                // To the end of this unit by hand; then ask again.
                let unit = max(512, image.allocationUnit)
                let rest = min(count - done, unit - position % unit)
                try zeroByHand(image, position, rest, unmap: unmap)
                done += rest
            }
        }
    }

    private func zeroByHand(_ image: any WritableImage, _ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) {
        var done: UInt64 = 0
        while done < count {
            let position = offset + done
            let known = try contents(position, count - done)
            if known.isZero { done += known.length; continue }
            let extent = try image.map(position, known.length)
            if case .data(let node, let at) = extent.place, extent.isWritable, extent.length > 0 {
                let length = min(extent.length, count - done)
                try node.writeZeroes(at, length, unmap: unmap && extent.mayHaveHoles)
                done += length
                continue
            }
            let zeros = try OwnedBuffer(Int(min(known.length, UInt64(ImageStorage.largestBounce))))
            zeros.buffer.fill()
            try place(image, position, zeros.buffer)
            done += UInt64(zeros.buffer.count)
        }
    }

    /// Gives a range its own copy of what the backing file has, as far as it is still not allocated (streaming).
    func fillFromBacking(_ offset: UInt64, _ count: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        let image = try writer()
        var done: UInt64 = 0
        while done < count {
            let position = offset + done
            let (first, last) = units(position, min(count - done, UInt64(buffer.count)))
            done += try locked(first, last, exclusive: true) { () throws(BlockError) -> UInt64 in
                let extent = try image.map(position, min(count - done, UInt64(buffer.count)))
                guard case .unallocated = extent.place else { return max(1, extent.length) }
                let part = buffer.slice(0, min(extent.length, count - done))
                try readBacking(position, part)
                try place(image, position, part)
                return UInt64(part.count)
            }
        }
    }

    public func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) {
        guard let discarding = try writer() as? any DiscardingImage else { return }
        let (first, last) = units(offset, count)
        try locked(first, last, exclusive: true) { () throws(BlockError) in
            expanded.forget()
            try discarding.discard(offset, count)
        }
    }

    public func flush() throws(BlockError) {
        try writable?.writeBack()
        for file in files { try file.flush() }
    }

    /// Stores one compressed unit. - Throws: `unsupported` if the format has no compression.
    public func write(compressed payload: [UInt8], at start: UInt64) throws(BlockError) {
        guard let compressing = try writer() as? any CompressingImage else { throw .unsupported("Compression not supported for this file format") }
        try locked(start, start &+ compressing.compressionUnit, exclusive: true) { () throws(BlockError) in
            expanded.forget()
            try compressing.store(compressed: payload, at: start)
        }
    }

    public func setLength(_ length: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        guard let resizable = try writer() as? any ResizableImage else {
            throw .unsupported("Image format driver does not support resize")
        }
        let old = image.virtualSize
        try locked(0, UInt64.max, exclusive: true) { () throws(BlockError) in
            expanded.forget()
            try resizable.resize(to: length, preallocation)
        }
        // What a longer backing file holds there must not come into view: new bytes are zeros.
        guard length > old, let below = try backing?.length(), below > old else { return }
        try writeZeroes(old, min(length, below) - old, unmap: true)
    }

    /// Runs `body` while no request is in flight: snapshots, check, amend.
    public func exclusively<Result>(_ body: () throws(BlockError) -> Result) throws(BlockError) -> Result {
        try locked(0, UInt64.max, exclusive: true) { () throws(BlockError) in
            expanded.forget()
            return try body()
        }
    }

    // MARK: Status

    public func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus {
        let size = image.virtualSize
        guard offset < size else { return BlockStatus(length: count, isData: false, isZero: true) }
        if writable == nil { return try answer(offset, min(count, size - offset)) }
        return try locked(offset, offset + 1, exclusive: false) { () throws(BlockError) in try answer(offset, min(count, size - offset)) }
    }

    private func answer(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus {
        let extent = try image.map(offset, count)
        let length = max(1, min(extent.length, count))
        switch extent.place {
        case .data(let node, let at):
            var status = BlockStatus(length: length, isData: true, isZero: false, offset: at, file: node.filename)
            if extent.mayHaveHoles {
                let below = try node.status(at, length)
                status.length = max(1, min(length, below.length))
                status.isZero = below.isZero
                if image is any TransparentImage { status.isData = below.isData }
            }
            return status
        case .encrypted: return BlockStatus(length: length, isData: true, isZero: false)
        case .zero(let space):
            return BlockStatus(length: length, isData: false, isZero: true, offset: space, file: space == nil ? nil : files.first?.filename)
        case .unallocated: return BlockStatus(length: length, isData: false, isZero: false, isAllocated: false)
        case .compressed:
            var status = BlockStatus(length: length, isData: true, isZero: false)
            status.isCompressed = true
            return status
        }
    }

    public func close() throws(BlockError) {
        if let closing = image as? any ClosingImage { try closing.close() }
    }
}
