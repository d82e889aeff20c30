// Commands of monitors for networks, displays and keyboards: netdev_add, netdev_del, set_link, screendump, send-key, and the
// like for people.

import Core
import Devices
import Display
import Glibc
import MachineMonitor
import Monitor
import Net

/// The back ends of a machine as its monitors change them.
struct BackEndCommands: Sendable {
    let network: NetworkSet
    let displays: DisplaySet
    let servers: [VNCServer]
    let loop: EventLoop

    func register(_ qmp: Monitor, _ human: MachineMonitor) {
        qmp.register(networkCommands + displayCommands + inputCommands + serverCommands + [CommandLineDescription.command], events: Self.serverEvents)
        addHumanCommands(human)
        addServerCommands(human)
        watchServers(qmp)
    }

    static func reporting<Result>(_ body: () throws(ConfigurationError) -> Result) throws(MonitorError) -> Result {
        do { return try body() } catch { throw MonitorError(error.description) }
    }

    private var networkCommands: [CommandDeclaration] {
        [
            CommandDeclaration("netdev_add", [Parameter("type", .text), Parameter("id", .text)], open: true) { arguments throws(MonitorError) in
                try Self.reporting { () throws(ConfigurationError) in try network.add(try OptionValues("netdev_add", json: arguments.json)) }
                return .nothing
            },
            CommandDeclaration("netdev_del", [Parameter("id", .text)]) { arguments throws(MonitorError) in
                let id = try arguments.required("id")
                try Self.reporting { () throws(ConfigurationError) in try network.remove(id) }
                return .nothing
            },
            CommandDeclaration("set_link", [Parameter("name", .text), Parameter("up", .flag)]) { arguments throws(MonitorError) in
                let name = try arguments.required("name")
                try Self.reporting { () throws(ConfigurationError) in try network.setLink(name, isUp: arguments.flag("up") ?? true) }
                return .nothing
            },
        ]
    }

    private var displayCommands: [CommandDeclaration] {
        let key = ValueType.open("KeyValue", [Parameter("type", .enumeration("KeyValueKind", ["number", "qcode"])), Parameter("data", .any)])
        return [
            CommandDeclaration("screendump", [
                Parameter("filename", .text), Parameter("device", .text, optional: true), Parameter("head", .integer, optional: true),
                Parameter("format", .enumeration("ImageFormat", ["ppm", "png"]), optional: true),
            ]) { arguments throws(MonitorError) in
                try dump(to: try arguments.required("filename"), device: arguments.text("device"), head: Int(try arguments.size("head") ?? 0), isPNG: arguments.text("format") == "png")
                return .nothing
            },
            CommandDeclaration("send-key", [Parameter("keys", .array(key)), Parameter("hold-time", .integer, optional: true)]) { arguments throws(MonitorError) in
                var codes: [UInt16] = []
                for key in arguments.array("keys") {
                    let word = key["data"]?.string, number = key["data"]?.compact
                    guard let code = word.flatMap({ KeyMap.code(qcode: $0) }) ?? number.flatMap({ UInt32($0) }).flatMap({ KeyMap.code(scancode: $0) }) else {
                        throw MonitorError("Parameter 'data' does not accept value '\(word ?? number ?? "")'")
                    }
                    codes.append(code)
                }
                guard codes.count <= 16 else { throw MonitorError("too many keys at once") }
                displays.sendKeys(codes, holding: UInt32(clamping: try arguments.size("hold-time") ?? 100), on: loop)
                return .nothing
            },
        ]
    }

    private func dump(to path: String, device: String?, head: Int, isPNG: Bool) throws(MonitorError) {
        guard let console = device.map({ displays.find(device: $0, head: head) }) ?? displays.consoles.first else {
            throw MonitorError(device.map { "Device '\($0)' has no console" } ?? "There is no console to take a screendump from.")
        }
        guard let image = isPNG ? Screendump.png(console) : Screendump.ppm(console) else { throw MonitorError("no surface") }
        guard let file = fopen(path, "we") else { throw MonitorError("Could not open '\(path)': \(String(cString: strerror(errno)))") }
        let written = fwrite(image, 1, image.count, file)
        guard fclose(file) == 0, written == image.count else { throw MonitorError("Could not write '\(path)': \(String(cString: strerror(errno)))") }
    }

    private func addHumanCommands(_ human: MachineMonitor) {
        human.add("info network", "", "the network's cards and back ends") { (_) throws(MonitorError) in network.report }
        human.add("set_link", "NAME on|off", "plugs a network cable, or pulls it") { words throws(MonitorError) in
            guard words.count == 2, let isUp = Properties.parseFlag(words[1]) else { throw MonitorError("set_link: expected NAME on|off") }
            try Self.reporting { () throws(ConfigurationError) in try network.setLink(words[0], isUp: isUp) }
            return ""
        }
        human.add("netdev_add", "TYPE,id=ID[,…]", "makes a network back end") { words throws(MonitorError) in
            let pairs = KeyValues(words.joined(separator: " "), implied: "type").pairs.map { ($0.name, $0.value) }
            try Self.reporting { () throws(ConfigurationError) in try network.add(OptionValues("netdev_add", pairs)) }
            return ""
        }
        human.add("netdev_del", "ID", "takes a network back end away") { words throws(MonitorError) in
            guard words.count == 1 else { throw MonitorError("netdev_del: expected an id") }
            try Self.reporting { () throws(ConfigurationError) in try network.remove(words[0]) }
            return ""
        }
        human.add("sendkey", "KEY[-KEY…] [MILLISECONDS]", "presses keys, and lets them go") { words throws(MonitorError) in
            guard let keys = words.first, words.count <= 2 else { throw MonitorError("sendkey: expected KEY[-KEY…] [MILLISECONDS]") }
            let time = words.count == 2 ? UInt32(words[1]) : 100
            guard let time else { throw MonitorError("sendkey: '\(words[1])' is not a number of milliseconds") }
            if let unknown = displays.sendKeys(qcodes: keys.split(separator: "-").prefix(16).map(String.init), holding: time, on: loop) { throw MonitorError("unknown key: '\(unknown)'") }
            return ""
        }
        human.add("screendump", "FILE", "saves the picture of the first console as PPM, or as PNG by the file's name") { words throws(MonitorError) in
            guard words.count == 1 else { throw MonitorError("screendump: expected a file") }
            try dump(to: words[0], device: nil, head: 0, isPNG: words[0].lowercased().hasSuffix(".png"))
            return ""
        }
    }
}
