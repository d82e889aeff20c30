// The commands of the monitor for people: a table of names, arguments and bodies. Most are QMP commands in other words.

import Block
import Core
import Monitor

struct HumanMonitor {
    let owner: MachineMonitor
    init(_ owner: MachineMonitor) { self.owner = owner }
    var machine: MachineMonitor.Machine { owner.machine }

    /// One command; `body` gives what is printed.
    struct Entry: Sendable {
        var names: [String]
        var parameters: String
        var summary: String
        var body: @Sendable (HumanMonitor, [String], inout HumanState) throws(MonitorError) -> String

        init(_ names: String, takes parameters: String = "", _ summary: String, _ body: @escaping @Sendable (HumanMonitor, [String], inout HumanState) throws(MonitorError) -> String) {
            self.names = names.split(separator: "|").map(String.init)
            self.parameters = parameters
            self.summary = summary
            self.body = body
        }
    }

    static let names: [String] = table.flatMap(\.names).sorted()

    static let table: [Entry] = mediaTable + [
        Entry("help|?", takes: "[cmd]", "show the help") { (monitor, words, _) in
            help(words.first) + monitor.owner.furtherCommands.filter { words.isEmpty || $0.name == words[0] }.map { "\($0.name) \($0.parameters) -- \($0.summary)\n" }.joined()
        },
        Entry("info", takes: "[subcommand]", "show what the machine is and does") { (monitor, words, state) throws(MonitorError) in try monitor.info(words, &state) },
        Entry("stop|s", "stop emulation") { (monitor, _, _) throws(MonitorError) in try monitor.run("stop") },
        Entry("cont|c", "resume emulation") { (monitor, _, _) throws(MonitorError) in try monitor.run("cont") },
        Entry("quit|q", "quit the emulator") { (monitor, _, _) throws(MonitorError) in try monitor.run("quit") },
        Entry("system_reset", "reset the system") { (monitor, _, _) throws(MonitorError) in try monitor.run("system_reset") },
        Entry("system_powerdown", "send system power down event") { (monitor, _, _) throws(MonitorError) in try monitor.run("system_powerdown") },
        Entry("nmi", "inject an NMI") { (monitor, _, _) throws(MonitorError) in try monitor.run("inject-nmi") },
        Entry("device_add", takes: "driver[,prop=value][,...]", "add device, like -device on the command line") { (monitor, words, _) throws(MonitorError) in
            try monitor.run("device_add", try options(words, "driver"))
        },
        Entry("device_del", takes: "device", "remove device") { (monitor, words, _) throws(MonitorError) in try monitor.run("device_del", [.init("id", .text(try word(words, "id")))]) },
        Entry("object_add", takes: "qom-type,id=str[,prop=value]", "create QOM object") { (monitor, words, _) throws(MonitorError) in try monitor.run("object-add", try options(words, "qom-type")) },
        Entry("object_del", takes: "id", "destroy QOM object") { (monitor, words, _) throws(MonitorError) in try monitor.run("object-del", [.init("id", .text(try word(words, "id")))]) },
        Entry("chardev-add", takes: "args", "add chardev") { (monitor, words, _) throws(MonitorError) in
            let values = try options(words, "backend")
            guard let id = values.first(where: { $0.name == "id" })?.value.string else { throw MonitorError("Parameter 'id' is missing") }
            guard !monitor.machine.characters.has(id) else { throw MonitorError("Chardev with id '\(id)' already exists") }
            let settings = values.filter { $0.name != "id" }.map { (name: $0.name, value: $0.value.string ?? "") }
            try MachineMonitor.configuring { () throws(ConfigurationError) in try monitor.machine.addCharacter(id, settings) }
            return ""
        },
        Entry("chardev-remove", takes: "id", "remove chardev") { (monitor, words, _) throws(MonitorError) in try monitor.run("chardev-remove", [.init("id", .text(try word(words, "id")))]) },
        Entry("chardev-send-break", takes: "id", "send a break on chardev") { (monitor, words, _) throws(MonitorError) in try monitor.run("chardev-send-break", [.init("id", .text(try word(words, "id")))]) },
        Entry("qom-list", takes: "path", "list QOM properties") { (monitor, words, _) throws(MonitorError) in
            let path = words.first ?? "/"
            guard let object = monitor.owner.object(path) else { throw MonitorError("Device '\(path)' not found") }
            return object.map { "\($0.name) (\($0.type))\n" }.joined()
        },
        Entry("qom-get", takes: "path property", "print QOM property") { (monitor, words, _) throws(MonitorError) in
            guard words.count == 2 else { throw MonitorError("path and property are expected") }
            guard let object = monitor.owner.object(words[0]) else { throw MonitorError("Device '\(words[0])' not found") }
            guard let property = object.first(where: { $0.name == words[1] }) else { throw MonitorError("Property '\(words[0]).\(words[1])' not found") }
            return property.value.pretty + "\n"
        },
        Entry("qom-set", takes: "path property value", "set QOM property") { (monitor, words, _) throws(MonitorError) in
            guard words.count == 3 else { throw MonitorError("path, property and value are expected") }
            let value = Properties.parseFlag(words[2]).map { JSONValue.flag($0) } ?? Properties.parseSize(words[2]).map { .number($0) } ?? .text(words[2])
            try monitor.owner.setProperty(words[0], words[1], value)
            return ""
        },
        Entry("balloon", takes: "target", "request VM to change its memory allocation (in MB)") { (monitor, words, _) throws(MonitorError) in
            guard let size = Properties.parseSize(try word(words, "value"), unit: 1 << 20) else { throw MonitorError("'\(words[0])' is not a size") }
            return try monitor.run("balloon", [.init("value", .number(size))])
        },
        Entry("block_resize", takes: "device size", "resize a block image") { (monitor, words, _) throws(MonitorError) in
            guard words.count == 2, let size = Properties.parseSize(words[1], unit: 1 << 20) else { throw MonitorError("device and size are expected") }
            return try monitor.run("block_resize", [.init("device", .text(words[0])), .init("size", .number(size))])
        },
        Entry("memsave", takes: "addr size file", "save to disk virtual memory dump") { (monitor, words, state) throws(MonitorError) in
            try monitor.run("memsave", try monitor.saving(words, state) + [.init("cpu-index", .number(state.hart))])
        },
        Entry("pmemsave", takes: "addr size file", "save to disk physical memory dump") { (monitor, words, state) throws(MonitorError) in try monitor.run("pmemsave", try monitor.saving(words, state)) },
        Entry("x", takes: "/fmt addr", "virtual memory dump") { (monitor, words, state) throws(MonitorError) in try monitor.dump(words, state, isPhysical: false) },
        Entry("xp", takes: "/fmt addr", "physical memory dump") { (monitor, words, state) throws(MonitorError) in try monitor.dump(words, state, isPhysical: true) },
        Entry("print|p", takes: "/fmt expr", "print expression value (use $reg for CPU register access)") { (monitor, words, state) throws(MonitorError) in try monitor.printValue(words, state) },
        Entry("cpu", takes: "index", "set the default CPU") { (monitor, words, state) throws(MonitorError) in
            guard let number = Int(try word(words, "index")), (0 ..< monitor.machine.processors.count).contains(number) else { throw MonitorError("invalid CPU index") }
            state.hart = number
            return ""
        },
    ]

    // MARK: answering

    /// Does a line and gives what is printed, lines ended.
    func answer(_ line: String, _ state: inout HumanState) -> String {
        var words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
        guard !words.isEmpty else { return "" }
        var name = words.removeFirst()
        // "x/4i" is "x /4i".
        if let slash = name.firstIndex(of: "/"), slash != name.startIndex {
            words.insert(String(name[slash...]), at: 0)
            name = String(name[..<slash])
        }
        let full = name == "info" && !words.isEmpty ? "info " + words[0] : name
        if let further = owner.furtherCommands.first(where: { $0.name == full }) {
            do throws(MonitorError) { return try further.body(full == name ? words : Array(words.dropFirst())) } catch { return "Error: \(error.text)\n" }
        }
        guard let entry = Self.table.first(where: { $0.names.contains(name) }) else { return "unknown command: '\(name)'\n" }
        do throws(MonitorError) { return try entry.body(self, words, &state) } catch { return "Error: \(error.text)\n" }
    }

    /// Does a QMP command that has nothing to say.
    func run(_ name: String, _ members: [JSONValue.Member] = []) throws(MonitorError) -> String {
        _ = try owner.monitor.executeInside(name, .object(members))
        return ""
    }
    func ask(_ name: String) throws(MonitorError) -> JSONValue { try owner.monitor.executeInside(name) }

    static func word(_ words: [String], _ name: String) throws(MonitorError) -> String {
        guard let first = words.first else { throw MonitorError("Parameter '\(name)' is missing") }
        return first
    }

    private static func options(_ words: [String], _ implied: String) throws(MonitorError) -> [JSONValue.Member] {
        let text = words.joined(separator: " ")
        guard !text.isEmpty else { throw MonitorError("Parameter '\(implied)' is missing") }
        var parts = OptionValues.split(text)
        if let head = text.split(separator: ",").first, !head.contains("="), !parts.isEmpty { parts[0] = (implied, String(head)) }
        return parts.map { .init($0.name, .text($0.value)) }
    }

    private func saving(_ words: [String], _ state: HumanState) throws(MonitorError) -> [JSONValue.Member] {
        guard words.count == 3 else { throw MonitorError("address, size and file are expected") }
        return [.init("val", .number(try value(words[0], state))), .init("size", .number(try value(words[1], state))), .init("filename", .text(words[2].filter { $0 != "\"" }))]
    }

    private static func help(_ name: String?) -> String {
        if name == "info" { return infoTable.map { "info \($0.name) -- show \($0.summary)\n" }.joined() }
        return table.filter { name == nil || $0.names.contains(name ?? "") }.map { entry in
            entry.names.joined(separator: "|") + (entry.parameters.isEmpty ? "" : " " + entry.parameters) + " -- " + entry.summary + "\n"
        }.joined()
    }
}
