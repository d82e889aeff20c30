// luks: a file encrypted as a whole, LUKS version 1: header, key slots, then the disk's sectors.

import Block
import Core
import Cryptography

/// An open LUKS image.
public final class LUKS: WritableImage, EncryptedImage, ResizableImage, DescribedImage {
    private let file: Node
    private let header: LUKSHeader
    /// Nil where only the header is looked at.
    private let cipher: SectorCipher?
    private let payload: UInt64

    init(file: Node, header: LUKSHeader, cipher: SectorCipher?) {
        self.file = file
        self.header = header
        self.cipher = cipher
        payload = UInt64(header.payloadOffset) * 512
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
        let parts = header.mode.split(separator: "-", maxSplits: 1).map(String.init)
        let vector = (parts.count > 1 ? parts[1] : "plain64").split(separator: ":", maxSplits: 1).map(String.init)
        let bits = parts.first == "xts" ? header.keyBytes * 4 : header.keyBytes * 8
        var members: [JSONValue.Member] = [.init("ivgen-alg", .text(vector.first ?? ""))]
        members += [
            .init("detached-header", .flag(false)), .init("hash-alg", .text(header.hash.name)),
            .init("cipher-alg", .text(header.cipher == "cast5" ? "cast5-\(bits)" : "\(header.cipher)-\(bits)")), .init("uuid", .text(header.uuid)),
        ]
        if vector.count > 1 { members.append(.init("ivgen-hash-alg", .text(vector[1]))) }
        members += [
            .init("cipher-mode", .text(parts.first ?? "")),
            .init("slots", .array(header.slots.map { slot in
                var fields: [JSONValue.Member] = [.init("active", .flag(slot.isActive))]
                if slot.isActive { fields += [.init("iters", .number(UInt64(slot.iterations)))] }
                fields.append(.init("key-offset", .number(UInt64(slot.offset) * 512)))
                if slot.isActive { fields += [.init("stripes", .number(UInt64(slot.stripes)))] }
                return .object(fields)
            })),
            .init("payload-offset", .number(payload)), .init("master-key-iters", .number(UInt64(header.digestIterations))),
        ]
        information.specific = members
        return information
    }
}

/// The format `luks`.
public enum LUKSFormat: CreatableFormat, MeasurableFormat {
    public static let name = "luks"
    public static let holdsMetadata = true
    public static let openOptions = [OptionDeclaration("key-secret", .text, "ID of the secret that provides the encryption key")]
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("key-secret", .text, "ID of the secret that provides the keyslot passphrase"),
        OptionDeclaration("cipher-alg", .text, "Name of encryption cipher algorithm"),
        OptionDeclaration("cipher-mode", .text, "Name of encryption cipher mode"),
        OptionDeclaration("ivgen-alg", .text, "Name of IV generator algorithm"),
        OptionDeclaration("ivgen-hash-alg", .text, "Name of IV generator hash algorithm"),
        OptionDeclaration("hash-alg", .text, "Name of encryption hash algorithm"),
        OptionDeclaration("iter-time", .number, "Time to spend in PBKDF in milliseconds"),
    ]

    public static func probe(_ start: [UInt8], name: String) -> Int {
        start.starts(with: LUKSHeader.magic) && start.count > 7 && start[6] == 0 && start[7] == 1 ? 100 : 0
    }

    public static func open(_ context: OpenContext) throws(BlockError) -> any Image {
        let header = try LUKSHeader(try context.header(LUKSHeader.size, order: .big))
        guard UInt64(header.payloadOffset) * 512 <= UInt64(1) << 40 else { throw .corrupt(at: 104, "the payload begins at sector \(header.payloadOffset)") }
        var cipher: SectorCipher?
        if let id = context.options.text("key-secret") {
            let file = context.file
            cipher = try header.unlock(try context.files.secret(id)) { (offset, count) throws(BlockError) in try file.bytes(offset, count) }
        } else if !context.access.metadataOnly { throw .invalid("Parameter 'key-secret' is required for cipher") }
        return LUKS(file: context.file, header: header, cipher: cipher)
    }

    public static func create(_ context: CreateContext) throws(BlockError) {
        guard let id = context.options.text("key-secret") else { throw .invalid("Parameter 'key-secret' is required for cipher") }
        let password = try context.files.secret(id)
        let header = try newHeader(context.options, password)
        let (end, overflow) = context.size.addingReportingOverflow(UInt64(header.payloadOffset) * 512)
        guard !overflow else { throw .invalid("The requested file size is too large") }
        try context.file.write(0, bytes: header.encoded())
        try context.file.write(UInt64(header.slots[0].offset) * 512, bytes: header.material)
        try context.file.setLength(end)
    }

    /// A header as the creation options describe it.
    static func newHeader(_ options: OptionValues, _ password: [UInt8]) throws(BlockError) -> LUKSHeader {
        let (cipher, bits) = try cipherName(options.text("cipher-alg") ?? "aes-256")
        let mode = options.text("cipher-mode") ?? "xts"
        let vector = options.text("ivgen-alg") ?? "plain64"
        let hashName = options.text("hash-alg") ?? "sha256"
        guard let hash = HashFunction(named: hashName) else { throw .invalid("Hash algorithm '\(hashName)' is not supported") }
        var text = mode
        if mode != "ecb" { text += "-" + vector }
        if vector == "essiv" { text += ":" + (options.text("ivgen-hash-alg") ?? "sha256") }
        return try LUKSHeader(cipher: cipher, mode: text, hash: hash, keyBytes: bits / 8 * (mode == "xts" ? 2 : 1), password: password,
                              milliseconds: options.number("iter-time") ?? 2000)
    }

    private static func cipherName(_ text: String) throws(BlockError) -> (String, Int) {
        let parts = text.split(separator: "-").map(String.init)
        guard parts.count == 2, let bits = Int(parts[1]), ["aes", "serpent", "twofish", "cast5"].contains(parts[0]), [128, 192, 256].contains(bits) else {
            throw .invalid("Invalid parameter '\(text)': expected a cipher such as aes-256")
        }
        return (parts[0], bits)
    }

    public static func measure(_ options: OptionValues, size: UInt64, source: Node?) throws(BlockError) -> Measurement {
        let (_, bits) = try cipherName(options.text("cipher-alg") ?? "aes-256")
        let keyBytes = UInt64(bits / 8 * ((options.text("cipher-mode") ?? "xts") == "xts" ? 2 : 1))
        let slot = ((4000 * keyBytes).divided(roundingUpBy: 512)).divided(roundingUpBy: 8) * 8
        let all = (8 + slot * 8) * 512 &+ size
        return Measurement(required: all, fullyAllocated: all)
    }
}
