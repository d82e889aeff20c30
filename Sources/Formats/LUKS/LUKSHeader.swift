// luks: the header of version 1 (cryptsetup's "LUKS On-Disk Format Specification" 1.2.3, big endian), unlocking and making
// it. qcow2 images encrypted with LUKS hold the same header.
// Left out: version 2, detached headers.

import Block
import Cryptography
import Glibc

/// A header of LUKS version 1.
struct LUKSHeader: Sendable {
    struct Slot: Sendable {
        var isActive: Bool
        var iterations: UInt32
        var salt: [UInt8]
        /// In 512-byte sectors from the header's start.
        var offset: UInt32
        var stripes: UInt32
    }
    static let size = 592
    static let magic: [UInt8] = [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]
    private static let active: UInt32 = 0x00ac_71f3, inactive: UInt32 = 0x0000_dead
    static let stripes: UInt32 = 4000
    /// Above this, somebody wants to keep us busy.
    private static let mostIterations: UInt32 = 100_000_000

    var cipher: String
    var mode: String
    var hash: HashFunction
    var payloadOffset: UInt32
    var keyBytes: Int
    var digest: [UInt8]
    var digestSalt: [UInt8]
    var digestIterations: UInt32
    var uuid: String
    var slots: [Slot]

    /// Reads and checks a header.
    init(_ bytes: Bytes) throws(BlockError) {
        guard try bytes.slice(0, 6) == LUKSHeader.magic else { throw .corrupt(at: bytes.origin, "Volume is not in LUKS format") }
        let version = try bytes.u16(6)
        guard version == 1 else { throw .unsupported("LUKS version \(version) is not supported: expected 1", at: bytes.origin + 6) }
        cipher = try bytes.text(8, 32)
        mode = try bytes.text(40, 32)
        let hashName = try bytes.text(72, 32)
        guard let hash = HashFunction(named: hashName) else { throw .unsupported("Hash algorithm '\(hashName)' is not supported", at: bytes.origin + 72) }
        self.hash = hash
        payloadOffset = try bytes.u32(104)
        let count = try bytes.u32(108)
        guard count >= 8, count <= 128 else { throw .corrupt(at: bytes.origin + 108, "a key of \(count) bytes: expected 8 to 128") }
        keyBytes = Int(count)
        digest = try bytes.slice(112, 20)
        digestSalt = try bytes.slice(132, 32)
        digestIterations = try bytes.u32(164)
        uuid = try bytes.text(168, 40)
        guard digestIterations > 0, digestIterations <= LUKSHeader.mostIterations else { throw .corrupt(at: bytes.origin + 164, "\(digestIterations) iterations") }
        slots = []
        for index in 0..<8 {
            let at = 208 + index * 48
            let state = try bytes.u32(at)
            guard state == LUKSHeader.active || state == LUKSHeader.inactive else {
                throw .corrupt(at: bytes.origin + UInt64(at), "Key slot \(index) state is neither active nor inactive")
            }
            let slot = Slot(isActive: state == LUKSHeader.active, iterations: try bytes.u32(at + 4), salt: try bytes.slice(at + 8, 32),
                            offset: try bytes.u32(at + 40), stripes: try bytes.u32(at + 44))
            if slot.isActive {
                guard slot.iterations > 0, slot.iterations <= LUKSHeader.mostIterations else { throw .corrupt(at: bytes.origin + UInt64(at) + 4, "\(slot.iterations) iterations") }
            }
            // Inactive slots too: a password may be added there.
            guard slot.stripes == LUKSHeader.stripes else { throw .corrupt(at: bytes.origin + UInt64(at) + 44, "Keyslot \(index) is corrupted (stripes \(slot.stripes) != 4000)") }
            let place = material(of: slot)
            guard place.lowerBound >= UInt64(LUKSHeader.size), place.upperBound <= UInt64(payloadOffset) * 512 else {
                throw .corrupt(at: bytes.origin + UInt64(at) + 40, "the material of key slot \(index) lies outside the header's area")
            }
            if let other = slots.firstIndex(where: { material(of: $0).overlaps(place) }) {
                throw .corrupt(at: bytes.origin + UInt64(at) + 40, "Keyslots \(other) and \(index) are overlapping in the header")
            }
            slots.append(slot)
        }
    }

    /// The bytes of a slot's material, from the header's start.
    func material(of slot: Slot) -> Range<UInt64> {
        let start = UInt64(slot.offset) * 512
        return start..<start + UInt64(slot.stripes) * UInt64(keyBytes)
    }

    static func random(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// A new header without a password. - Parameter key: the master key, of which the header keeps a digest.
    init(cipher: String, mode: String, hash: HashFunction, key: [UInt8], milliseconds: UInt64) throws(BlockError) {
        self.cipher = cipher
        self.mode = mode
        self.hash = hash
        keyBytes = key.count
        // Each slot's material begins at a multiple of 4 KiB, as QEMU lays it out.
        let sectors = (UInt32(LUKSHeader.stripes) * UInt32(keyBytes) + 511) / 512
        let slotSectors = (sectors + 7) / 8 * 8
        payloadOffset = 8 + slotSectors * 8
        digest = []
        digestSalt = LUKSHeader.random(32)
        digestIterations = max(1000, try LUKSHeader.iterations(in: milliseconds, hash, keyBytes: keyBytes) / 8)
        let bytes = LUKSHeader.random(16)
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            if byte < 16 { text += "0" }
            text += String(byte, radix: 16)
        }
        uuid = text
        slots = []
        let noSalt = [UInt8](repeating: 0, count: 32)
        for index in 0..<UInt32(8) {
            let offset: UInt32 = 8 + index * slotSectors
            slots.append(Slot(isActive: false, iterations: 0, salt: noSalt, offset: offset, stripes: LUKSHeader.stripes))
        }
        digest = try passwordKey(key, digestSalt, digestIterations, 20)
    }

    /// Makes a password open a slot.
    /// - Returns: the slot's material, whole sectors, to be written before the header.
    mutating func setSlot(_ index: Int, key: [UInt8], password: [UInt8], milliseconds: UInt64) throws(BlockError) -> [UInt8] {
        slots[index].isActive = true
        slots[index].iterations = max(1000, try LUKSHeader.iterations(in: milliseconds, hash, keyBytes: keyBytes))
        slots[index].salt = LUKSHeader.random(32)
        var material = SplitKey.split(key, stripes: Int(LUKSHeader.stripes), hash)
        let slotCipher = try sectorCipher(try passwordKey(password, slots[index].salt, slots[index].iterations, keyBytes))
        material += [UInt8](repeating: 0, count: (material.count + 511) / 512 * 512 - material.count)
        material.withUnsafeMutableBytes { slotCipher.encrypt($0, sector: 0) }
        return material
    }

    /// Takes a slot's password away. Its material is still to be overwritten.
    mutating func clearSlot(_ index: Int) {
        slots[index].isActive = false
        slots[index].iterations = 0
        slots[index].salt = [UInt8](repeating: 0, count: 32)
    }

    /// How many iterations of the password function take that long here.
    private static func iterations(in milliseconds: UInt64, _ hash: HashFunction, keyBytes: Int) throws(BlockError) -> UInt32 {
        var count: UInt32 = 1 << 12
        while true {
            let began = RateLimit.now()
            guard hash.passwordKey([1, 2, 3, 4, 5, 6, 7, 8], salt: [UInt8](repeating: 7, count: 32), iterations: count, count: keyBytes) != nil else {
                throw .unsupported("Hash algorithm '\(hash.name)' is not supported for passwords")
            }
            let seconds = RateLimit.now() - began
            if seconds > 0.02 || count >= 1 << 26 {
                return UInt32(min(Double(mostIterations), max(1000, Double(count) / max(seconds, 1e-6) * Double(milliseconds) / 1000)))
            }
            count *= 2
        }
    }

    func sectorCipher(_ key: [UInt8]) throws(BlockError) -> SectorCipher {
        do { return try SectorCipher(cipher: cipher, mode: mode, key: key) } catch { throw .unsupported(error.text) }
    }

    private func passwordKey(_ password: [UInt8], _ salt: [UInt8], _ iterations: UInt32, _ count: Int) throws(BlockError) -> [UInt8] {
        guard let key = hash.passwordKey(password, salt: salt, iterations: iterations, count: count) else {
            throw .unsupported("Hash algorithm '\(hash.name)' is not supported for passwords")
        }
        return key
    }

    /// The master key, if that slot opens with the password.
    /// - Parameter read: reads bytes at an offset from the header's start.
    func key(slot: Slot, _ password: [UInt8], read: (UInt64, Int) throws(BlockError) -> [UInt8]) throws(BlockError) -> [UInt8]? {
        guard slot.isActive else { return nil }
        let slotCipher = try sectorCipher(try passwordKey(password, slot.salt, slot.iterations, keyBytes))
        let count = Int(slot.stripes) * keyBytes
        var material = try read(UInt64(slot.offset) * 512, (count + 511) / 512 * 512)
        material.withUnsafeMutableBytes { slotCipher.decrypt($0, sector: 0) }
        guard let key = SplitKey.join(material, keyBytes: keyBytes, stripes: Int(slot.stripes), hash) else { return nil }
        return try passwordKey(key, digestSalt, digestIterations, 20) == digest ? key : nil
    }

    /// The master key, if one of the slots opens with the password.
    func unlock(_ password: [UInt8], read: (UInt64, Int) throws(BlockError) -> [UInt8]) throws(BlockError) -> [UInt8] {
        for slot in slots { if let key = try key(slot: slot, password, read: read) { return key } }
        throw BlockError(.invalid, "Invalid password, cannot unlock any keyslot", number: EPERM)
    }

    /// The 592 bytes.
    func encoded() throws(BlockError) -> [UInt8] {
        var bytes = Bytes([UInt8](repeating: 0, count: LUKSHeader.size), order: .big)
        try bytes.set(0, bytes: LUKSHeader.magic)
        try bytes.set(6, UInt16(1))
        try bytes.set(8, bytes: Array(cipher.utf8.prefix(31)))
        try bytes.set(40, bytes: Array(mode.utf8.prefix(31)))
        try bytes.set(72, bytes: Array(hash.name.utf8.prefix(31)))
        try bytes.set(104, payloadOffset)
        try bytes.set(108, UInt32(keyBytes))
        try bytes.set(112, bytes: digest)
        try bytes.set(132, bytes: digestSalt)
        try bytes.set(164, digestIterations)
        try bytes.set(168, bytes: Array(uuid.utf8.prefix(39)))
        for (index, slot) in slots.enumerated() {
            let at = 208 + index * 48
            try bytes.set(at, slot.isActive ? LUKSHeader.active : LUKSHeader.inactive)
            try bytes.set(at + 4, slot.iterations)
            try bytes.set(at + 8, bytes: slot.salt)
            try bytes.set(at + 40, slot.offset)
            try bytes.set(at + 44, slot.stripes)
        }
        return bytes.array
    }
}
