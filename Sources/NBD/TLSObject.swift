// TLS credentials as objects of the block graph: `tls-creds-x509`, `tls-creds-psk`, `tls-creds-anon`.

import Block
import Sockets

/// TLS credentials with an id.
public final class TLSObject: GraphObject {
    public let credentials: TLSCredentials
    init(_ credentials: TLSCredentials) { self.credentials = credentials }

    /// The credentials that an option names. - Parameter isServer: for which end they must be.
    public static func credentials(_ id: String, _ graph: BlockGraph, isServer: Bool) throws(BlockError) -> TLSCredentials {
        guard let object = graph.object(id) as? TLSObject else { throw .invalid("No TLS credentials with id '\(id)'") }
        guard object.credentials.isServer == isServer else { throw .invalid("Expecting TLS credentials with a \(isServer ? "server" : "client") endpoint") }
        return object.credentials
    }
}

/// How they are made.
public enum TLSObjectKind: GraphObjectKind {
    public static let typeNames = TLSCredentials.Kind.allCases.map(\.rawValue)
    public static let options = [
        OptionDeclaration("dir", .text, "the folder of the files"),
        OptionDeclaration("endpoint", .choice(["client", "server"]), default: "client", "for which end"),
        OptionDeclaration("verify-peer", .flag, default: "on", "whether a server looks at the client's certificate"),
        OptionDeclaration("priority", .text, "versions and ciphers, in GnuTLS's words"),
        OptionDeclaration("passwordid", .text, "the secret that opens the private key's file"),
        OptionDeclaration("username", .text, default: "qemu", "whose key a client uses"),
        OptionDeclaration("sanity-check", .flag, default: "on", "GnuTLS looks at certificates when they are loaded and used"),
    ]

    public static func make(id: String, type: String, _ options: OptionValues, _ graph: BlockGraph) throws(BlockError) -> any GraphObject {
        guard let kind = TLSCredentials.Kind(rawValue: type) else { throw .invalid("\(type) is no kind of TLS credentials") }
        if kind != .anonymous, !options.has("dir") { throw .invalid("\(type): Parameter 'dir' is missing") }
        if options.has("passwordid"), kind != .x509 { throw .invalid("\(type) has no password") }
        if options.has("username"), kind != .psk { throw .invalid("\(type) has no user name") }
        if options.has("sanity-check"), !options.flag("sanity-check") { throw .unsupported("\(type): sanity-check=off is not supported") }
        var password: String?
        if let id = options.text("passwordid") { password = String(decoding: try graph.secrets.bytes(id), as: UTF8.self) }
        do throws(SocketError) {
            return TLSObject(try TLSCredentials(kind, folder: options.text("dir"), isServer: options.text("endpoint") == "server",
                                                verifiesPeer: options.flag("verify-peer"), password: password,
                                                user: options.text("username"), priority: options.text("priority")))
        } catch { throw .invalid(error.text) }
    }
}
