// `-display`, `-vga`, `-vnc` and the objects that a VNC server names: passwords and TLS credentials.

import Block
import Core
import Display
import NBD
import Sockets

enum DisplayOptions {
    /// `-display TYPE[,…]`
    static func take(display text: String, _ configuration: inout Configuration) throws(ConfigurationError) {
        if text == "none" { return }
        guard text.hasPrefix("vnc=") else { throw ConfigurationError("-display: '\(text)' is not supported, expected none or vnc=…") }
        try take(vnc: String(text.dropFirst(4)), &configuration)
    }

    static func take(vnc text: String, _ configuration: inout Configuration) throws(ConfigurationError) {
        if text == "none" { configuration.displays = [] } else { configuration.displays.append(text) }
    }

    static func take(card text: String, _ configuration: inout Configuration) throws(ConfigurationError) {
        switch text {
        case "none": configuration.videoCard = nil
        case "std": configuration.videoCard = "VGA"
        case "virtio": configuration.videoCard = "virtio-gpu-pci"
        default: throw ConfigurationError("-vga: '\(text)' is not supported, expected none, std or virtio")
        }
    }

    /// Starts the servers that were asked for.
    static func start(_ texts: [String], _ displays: DisplaySet, _ graph: BlockGraph) throws(ConfigurationError) -> [VNCServer] {
        var servers: [VNCServer] = []
        for text in texts { servers.append(try start(text, displays, graph)) }
        return servers
    }

    private static func start(_ text: String, _ displays: DisplaySet, _ graph: BlockGraph) throws(ConfigurationError) -> VNCServer {
        var values = KeyValues(text, implied: "vnc")
        guard let place = values.take("vnc") else { throw ConfigurationError("-vnc: no address is given, expected HOST:N, unix:PATH or none") }
        func flag(_ name: String) throws(ConfigurationError) -> Bool {
            guard let text = values.take(name) else { return false }
            guard let value = Properties.parseFlag(text) else { throw ConfigurationError("-vnc: \(name) is '\(text)', expected on or off") }
            return value
        }
        var settings = VNCSettings()
        let (host, number) = try address(place, &settings)
        if let last = values.take("to") {
            guard let last = Int(last), let number, last >= number, last <= 59635 else { throw ConfigurationError("-vnc: to is '\(last)', expected a display number behind the first") }
            settings.addresses = (number ... last).map { .inet(host: host, port: String(5900 + $0)) }
        }
        let needsPassword = try flag("password")
        if let id = values.take("password-secret") {
            guard !needsPassword else { throw ConfigurationError("-vnc: password and password-secret exclude each other") }
            do throws(BlockError) { settings.password = .given(try graph.secrets.bytes(id)) } catch { throw ConfigurationError("-vnc: password-secret: \(error)") }
        } else if needsPassword {
            // Nobody gets in before a monitor has set one.
            settings.password = .missing
        }
        if let id = values.take("tls-creds") {
            do throws(BlockError) { settings.credentials = try TLSObject.credentials(id, graph, isServer: true) } catch { throw ConfigurationError("-vnc: tls-creds: \(error)") }
        }
        if let text = values.take("websocket") {
            let offset = Int(text).map { (host, $0) } ?? (text == "on" ? number.map { (host, 5700 + $0) } : nil)
            guard let (host, port) = offset, (0 ... 65535).contains(port) else { throw ConfigurationError("-vnc: websocket is '\(text)', expected a port, or on with a display number") }
            settings.webSocket = .inet(host: host, port: String(port))
        }
        if let text = values.take("share") {
            guard let sharing = VNCSettings.Sharing(rawValue: text) else { throw ConfigurationError("-vnc: share is '\(text)', expected allow-exclusive, force-shared or ignore") }
            settings.sharing = sharing
        }
        if try flag("lossy") { throw ConfigurationError("-vnc: lossy is not supported") }
        settings.id = values.take("id") ?? "default"
        let head = values.take("head"), device = values.take("display")
        if let device {
            guard let console = displays.find(device: device, head: head.flatMap { Int($0) } ?? 0) else { throw ConfigurationError("-vnc: there is no display '\(device)' with head \(head ?? "0")") }
            settings.console = console
        } else if head != nil {
            throw ConfigurationError("-vnc: head needs display")
        }
        try values.finish("-vnc")
        do throws(SocketError) { return try VNCServer(settings, displays) } catch { throw ConfigurationError("-vnc: \(error)") }
    }

    /// Host and display number, if it has them.
    private static func address(_ text: String, _ settings: inout VNCSettings) throws(ConfigurationError) -> (String, Int?) {
        if text.hasPrefix("unix:") {
            settings.addresses = [.unix(path: String(text.dropFirst(5)))]
            return ("", nil)
        }
        guard let colon = text.lastIndex(of: ":"), let number = Int(text[text.index(after: colon)...]), (0 ... 59635).contains(number) else {
            throw ConfigurationError("-vnc: '\(text)' is not an address, expected HOST:N, unix:PATH or none")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        settings.addresses = [.inet(host: host, port: String(5900 + number))]
        return (host, number)
    }
}
