// luks: a header with its key slots at a place in a file, as luks and qcow2 images have it: opening, making, telling about
// it. Options have a prefix: none in luks, `encrypt.` in qcow2. Changing the slots: LUKSKeySlots.swift.

import Block
import Core
import Cryptography

struct LUKSVolume: Sendable {
    let file: Node
    /// Where in the file the header begins.
    let origin: UInt64
    var header: LUKSHeader
    /// Nil where only the header is looked at.
    let cipher: SectorCipher?
    /// The id of the secret that it was opened with.
    let secret: String?
}

extension LUKSVolume {
    /// Reads the header at `origin` of `file`, and unlocks it with the secret that `PREFIXkey-secret` names.
    init(_ file: Node, at origin: UInt64, _ context: OpenContext, prefix: String) throws(BlockError) {
        self.file = file
        self.origin = origin
        header = try LUKSHeader(try file.metadata(origin, LUKSHeader.size, order: .big))
        secret = context.options.text(prefix + "key-secret")
        if let secret {
            let key = try header.unlock(try context.files.secret(secret)) { (offset, count) throws(BlockError) in try file.bytes(origin &+ offset, count) }
            cipher = try header.sectorCipher(key)
        } else if context.access.metadataOnly { cipher = nil } else {
            throw .invalid("Parameter '\(prefix)key-secret' is required for cipher")
        }
    }

    /// Bytes of header and key slots.
    var payloadOffset: UInt64 { UInt64(header.payloadOffset) * 512 }

    // MARK: Making

    static func createOptions(prefix: String, secret: String) -> [OptionDeclaration] {
        [
            OptionDeclaration(prefix + "key-secret", .text, secret),
            OptionDeclaration(prefix + "cipher-alg", .text, "Name of encryption cipher algorithm"),
            OptionDeclaration(prefix + "cipher-mode", .text, "Name of encryption cipher mode"),
            OptionDeclaration(prefix + "ivgen-alg", .text, "Name of IV generator algorithm"),
            OptionDeclaration(prefix + "ivgen-hash-alg", .text, "Name of IV generator hash algorithm"),
            OptionDeclaration(prefix + "hash-alg", .text, "Name of encryption hash algorithm"),
            OptionDeclaration(prefix + "iter-time", .number, "Time to spend in PBKDF in milliseconds"),
        ]
    }

    /// A header about to be written.
    struct New {
        let header: LUKSHeader
        let material: [UInt8]
        let cipher: SectorCipher
        var length: UInt64 { UInt64(header.payloadOffset) * 512 }

        func write(to file: Node, at origin: UInt64) throws(BlockError) {
            try file.write(origin, bytes: header.encoded())
            try file.write(origin + UInt64(header.slots[0].offset) * 512, bytes: material)
        }
    }

    /// A header as the creation options describe it, its first slot opened by the secret they name.
    static func new(_ options: OptionValues, prefix: String, _ secrets: NamedFiles) throws(BlockError) -> New {
        guard let id = options.text(prefix + "key-secret") else { throw .invalid("Parameter '\(prefix)key-secret' is required for cipher") }
        let password = try secrets.secret(id)
        let (cipher, keyBytes, mode) = try key(options, prefix)
        let vector = options.text(prefix + "ivgen-alg") ?? "plain64"
        let hashName = options.text(prefix + "hash-alg") ?? "sha256"
        guard let hash = HashFunction(named: hashName) else { throw .invalid("Hash algorithm '\(hashName)' is not supported") }
        var text = mode
        if mode != "ecb" { text += "-" + vector }
        if vector == "essiv" { text += ":" + (options.text(prefix + "ivgen-hash-alg") ?? "sha256") }
        let key = LUKSHeader.random(keyBytes)
        let time = options.number(prefix + "iter-time") ?? 2000
        var header = try LUKSHeader(cipher: cipher, mode: text, hash: hash, key: key, milliseconds: time)
        let material = try header.setSlot(0, key: key, password: password, milliseconds: time)
        return New(header: header, material: material, cipher: try header.sectorCipher(key))
    }

    private static func key(_ options: OptionValues, _ prefix: String) throws(BlockError) -> (cipher: String, bytes: Int, mode: String) {
        let text = options.text(prefix + "cipher-alg") ?? "aes-256", mode = options.text(prefix + "cipher-mode") ?? "xts"
        let parts = text.split(separator: "-").map(String.init)
        guard parts.count == 2, let bits = Int(parts[1]), ["aes", "serpent", "twofish", "cast5"].contains(parts[0]), [128, 192, 256].contains(bits) else {
            throw .invalid("Invalid parameter '\(text)': expected a cipher such as aes-256")
        }
        return (parts[0], bits / 8 * (mode == "xts" ? 2 : 1), mode)
    }

    /// Bytes of header and key slots of a new image.
    static func length(_ options: OptionValues, prefix: String) throws(BlockError) -> UInt64 {
        let slot = (UInt64(LUKSHeader.stripes) * UInt64(try key(options, prefix).bytes)).divided(roundingUpBy: 4096) * 4096
        return 4096 + slot * 8
    }

    // MARK: Information

    /// QEMU's description, in its order. - Parameter format: says which encryption this is, where there may be another.
    func description(format: String?) -> [JSONValue.Member] {
        let parts = header.mode.split(separator: "-", maxSplits: 1).map(String.init)
        let vector = (parts.count > 1 ? parts[1] : "plain64").split(separator: ":", maxSplits: 1).map(String.init)
        let bits = parts.first == "xts" ? header.keyBytes * 4 : header.keyBytes * 8
        var members: [JSONValue.Member] = [.init("ivgen-alg", .text(vector.first ?? ""))]
        members += [
            .init("detached-header", .flag(false)), .init("hash-alg", .text(header.hash.name)),
            .init("cipher-alg", .text(header.cipher == "cast5" ? "cast5-\(bits)" : "\(header.cipher)-\(bits)")), .init("uuid", .text(header.uuid)),
        ]
        if let format { members.append(.init("format", .text(format))) }
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
            .init("payload-offset", .number(payloadOffset)), .init("master-key-iters", .number(UInt64(header.digestIterations))),
        ]
        return members
    }
}
