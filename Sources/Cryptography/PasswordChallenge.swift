// RFB's password authentication (RFC 6143, section 7.2.2): a challenge, encrypted with the password as the key of DES.

import CNettle

public enum PasswordChallenge {
    /// The answer to a challenge of 16 bytes. Of the password, the first 8 bytes count.
    public static func answer(_ challenge: [UInt8], password: [UInt8]) -> [UInt8] {
        // The protocol takes the bits of each byte of the key the other way round.
        let key = (0 ..< 8).map { index -> UInt8 in
            let byte = index < password.count ? password[index] : 0
            return (0 ..< 8).reduce(0) { $0 | (byte >> UInt8($1) & 1) << UInt8(7 - $1) }
        }
        var context = des_ctx()
        // Weak keys are said to be such, and set all the same.
        nettle_des_set_key(&context, key)
        var result = [UInt8](repeating: 0, count: challenge.count & ~7)
        nettle_des_encrypt(&context, result.count, &result, challenge)
        return result
    }
}
