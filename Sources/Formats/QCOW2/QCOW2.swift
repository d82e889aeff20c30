// qcow2: QEMU's image format, versions 2 and 3 (specification: QEMU's docs/interop/qcow2). The open image: one lock around
// `QCOW2Tables`, whose extensions are the format, one file an aspect.

import Block
import Core
import Host

/// An open qcow2 image.
public final class QCOW2: WritableImage, ZeroingImage, DiscardingImage, BackedImage, RebasableImage, DescribedImage, MultiFileImage, ClosingImage {
    let file: Node
    private let dataFile: Node?
    let state: Locked<QCOW2Tables>
    /// Copies of what never changes, to be had without the lock.
    let clusterSize: UInt64
    let compression: UInt8
    private let isWritable: Bool
    /// Of an encrypted image; key slots change in `state` only.
    let encryption: QCOW2Encryption?
    /// Where passwords are asked for.
    let files: NamedFiles

    init(_ tables: QCOW2Tables, dataFile: Node?, files: NamedFiles) {
        file = tables.file
        self.dataFile = dataFile
        self.files = files
        encryption = tables.encryption
        clusterSize = tables.clusterSize
        compression = tables.header.compression
        isWritable = tables.isWritable
        state = Locked(tables)
    }

    func locked<Result>(_ body: (inout QCOW2Tables) throws(BlockError) -> Result) throws(BlockError) -> Result { try state.withLock(body) }

    public var virtualSize: UInt64 { state.withLock { $0.shownSize ?? $0.header.size / 512 * 512 } }
    public var allocationUnit: UInt64 { clusterSize }
    public var furtherFiles: [Child] { dataFile.map { [Child("data-file", $0)] } ?? [] }

    public func map(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Extent {
        try locked { (tables) throws(BlockError) in try tables.map(offset, count) }
    }
    public func place(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> Placement {
        try locked { (tables) throws(BlockError) in try tables.place(offset, count) }
    }
    public func link(_ fresh: FreshSpace) throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.link(fresh) }
    }
    /// Space that cannot be given back is a leak, which `check` finds.
    public func abandon(_ fresh: FreshSpace) {
        try? locked { (tables) throws(BlockError) in try tables.abandon(fresh) }
    }
    public func writeBack() throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.writeBack() }
    }
    public func zero(_ offset: UInt64, _ count: UInt64, unmap: Bool) throws(BlockError) -> UInt64 {
        try locked { (tables) throws(BlockError) in try tables.zero(offset, count, unmap: unmap) }
    }
    public func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) {
        try locked { (tables) throws(BlockError) in try tables.discard(offset, count) }
    }
    public func close() throws(BlockError) {
        guard isWritable else { return }
        try locked { (tables) throws(BlockError) in try tables.finish() }
    }

    // MARK: The backing file

    public var backing: FileReference? {
        state.withLock { tables in tables.header.backingName.map { FileReference(name: $0, format: tables.header.backingFormat) } }
    }

    public func setBacking(_ reference: FileReference?) throws(BlockError) {
        try locked { (tables) throws(BlockError) -> Void in
            if reference != nil, tables.header.isDataFileRaw { throw BlockError.invalid("Cannot set a backing file for an image with data-file-raw") }
            let old = tables.header
            tables.header.backingName = reference?.name
            tables.header.backingFormat = reference?.format
            do throws(BlockError) { try tables.writeHeader() } catch {
                tables.header = old
                throw error
            }
        }
    }

    // MARK: Information

    public func information() throws(BlockError) -> ImageInformation {
        let tables = state.withLock { $0 }
        let header = tables.header
        var members: [JSONValue.Member] = []
        func add(_ name: String, _ value: JSONValue) { members.append(.init(name, value)) }
        add("compat", .text(header.version >= 3 ? "1.1" : "0.10"))
        add("compression-type", .text(header.compression == 1 ? "zstd" : "zlib"))
        if header.version >= 3 {
            add("lazy-refcounts", .flag(header.hasLazyRefcounts))
            if !tables.bitmaps.isEmpty { add("bitmaps", .array(tables.bitmaps.map(\.described))) }
        }
        add("refcount-bits", .number(1 << UInt64(header.refcountOrder)))
        if let encryption = tables.encryption { add("encrypt", encryption.description) }
        if header.version >= 3 {
            if header.hasDataFile {
                if let name = header.dataFileName { add("data-file", .text(name)) }
                add("data-file-raw", .flag(header.isDataFileRaw))
            }
            add("corrupt", .flag(tables.isCorrupt))
            add("extended-l2", .flag(header.hasExtendedL2))
        }
        var information = ImageInformation(clusterSize: clusterSize, specific: members)
        information.isEncrypted = header.cryptMethod != 0
        information.isDirty = header.incompatible & QCOW2Feature.dirty != 0
        return information
    }
}
