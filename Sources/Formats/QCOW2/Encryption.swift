// qcow2: encrypted clusters. Two ways: a LUKS header in clusters of its own (header extension 0x0537be77), sectors numbered
// by their place in the file; and the old one, AES-128-CBC with the password as the key, sectors numbered as the guest does.
// The old one is easily broken: it is here for images that exist. Compressed clusters are never encrypted.

import Block
import Core
import Cryptography

/// How the clusters of an image are encrypted.
enum QCOW2Encryption: Sendable {
    case luks(LUKSVolume)
    /// Nil where only the header is looked at.
    case aes(SectorCipher?)

    /// The number of an image's method in its header.
    static let aesMethod: UInt32 = 1, luksMethod: UInt32 = 2
    static let prefix = "encrypt."

    /// What an image's header asks for; nil if it is not encrypted.
    static func open(_ header: QCOW2Header, _ context: OpenContext) throws(BlockError) -> QCOW2Encryption? {
        let given = context.options.text("encrypt.format")
        switch header.cryptMethod {
        case 0:
            if let given { throw .invalid("No encryption in image header, but options specified format '\(given)'") }
            return nil
        case aesMethod:
            if let given, given != "aes" { throw .invalid("Header reported 'aes' encryption format but options specify '\(given)'") }
            return .aes(try LegacyAES.cipher(context))
        default:
            if let given, given != "luks" { throw .invalid("Header reported 'luks' encryption format but options specify '\(given)'") }
            guard let place = header.encryption else { throw .corrupt(at: 32, "the image is encrypted with LUKS, but has no header extension that says where the LUKS header is") }
            let volume = try LUKSVolume(context.file, at: place.offset, context, prefix: prefix)
            guard volume.payloadOffset <= place.length else {
                throw .corrupt(at: place.offset + 104, "the LUKS header has \(volume.payloadOffset) bytes: expected at most \(place.length)")
            }
            return .luks(volume)
        }
    }

    private var cipher: SectorCipher? {
        switch self {
        case .luks(let volume): volume.cipher
        case .aes(let cipher): cipher
        }
    }

    /// Encrypts or decrypts whole sectors in place. - Parameters: `offset`: the guest's; `fileOffset`: where they stand.
    func apply(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64, encrypts: Bool) throws(BlockError) {
        guard let cipher else { throw .invalid("Parameter 'encrypt.key-secret' is required for cipher") }
        let sector: UInt64 = if case .luks = self { fileOffset / 512 } else { offset / 512 }
        let bytes = UnsafeMutableRawBufferPointer(start: buffer.base, count: buffer.count)
        if encrypts { cipher.encrypt(bytes, sector: sector) } else { cipher.decrypt(bytes, sector: sector) }
    }

    /// QEMU's description.
    var description: JSONValue {
        switch self {
        case .luks(let volume): .object(volume.description(format: "luks"))
        case .aes: .object([.init("format", .text("aes"))])
        }
    }
}

/// The encryption of qcow and of early qcow2 images.
enum LegacyAES {
    static let openOptions = [
        OptionDeclaration("encrypt.format", .choice(["aes", "luks"]), "Encryption format: aes, luks"),
        OptionDeclaration("encrypt.key-secret", .text, "ID of the secret that provides the encryption key"),
    ]

    /// The cipher of the secret that `encrypt.key-secret` names; nil where only the header is looked at.
    static func cipher(_ context: OpenContext) throws(BlockError) -> SectorCipher? {
        guard let id = context.options.text("encrypt.key-secret") else {
            if context.access.metadataOnly { return nil }
            throw .invalid("Parameter 'encrypt.key-secret' is required for cipher")
        }
        // The key is the password itself: its first 16 bytes, filled up with zeros.
        let password = try context.files.secret(id).prefix(16)
        do { return try SectorCipher(cipher: "aes", mode: "cbc-plain64", key: password + [UInt8](repeating: 0, count: 16 - password.count)) } catch {
            throw .unsupported(error.text)
        }
    }

    /// Refuses what creation options ask for, if it is not `aes` with a password that is there.
    static func check(_ options: OptionValues, _ secrets: NamedFiles) throws(BlockError) {
        guard let id = options.text("encrypt.key-secret") else { throw .invalid("Parameter 'encrypt.key-secret' is required for cipher") }
        _ = try secrets.secret(id)
    }
}

extension QCOW2: EncryptedImage {
    public func decrypt(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64) throws(BlockError) {
        guard let encryption else { throw .corrupt("the image is not encrypted") }
        try encryption.apply(buffer, offset: offset, fileOffset: fileOffset, encrypts: false)
    }
    public func encrypt(_ buffer: BlockBuffer, offset: UInt64, fileOffset: UInt64) throws(BlockError) {
        guard let encryption else { throw .corrupt("the image is not encrypted") }
        try encryption.apply(buffer, offset: offset, fileOffset: fileOffset, encrypts: true)
    }

    /// Adds or removes passwords.
    func amendSlots(_ options: OptionValues, force: Bool) throws(BlockError) {
        try locked { (tables) throws(BlockError) in
            guard case .luks(var volume)? = tables.encryption else { throw .unsupported("Only LUKS encryption options can be amended for qcow2 with encryption") }
            try tables.refuseIfCorrupt()
            defer { tables.encryption = .luks(volume) }
            try volume.amend(options, prefix: QCOW2Encryption.prefix, force: force, files)
        }
    }
}

extension QCOW2Tables {
    /// Takes clusters for a new LUKS header, writes it there, and notes where it is.
    mutating func addLUKS(_ new: LUKSVolume.New) throws(BlockError) {
        let clusters = new.length.divided(roundingUpBy: clusterSize)
        let offset = try allocate(clusters).offset
        zeroFrom = max(zeroFrom, offset + clusters * clusterSize)
        try file.setLength(zeroFrom)
        try new.write(to: file, at: offset)
        header.encryption = (offset, new.length)
        let volume = LUKSVolume(file: file, origin: offset, header: new.header, cipher: new.cipher, secret: nil)
        encryption = .luks(volume)
        try writeBack()
        try file.flush()
        try writeHeader()
    }

    /// Reads what stands at a place in the data file, decrypted. - Parameter offset: the guest's.
    func readData(_ node: Node, _ place: UInt64, _ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        guard let encryption else { return try node.read(place, buffer) }
        let head = Int(offset % 512)
        let bounce = try OwnedBuffer((head + buffer.count + 511) / 512 * 512)
        try node.read(place - UInt64(head), bounce.buffer)
        try encryption.apply(bounce.buffer, offset: offset - UInt64(head), fileOffset: place - UInt64(head), encrypts: false)
        buffer.copy(from: bounce.buffer.slice(head, buffer.count))
        withExtendedLifetime(bounce) {}
    }

    /// Writes bytes to a place in the data file, encrypted.
    func writeData(_ node: Node, _ place: UInt64, _ offset: UInt64, _ bytes: [UInt8]) throws(BlockError) {
        guard let encryption else { return try node.write(place, bytes: bytes) }
        let head = Int(offset % 512)
        let bounce = try OwnedBuffer((head + bytes.count + 511) / 512 * 512)
        if head > 0 || bounce.buffer.count != bytes.count { try readData(node, place - UInt64(head), offset - UInt64(head), bounce.buffer) }
        bounce.buffer.slice(head, bytes.count).copy(from: bytes)
        try encryption.apply(bounce.buffer, offset: offset - UInt64(head), fileOffset: place - UInt64(head), encrypts: true)
        try node.write(place - UInt64(head), bounce.buffer)
        withExtendedLifetime(bounce) {}
    }
}
