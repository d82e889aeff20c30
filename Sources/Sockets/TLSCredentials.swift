// Who one is in TLS, and whom one trusts: QEMU's objects `tls-creds-x509`, `tls-creds-psk` and `tls-creds-anon`, with the
// file names they look for in their folder (docs/nbd.md lists them).
// Invariant: `pointer` is only read by sessions, which GnuTLS allows from many threads, and freed with this object.

import CHost
import Glibc

/// Credentials, loaded from a folder.
public final class TLSCredentials: @unchecked Sendable {
    public enum Kind: String, Sendable, CaseIterable { case x509 = "tls-creds-x509", psk = "tls-creds-psk", anonymous = "tls-creds-anon" }
    public let kind: Kind
    public let isServer: Bool
    /// A server's: clients must show a certificate too. A client always looks at the server's.
    public let verifiesPeer: Bool
    let priority: String
    let pointer: UnsafeMutableRawPointer

    /// - Parameters: `password`: of the private key's file. `user`: a client's name, for keys. `priority`: GnuTLS's words for
    ///   versions and ciphers; nil: its own choice.
    public init(_ kind: Kind, folder: String?, isServer: Bool, verifiesPeer: Bool, password: String? = nil, user: String? = nil,
                priority: String? = nil) throws(SocketError) {
        if let problem = apus_tls_problem() { throw SocketError(String(cString: problem)) }
        self.kind = kind
        self.isServer = isServer
        self.verifiesPeer = verifiesPeer
        // Each kind needs its own key exchange beside the usual ones.
        self.priority = (priority ?? "NORMAL") + (kind == .psk ? ":+ECDHE-PSK:+DHE-PSK:+PSK" : kind == .anonymous ? ":+ANON-DH" : "")
        func file(_ name: String, required: Bool) throws(SocketError) -> String? {
            let path = (folder ?? ".") + "/" + name
            if access(path, R_OK) == 0 { return path }
            if errno == ENOENT, !required { return nil }
            throw SocketError("Unable to access credentials \(path)", number: errno)
        }
        let side = isServer ? "server" : "client"
        var ca: String?, crl: String?, certificate: String?, key: String?, secret: String?
        switch kind {
        case .x509:
            ca = try file("ca-cert.pem", required: true)
            crl = try file("ca-crl.pem", required: false)
            certificate = try file(side + "-cert.pem", required: isServer)
            key = try file(side + "-key.pem", required: certificate != nil)
            secret = password
        case .psk:
            key = try file("keys.psk", required: true)
            if !isServer, let path = key { secret = try TLSCredentials.key(of: user ?? "qemu", path) }
        case .anonymous: break
        }
        var text = [CChar](repeating: 0, count: Int(APUS_TLS_TEXT))
        let number = switch kind { case .x509: APUS_TLS_X509; case .psk: APUS_TLS_PSK; case .anonymous: APUS_TLS_ANONYMOUS }
        let made = TLSCredentials.withOptional(ca) { ca in TLSCredentials.withOptional(crl) { crl in
            TLSCredentials.withOptional(certificate) { certificate in TLSCredentials.withOptional(key) { key in
                TLSCredentials.withOptional(secret) { secret in TLSCredentials.withOptional(user ?? "qemu") { user in
                    var options = apus_tls_options(kind: Int32(number), server: isServer ? 1 : 0, ca: ca, crl: crl, certificate: certificate,
                                                   key: key, password: secret, user: user)
                    return apus_tls_credentials(&options, &text)
                } }
            } }
        } }
        guard let made else { throw SocketError("TLS credentials: \(TLSCredentials.string(text))") }
        pointer = made
    }
    deinit { apus_tls_credentials_free(pointer) }

    /// The key of one user in a file of lines `user:hexadecimal`.
    private static func key(of user: String, _ path: String) throws(SocketError) -> String {
        guard let file = fopen(path, "re") else { throw SocketError("Unable to access credentials \(path)", number: errno) }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { free(line) }
        while getline(&line, &room, file) > 0, let start = line {
            let parts = String(cString: start).split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0] == user else { continue }
            let digits = parts[1].prefix { $0.isHexDigit }
            guard !digits.isEmpty, digits.utf8.count <= 1024 else { break }
            return String(digits)
        }
        throw SocketError("no key of the user '\(user)' in \(path)")
    }

    static func withOptional<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        if let text { return text.withCString { body($0) } }
        return body(nil)
    }
    static func string(_ text: [CChar]) -> String { String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
}
