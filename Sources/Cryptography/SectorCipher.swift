// Encryption of disk sectors: a block cipher (nettle), a mode, and a rule for the initialisation vector of each 512-byte
// sector. The combinations that LUKS headers name (cryptsetup's "LUKS On-Disk Format Specification" 1.2.3).

import CNettle

/// Why something cannot be encrypted.
public struct CryptographyError: Error, Sendable, Equatable {
    public var text: String
    public init(_ text: String) { self.text = text }
}

/// A cipher of nettle, with its schedules as raw memory.
/// Invariant: `encrypting` and `decrypting` are contexts of `cipher`, set once and only read afterwards, so that many
/// threads may use them.
final class BlockCipher: @unchecked Sendable {
    let cipher: nettle_cipher
    let encrypting: UnsafeMutableRawPointer
    let decrypting: UnsafeMutableRawPointer

    /// Names as in LUKS headers, and the key's length in bytes.
    static func find(_ name: String, keyBytes: Int) -> nettle_cipher? {
        let all: [(String, nettle_cipher)] = [
            ("aes", nettle_aes128), ("aes", nettle_aes192), ("aes", nettle_aes256),
            ("serpent", nettle_serpent128), ("serpent", nettle_serpent192), ("serpent", nettle_serpent256),
            ("twofish", nettle_twofish128), ("twofish", nettle_twofish192), ("twofish", nettle_twofish256),
            ("cast5", nettle_cast128),
        ]
        return all.first { $0.0 == name && Int($0.1.key_size) == keyBytes }?.1
    }

    init(_ name: String, key: [UInt8]) throws(CryptographyError) {
        guard let found = BlockCipher.find(name, keyBytes: key.count), let setEncrypt = found.set_encrypt_key, let setDecrypt = found.set_decrypt_key else {
            throw CryptographyError("the cipher '\(name)' with a key of \(key.count * 8) bits is not supported")
        }
        cipher = found
        encrypting = .allocate(byteCount: Int(found.context_size), alignment: 16)
        decrypting = .allocate(byteCount: Int(found.context_size), alignment: 16)
        setEncrypt(encrypting, key)
        setDecrypt(decrypting, key)
    }

    deinit {
        // Keys do not stay behind in freed memory.
        for context in [encrypting, decrypting] {
            context.initializeMemory(as: UInt8.self, repeating: 0, count: Int(cipher.context_size))
            context.deallocate()
        }
    }
}

/// A whole way of encrypting sectors.
public final class SectorCipher: Sendable {
    private enum Mode: Sendable { case xts(tweak: BlockCipher), cbc, ecb }
    private enum Vector: Sendable { case none, plain, plain64, essiv(BlockCipher) }
    private let cipher: BlockCipher
    private let mode: Mode
    private let vector: Vector
    public static let sectorSize = 512

    /// - Parameters: `cipher`: `aes`, `serpent`, `twofish`, `cast5`. `mode`: as in LUKS: `xts-plain64`, `cbc-essiv:sha256`, `ecb`.
    public init(cipher name: String, mode text: String, key: [UInt8]) throws(CryptographyError) {
        let parts = text.split(separator: "-", maxSplits: 1).map(String.init)
        let vectorName = parts.count > 1 ? parts[1] : "none"
        switch parts.first {
        case "xts":
            guard key.count % 2 == 0 else { throw CryptographyError("xts needs two keys") }
            cipher = try BlockCipher(name, key: Array(key.prefix(key.count / 2)))
            guard cipher.cipher.block_size == 16 else { throw CryptographyError("xts needs a cipher with blocks of 128 bits, not '\(name)'") }
            mode = .xts(tweak: try BlockCipher(name, key: Array(key.suffix(key.count / 2))))
        case "cbc":
            cipher = try BlockCipher(name, key: key)
            mode = .cbc
        case "ecb":
            cipher = try BlockCipher(name, key: key)
            mode = .ecb
        default: throw CryptographyError("the mode '\(text)' is not supported")
        }
        switch vectorName {
        case "plain": vector = .plain
        case "plain64": vector = .plain64
        case "none" where parts.first == "ecb": vector = .none
        default:
            guard vectorName.hasPrefix("essiv:"), let hash = HashFunction(named: String(vectorName.dropFirst(6))) else {
                throw CryptographyError("the initialisation vector '\(vectorName)' is not supported")
            }
            // The salt's cipher has a key of the hash's length.
            vector = .essiv(try BlockCipher(name, key: hash.digest(key)))
        }
    }

    private func initial(_ sector: UInt64, _ block: UnsafeMutablePointer<UInt8>) {
        for index in 0..<16 { block[index] = 0 }
        let number: UInt64
        switch vector {
        case .none: return
        case .plain: number = sector & 0xffff_ffff
        case .plain64, .essiv: number = sector
        }
        for index in 0..<8 { block[index] = UInt8(truncatingIfNeeded: number >> (8 * UInt64(index))) }
        if case .essiv(let salt) = vector { salt.cipher.encrypt?(salt.encrypting, Int(salt.cipher.block_size), block, block) }
    }

    /// Encrypts whole sectors in place. - Parameter sector: number of the first. A last part of a sector is left alone.
    public func encrypt(_ bytes: UnsafeMutableRawBufferPointer, sector: UInt64) { run(bytes, sector, encrypts: true) }
    /// Decrypts whole sectors in place.
    public func decrypt(_ bytes: UnsafeMutableRawBufferPointer, sector: UInt64) { run(bytes, sector, encrypts: false) }

    private func run(_ bytes: UnsafeMutableRawBufferPointer, _ first: UInt64, encrypts: Bool) {
        guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        let size = SectorCipher.sectorSize
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { block in
            guard let iv = block.baseAddress else { return }
            for index in 0..<bytes.count / size {
                let data = base + index * size
                initial(first &+ UInt64(index), iv)
                switch mode {
                case .xts(let tweak):
                    if encrypts {
                        nettle_xts_encrypt_message(cipher.encrypting, tweak.encrypting, cipher.cipher.encrypt, iv, size, data, data)
                    } else {
                        nettle_xts_decrypt_message(cipher.decrypting, tweak.encrypting, cipher.cipher.decrypt, tweak.cipher.encrypt, iv, size, data, data)
                    }
                case .cbc:
                    if encrypts {
                        nettle_cbc_encrypt(cipher.encrypting, cipher.cipher.encrypt, Int(cipher.cipher.block_size), iv, size, data, data)
                    } else {
                        nettle_cbc_decrypt(cipher.decrypting, cipher.cipher.decrypt, Int(cipher.cipher.block_size), iv, size, data, data)
                    }
                case .ecb:
                    if encrypts { cipher.cipher.encrypt?(cipher.encrypting, size, data, data) } else { cipher.cipher.decrypt?(cipher.decrypting, size, data, data) }
                }
            }
        }
    }
}
