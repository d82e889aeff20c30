// Monitors' commands for VNC servers and for the devices behind them: who is connected, passwords, pointers.

import Core
import Display
import Glibc
import MachineMonitor
import Monitor
import Sockets

extension BackEndCommands {
    private static let basics = [
        Parameter("host", .text), Parameter("service", .text), Parameter("family", .enumeration("NetworkAddressFamily", ["ipv4", "ipv6", "unix", "vsock", "unknown"])), Parameter("websocket", .flag),
    ]
    private static let clientType = ValueType.object("VncClientInfo", basics + [Parameter("x509_dname", .text, optional: true), Parameter("sasl_username", .text, optional: true)])
    private static let methods = ["none", "vnc", "ra2", "ra2ne", "tight", "ultra", "tls", "vencrypt", "sasl"]
    private static let subtypes = ["plain", "tls-none", "x509-none", "tls-vnc", "x509-vnc", "tls-plain", "x509-plain", "tls-sasl", "x509-sasl"]

    static let serverEvents: [EventDeclaration] = {
        let server = Parameter("server", .object("VncServerInfo", basics + [Parameter("auth", .text, optional: true)]))
        return [
            EventDeclaration("VNC_CONNECTED", [server, Parameter("client", .object("VncBasicInfo", basics))]),
            EventDeclaration("VNC_INITIALIZED", [server, Parameter("client", clientType)]), EventDeclaration("VNC_DISCONNECTED", [server, Parameter("client", clientType)]),
        ]
    }()

    /// Tells of clients that come and go.
    func watchServers(_ qmp: Monitor) {
        for server in servers {
            server.onEvent { [weak server] event, client in
                guard let server else { return }
                let about = Self.place(server.address, isWebSocket: false) + [.init("auth", .text(Self.words(server.authentication).first ?? ""))]
                qmp.emit(event.rawValue, .object([.init("server", .object(about)), .init("client", .object(Self.place(client.peer, isWebSocket: client.isWebSocket)))]))
            }
        }
    }

    private static func place(_ address: SocketAddress?, isWebSocket: Bool) -> [JSONValue.Member] {
        let (host, service, family) = switch address {
        case .inet(let host, let port): (host, port, host.contains(":") ? "ipv6" : "ipv4")
        case .unix(let path): ("", path, "unix")
        case .descriptor, nil: ("", "", "unix")
        }
        return [.init("host", .text(host)), .init("service", .text(service)), .init("family", .text(family)), .init("websocket", .flag(isWebSocket))]
    }

    /// The method, and VeNCrypt's subtype.
    private static func words(_ authentication: VNCServer.Authentication) -> [String] {
        switch authentication {
        case .none: ["none"]
        case .password: ["vnc"]
        case .vencrypt(let subtype): ["vencrypt", subtype]
        }
    }

    private static func clients(_ server: VNCServer) -> JSONValue { .array(server.clients.map { .object(place($0.peer, isWebSocket: $0.isWebSocket)) }) }

    private static func described(_ server: VNCServer) -> JSONValue {
        let words = words(server.authentication)
        let about: [JSONValue.Member] = [.init("auth", .text(words[0]))] + words.dropFirst().map { .init("vencrypt", .text($0)) }
        var listening = [JSONValue.object(place(server.address, isWebSocket: false) + about)]
        if let web = server.webAddress { listening.append(.object(place(web, isWebSocket: true) + about)) }
        return .object([.init("id", .text(server.settings.id)), .init("server", .array(listening)), .init("clients", clients(server))] + about)
    }

    var serverCommands: [CommandDeclaration] {
        let about = [Parameter("auth", .enumeration("VncPrimaryAuth", Self.methods)), Parameter("vencrypt", .enumeration("VncVencryptSubAuth", Self.subtypes), optional: true)]
        let clients = Parameter("clients", .array(Self.clientType))
        return [
            CommandDeclaration("query-vnc", returns: .object("VncInfo", [
                Parameter("enabled", .flag), Parameter("host", .text, optional: true), Parameter("family", .text, optional: true), Parameter("service", .text, optional: true),
                Parameter("auth", .text, optional: true), Parameter("clients", .array(Self.clientType), optional: true),
            ])) { _ throws(MonitorError) in
                guard let server = servers.first else { return .object([.init("enabled", .flag(false))]) }
                let place = Self.place(server.address, isWebSocket: false).filter { $0.name != "websocket" }
                return .object([.init("enabled", .flag(true))] + place + [.init("auth", .text(Self.words(server.authentication).last ?? "")), .init("clients", Self.clients(server))])
            },
            CommandDeclaration("query-vnc-servers", returns: .array(.object("VncInfo2", [
                Parameter("id", .text), Parameter("server", .array(.object("VncServerInfo2", Self.basics + about))), clients, Parameter("display", .text, optional: true),
            ] + about))) { _ throws(MonitorError) in .array(servers.map(Self.described)) },
            CommandDeclaration("change-vnc-password", [Parameter("password", .text)]) { arguments throws(MonitorError) in
                try setPassword(try arguments.required("password"), server: nil)
                return .nothing
            },
            CommandDeclaration("set_password", [
                Parameter("protocol", .enumeration("DisplayProtocol", ["vnc", "spice"])), Parameter("password", .text), Parameter("connected", .enumeration("SetPasswordAction", ["keep", "fail", "disconnect"]), optional: true),
                Parameter("display", .text, optional: true),
            ]) { arguments throws(MonitorError) in
                try Self.onlyVNC(try arguments.required("protocol"))
                guard arguments.text("connected") ?? "keep" == "keep" else { throw MonitorError("parameter 'connected' must be 'keep' when 'protocol' is 'vnc'") }
                try setPassword(try arguments.required("password"), server: arguments.text("display"))
                return .nothing
            },
            CommandDeclaration("expire_password", [
                Parameter("protocol", .enumeration("DisplayProtocol", ["vnc", "spice"])), Parameter("time", .text), Parameter("display", .text, optional: true),
            ]) { arguments throws(MonitorError) in
                try Self.onlyVNC(try arguments.required("protocol"))
                try expirePassword(try arguments.required("time"), server: arguments.text("display"))
                return .nothing
            },
            CommandDeclaration("query-mice", returns: .array(.object("MouseInfo", [
                Parameter("name", .text), Parameter("index", .integer), Parameter("current", .flag), Parameter("absolute", .flag),
            ]))) { _ throws(MonitorError) in
                .array(mice.enumerated().map { index, mouse in
                    .object([.init("name", .text(mouse.name)), .init("absolute", .flag(mouse.isAbsolute)), .init("current", .flag(mouse.isCurrent)), .init("index", .number(index + 1))])
                })
            },
            // As QEMU answers with -vnc: a server is no display of the host's, and there are none of those.
            CommandDeclaration("query-display-options", returns: .open("DisplayOptions", [Parameter("type", .text)])) { _ throws(MonitorError) in .object([.init("type", .text("none"))]) },
        ]
    }

    private static func onlyVNC(_ word: String) throws(MonitorError) { if word != "vnc" { throw MonitorError("SPICE is not in use") } }

    private func server(_ id: String?) throws(MonitorError) -> VNCServer {
        guard let server = id.map({ id in servers.first { $0.settings.id == id } }) ?? servers.first else { throw MonitorError(id.map { "No VNC display '\($0)'" } ?? "Could not find a VNC server") }
        return server
    }

    private func setPassword(_ password: String, server id: String?) throws(MonitorError) {
        guard try server(id).setPassword(Array(password.utf8)) else { throw MonitorError("Could not set password: VNC password authentication is not enabled (-vnc …,password=on)") }
    }

    /// `now`, `never`, `+SECONDS` from now, or seconds since 1970.
    private func expirePassword(_ text: String, server id: String?) throws(MonitorError) {
        let server = try server(id)
        switch text {
        case "now": server.expirePassword(at: 0)
        case "never": server.expirePassword(at: nil)
        default:
            guard let seconds = Int(text.hasPrefix("+") ? text.dropFirst() : text[...]), seconds >= 0 else { throw MonitorError("Parameter 'time' expects now, never, +SECONDS or seconds since 1970, not '\(text)'") }
            let (sum, overflow) = seconds.addingReportingOverflow(text.hasPrefix("+") ? time(nil) : 0)
            guard !overflow else { throw MonitorError("Parameter 'time': \(text) is too large") }
            server.expirePassword(at: sum)
        }
    }

    private var mice: [(name: String, isAbsolute: Bool, isCurrent: Bool)] {
        let pointers = displays.input.sinks.filter { !$0.kinds.isDisjoint(with: [.absolute, .relative]) }
        let current = pointers.first { $0.isReady } ?? pointers.first
        return pointers.map { ($0.inputName, $0.kinds.contains(.absolute), $0 === current) }
    }

    func addServerCommands(_ human: MachineMonitor) {
        human.add("info vnc", "", "the VNC servers and their clients") { (_) throws(MonitorError) in
            if servers.isEmpty { return "None\n" }
            return servers.map { server in
                var text = "\(server.settings.id):\n  Server: \(server.address) (\(Self.words(server.authentication).joined(separator: ", ")))\n"
                if let web = server.webAddress { text += "  Server: \(web) (WebSocket)\n" }
                for client in server.clients { text += "  Client: \(client.peer?.description ?? "unix")\(client.isWebSocket ? " (WebSocket)" : "")\(client.isSecure ? " (TLS)" : "")\n" }
                return text
            }.joined()
        }
        human.add("info mice", "", "pointers; * is the one in use") { (_) throws(MonitorError) in
            let mice = mice
            return mice.isEmpty ? "No mouse devices connected\n" : mice.enumerated().map { "\($1.isCurrent ? "*" : " ") Mouse #\($0 + 1): \($1.name)\($1.isAbsolute ? " (absolute)" : "")\n" }.joined()
        }
        human.add("set_password", "vnc PASSWORD [keep] [SERVER]", "sets the password of a VNC server") { words throws(MonitorError) in
            guard (2 ... 4).contains(words.count) else { throw MonitorError("set_password: expected vnc PASSWORD [keep] [SERVER]") }
            try Self.onlyVNC(words[0])
            guard words.count < 3 || words[2] == "keep" else { throw MonitorError("set_password: connected clients can only be kept") }
            try setPassword(words[1], server: words.count > 3 ? words[3] : nil)
            return ""
        }
        human.add("expire_password", "vnc now|never|+SECONDS|TIME [SERVER]", "says until when the password of a VNC server is good") { words throws(MonitorError) in
            guard (2 ... 3).contains(words.count) else { throw MonitorError("expire_password: expected vnc now|never|+SECONDS|TIME [SERVER]") }
            try Self.onlyVNC(words[0])
            try expirePassword(words[1], server: words.count > 2 ? words[2] : nil)
            return ""
        }
        human.add("mouse_move", "DX DY [DZ]", "moves the pointer, and turns its wheel") { words throws(MonitorError) in
            let numbers = words.compactMap { Int($0) }
            guard numbers.count == words.count, (2 ... 3).contains(numbers.count), numbers.allSatisfy({ (-32768 ... 32767).contains($0) }) else { throw MonitorError("mouse_move: expected DX DY [DZ]") }
            var events: [InputEvent] = displays.input.isAbsolute ? [.absolute(.x, max(0, numbers[0])), .absolute(.y, max(0, numbers[1]))] : [.relative(.x, numbers[0]), .relative(.y, numbers[1])]
            if numbers.count == 3, numbers[2] != 0 {
                let wheel: PointerButton = numbers[2] > 0 ? .wheelUp : .wheelDown
                events += [.button(wheel, isDown: true), .button(wheel, isDown: false)]
            }
            displays.input.send(events)
            return ""
        }
        human.add("mouse_button", "STATE", "the pointer's buttons: 1 left, 2 middle, 4 right, added up") { words throws(MonitorError) in
            guard words.count == 1, let state = Int(words[0]), (0 ... 7).contains(state) else { throw MonitorError("mouse_button: expected a sum of 1 (left), 2 (middle) and 4 (right)") }
            displays.input.send([(PointerButton.left, 1), (.middle, 2), (.right, 4)].map { .button($0.0, isDown: state & $0.1 != 0) })
            return ""
        }
    }
}
