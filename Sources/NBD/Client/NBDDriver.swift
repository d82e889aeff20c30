// The protocol `nbd`: names and options. Names: nbd:HOST:PORT[:exportname=NAME], nbd:unix:PATH[:exportname=NAME],
// nbd://HOST[:PORT]/[NAME], nbd+unix:///[NAME]?socket=PATH.

import Block
import Sockets

/// Exports of NBD servers.
public enum NBDDriver: ObjectUsingDriver {
    public static let name = "nbd"
    public static let schemes = ["nbd+tcp", "nbd+unix"]
    public static let options = [
        OptionDeclaration("server.type", .choice(["inet", "unix", "fd"]), "kind of the server's address"),
        OptionDeclaration("server.host", .text, aliases: ["host"], "the server's host"),
        OptionDeclaration("server.port", .text, aliases: ["port"], "its port (10809)"),
        OptionDeclaration("server.path", .text, aliases: ["path"], "its socket"),
        OptionDeclaration("server.str", .text, "an open descriptor"),
        OptionDeclaration("export", .text, default: "", "name of the export"),
        OptionDeclaration("tls-creds", .text, "id of the TLS credentials"),
        OptionDeclaration("tls-hostname", .text, "the name that the server's certificate must have"),
        OptionDeclaration("x-dirty-bitmap", .text, "the metadata context to show in place of allocation: qemu:dirty-bitmap:NAME"),
        OptionDeclaration("reconnect-delay", .number, default: "0", "seconds for which requests wait for a lost server"),
        OptionDeclaration("open-timeout", .number, default: "0", "seconds for which opening goes on trying"),
    ]
    static let standardPort = "10809"

    public static func parse(_ name: String, into options: inout OptionValues) throws(BlockError) {
        if let rest = remainder(of: name, after: "nbd://") ?? remainder(of: name, after: "nbd+tcp://") { return try parseInternet(rest, into: &options) }
        if let rest = remainder(of: name, after: "nbd+unix://") { return try parseUnix(rest, into: &options) }
        guard var rest = remainder(of: name, after: "nbd:") else { throw .invalid("expected a name that begins with nbd:, not '\(name)'") }
        if let range = rest.firstRange(of: ":exportname=") {
            try options.set("export", String(rest[range.upperBound...]))
            rest = String(rest[..<range.lowerBound])
        }
        if let path = remainder(of: rest, after: "unix:") {
            guard !path.isEmpty else { throw .invalid("expected the path of a socket in '\(name)'") }
            try options.set("server.type", "unix")
            return try options.set("server.path", path)
        }
        guard let (host, port) = split(rest), let port else { throw .invalid("expected nbd:HOST:PORT, not '\(name)'") }
        try options.set("server.type", "inet")
        try options.set("server.host", host)
        try options.set("server.port", port)
    }

    private static func remainder(of text: String, after start: String) -> String? { text.hasPrefix(start) ? String(text.dropFirst(start.count)) : nil }

    /// HOST, HOST:PORT or [HOST]:PORT.
    private static func split(_ text: String) -> (String, String?)? {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
            return (String(text[text.index(after: text.startIndex)..<end]), rest.isEmpty ? nil : String(rest.dropFirst()))
        }
        guard let colon = text.lastIndex(of: ":") else { return (text, nil) }
        return (String(text[..<colon]), String(text[text.index(after: colon)...]))
    }

    private static func parseInternet(_ rest: String, into options: inout OptionValues) throws(BlockError) {
        guard !rest.contains("?") else { throw .invalid("nbd:// takes no parameters") }
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let (host, port) = split(String(first)), !host.isEmpty else { throw .invalid("expected nbd://HOST[:PORT]/NAME") }
        try options.set("server.type", "inet")
        try options.set("server.host", host)
        try options.set("server.port", port ?? standardPort)
        if parts.count == 2 { try options.set("export", try unescaped(parts[1])) }
    }

    private static func parseUnix(_ rest: String, into options: inout OptionValues) throws(BlockError) {
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let path = remainder(of: String(parts[1]), after: "socket="), !path.isEmpty, parts[0].isEmpty || parts[0].hasPrefix("/") else {
            throw .invalid("expected nbd+unix:///NAME?socket=PATH")
        }
        try options.set("server.type", "unix")
        try options.set("server.path", try unescaped(path[...]))
        if parts[0].count > 1 { try options.set("export", try unescaped(parts[0].dropFirst())) }
    }

    /// Percent signs as RFC 3986 has them.
    private static func unescaped(_ text: Substring) throws(BlockError) -> String {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else { out.append(byte); continue }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { throw .invalid("a '%' without two hexadecimal digits") }
            out.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: out, as: UTF8.self) else { throw .invalid("the name is not UTF-8") }
        return text
    }

    public static func filename(_ options: OptionValues) -> String {
        let export = options.text("export") ?? ""
        if let path = options.text("server.path") { return "nbd+unix://" + (export.isEmpty ? "" : "/" + export) + "?socket=" + path }
        if let host = options.text("server.host") {
            let shown = host.contains(":") ? "[\(host)]" : host
            return "nbd://\(shown):\(options.text("server.port") ?? standardPort)" + (export.isEmpty ? "" : "/" + export)
        }
        return "nbd:"
    }

    static func address(_ options: OptionValues) throws(BlockError) -> SocketAddress {
        let path = options.text("server.path"), host = options.text("server.host"), descriptor = options.text("server.str")
        switch options.text("server.type") ?? (path != nil ? "unix" : "inet") {
        case "unix":
            guard let path, host == nil else { throw .invalid("nbd: one of 'host' and 'path' must be specified.") }
            return .unix(path: path)
        case "fd":
            guard let descriptor, let number = Int32(descriptor), number >= 0 else { throw .invalid("nbd: server.str is the number of a descriptor") }
            return .descriptor(number)
        default:
            guard let host, path == nil else { throw .invalid("nbd: one of 'host' and 'path' must be specified.") }
            return .inet(host: host, port: options.text("server.port") ?? standardPort)
        }
    }

    public static func open(_ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage { try open(options, access, credentials: nil) }

    public static func open(_ options: OptionValues, _ access: Access, _ graph: BlockGraph) throws(BlockError) -> any Storage {
        var credentials: TLSCredentials?
        if let id = options.text("tls-creds") { credentials = try TLSObject.credentials(id, graph, isServer: false) }
        return try open(options, access, credentials: credentials)
    }

    private static func open(_ options: OptionValues, _ access: Access, credentials: TLSCredentials?) throws(BlockError) -> any Storage {
        let address = try address(options)
        let export = options.text("export") ?? ""
        guard export.utf8.count <= Handshake.longestText else { throw .invalid("nbd: export name too long") }
        var host = options.text("tls-hostname")
        if host == nil, case .inet(let name, _) = address { host = name }
        var wishes = ClientWishes(export: export, credentials: credentials, host: host)
        if let context = options.text("x-dirty-bitmap") { wishes.context = context }
        let target = NBDTarget(address: address, wishes: wishes, reconnectDelay: Double(options.number("reconnect-delay") ?? 0),
                               openTimeout: Double(options.number("open-timeout") ?? 0))
        return try NBDStorage(target, filename: filename(options), writable: access.writable)
    }
}

/// What a server offers.
public enum ExportListing {
    /// Asks the server at `address`. - Parameter host: the name that its certificate must have.
    public static func fetch(_ address: SocketAddress, credentials: TLSCredentials?, host: String?) throws(SocketError) -> [ExportInformation] {
        let channel = Channel(try address.connect())
        channel.setDeadline(30)
        var handshake = ClientHandshake(channel)
        let list = try handshake.list(ClientWishes(export: "", credentials: credentials, host: host))
        channel.finish()
        return list
    }
}
