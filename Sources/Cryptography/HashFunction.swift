// Hashes and keys made of passwords (PBKDF2, RFC 8018) by nettle.

import CNettle

/// A hash function by its name in LUKS headers.
/// Invariant: `hash` is a copy of one of nettle's constant tables.
public struct HashFunction: @unchecked Sendable {
    public let name: String
    private let hash: nettle_hash

    public init?(named name: String) {
        switch name {
        case "sha1": hash = nettle_sha1
        case "sha224": hash = nettle_sha224
        case "sha256": hash = nettle_sha256
        case "sha384": hash = nettle_sha384
        case "sha512": hash = nettle_sha512
        case "ripemd160": hash = nettle_ripemd160
        default: return nil
        }
        self.name = name
    }

    /// Bytes of a digest.
    public var size: Int { Int(hash.digest_size) }

    /// The digest of `bytes`.
    public func digest(_ bytes: [UInt8]) -> [UInt8] {
        let running = Running(hash)
        bytes.withUnsafeBytes { running.add($0) }
        return running.digest()
    }

    /// A digest of bytes that come piece by piece.
    public func begin() -> Running { Running(hash) }

    /// Invariant: `context` has the size that nettle wants and is freed with this object.
    public final class Running {
        private let hash: nettle_hash
        private let context: UnsafeMutableRawPointer

        fileprivate init(_ hash: nettle_hash) {
            self.hash = hash
            context = .allocate(byteCount: Int(hash.context_size), alignment: 16)
            hash.`init`?(context)
        }
        deinit { context.deallocate() }

        public func add(_ bytes: UnsafeRawBufferPointer) { hash.update?(context, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)) }
        /// The digest of all; what is added later begins another one.
        public func digest() -> [UInt8] {
            var result = [UInt8](repeating: 0, count: Int(hash.digest_size))
            hash.digest?(context, result.count, &result)
            return result
        }
    }

    /// The password key derivation function 2 with HMAC of this hash; nil for hashes it is not done with here.
    public func passwordKey(_ password: [UInt8], salt: [UInt8], iterations: UInt32, count: Int) -> [UInt8]? {
        var key = [UInt8](repeating: 0, count: count)
        switch name {
        case "sha1": nettle_pbkdf2_hmac_sha1(password.count, password, iterations, salt.count, salt, count, &key)
        case "sha256": nettle_pbkdf2_hmac_sha256(password.count, password, iterations, salt.count, salt, count, &key)
        case "sha384": nettle_pbkdf2_hmac_sha384(password.count, password, iterations, salt.count, salt, count, &key)
        case "sha512": nettle_pbkdf2_hmac_sha512(password.count, password, iterations, salt.count, salt, count, &key)
        default: return nil
        }
        return key
    }
}
