// luks: a file encrypted as a whole, LUKS version 1: header, key slots, then the disk's sectors. The header and what is done
// with it: LUKSVolume.swift.

import Block
import Cryptography
import Host

/// An open LUKS image.
public final class LUKS: WritableImage, EncryptedImage, ResizableImage, DescribedImage, AmendableImage {
    private let file: Node
    private let volume: Locked<LUKSVolume>
    private let cipher: SectorCipher?
    private let payload: UInt64
    private let secrets: NamedFiles

    init(file: Node, volume: LUKSVolume, secrets: NamedFiles) {
        self.file = file
        self.secrets = secrets
        cipher = volume.cipher
        payload = volume.payloadOffset
        self.volume = Locked(volume)
    }

    public var virtualSize: UInt64 {
        let length = (try? file.length()) ?? 0
        return length > payload ? (length - payload).roundedDown(to: 512) : 0
    }
    public var allocationUnit: UInt64 { 512 }

    public func map(_ offset: UInt64, _ count: UInt64) -> Extent {
        Extent(.encrypted(file, payload &+ offset), length: count, isWritable: true)
    }
    public func place(_ offset: UInt64, _ count: UInt64) -> Placement {
        Placement(length: count, node: file, offset: payload &+ offset, isEncrypted: true)
    }
    public func link(_ fresh: FreshSpace) {}
    public func abandon(_ fresh: FreshSpace) {}
    public func writeBack() {}

    private func opened() throws(BlockError) -> SectorCipher {
        guard let cipher else { throw .invalid("Parameter 'key-secret' is required for cipher") }
        return cipher
    }
    public func decrypt(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64) throws(BlockError) {
        try opened().decrypt(UnsafeMutableRawBufferPointer(start: buffer.base, count: buffer.count), sector: offset / 512)
    }
    public func encrypt(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64) throws(BlockError) {
        try opened().encrypt(UnsafeMutableRawBufferPointer(start: buffer.base, count: buffer.count), sector: offset / 512)
    }

    public func resize(to size: UInt64, _ preallocation: Preallocation) throws(BlockError) {
        let (end, overflow) = size.addingReportingOverflow(payload)
        guard !overflow else { throw .invalid("The requested file size is too large") }
        try file.setLength(end, preallocation)
    }

    public func information() -> ImageInformation {
        var information = ImageInformation()
        information.isEncrypted = true
        information.specific = volume.withLock { $0.description(format: nil) }
        return information
    }

    public static let amendOptions = LUKSVolume.amendOptions(prefix: "")

    public func amend(_ options: OptionValues, force: Bool, progress: (Double) -> Void) throws(BlockError) {
        try volume.withLock { (volume) throws(BlockError) in try volume.amend(options, prefix: "", force: force, secrets) }
        progress(1)
    }
}

/// The format `luks`.
public enum LUKSFormat: CreatableFormat, MeasurableFormat {
    public static let name = "luks"
    public static let holdsMetadata = true
    public static let openOptions = [OptionDeclaration("key-secret", .text, "ID of the secret that provides the encryption key")]
    public static let createOptions = [OptionDeclaration("size", .size, "Virtual disk size")]
        + LUKSVolume.createOptions(prefix: "", secret: "ID of the secret that provides the keyslot passphrase")

    public static func probe(_ start: [UInt8], name: String) -> Int {
        start.starts(with: LUKSHeader.magic) && start.count > 7 && start[6] == 0 && start[7] == 1 ? 100 : 0
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let volume = try LUKSVolume(context.file, at: 0, context, prefix: "")
        guard volume.payloadOffset <= UInt64(1) << 40 else { throw .corrupt(at: 104, "the payload begins at \(volume.payloadOffset)") }
        return LUKS(file: context.file, volume: volume, secrets: context.files)
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        let new = try LUKSVolume.new(context.options, prefix: "", context.files)
        let (end, overflow) = context.size.addingReportingOverflow(new.length)
        guard !overflow else { throw .invalid("The requested file size is too large") }
        try new.write(to: context.file, at: 0)
        try context.file.setLength(end)
    }

    public static func measure(_ options: OptionValues, size: UInt64, source: Node?) throws(BlockError) -> Measurement {
        let all = try LUKSVolume.length(options, prefix: "") &+ size
        return Measurement(required: all, fullyAllocated: all)
    }
}
