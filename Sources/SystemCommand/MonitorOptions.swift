// Options that say how a machine is run and watched: monitors, -S, -action, -blockdev, -object, -global, -readconfig …

import Block
import Core
import Glibc
import MachineMonitor

/// What those options ask for.
struct MonitorOptions {
    struct Place {
        /// `chardev:ID`, or a device as `-serial` takes it.
        var device: String
        var isHuman: Bool
        var isPretty = false
    }
    var monitors: [Place] = []
    /// `-monitor none` was given.
    var hasNoHuman = false
    var startsPaused = false
    var policy = RunPolicy()
    var uuid: String?
    var isDaemon = false
    var isSnapshot = false
    var nodes: [JSONValue] = []
    var objects: [String] = []
    var globals: [(driver: String, property: String, value: String)] = []
    /// Seconds since 1970.
    var realTimeStart: UInt64?
}

extension CommandLineReader {
    /// Takes `option` if it is one of these.
    mutating func takeMonitorOption(_ option: String) throws(ConfigurationError) -> Bool {
        switch option {
        case "S": configuration.control.startsPaused = true
        case "snapshot": configuration.control.isSnapshot = true
        case "daemonize": configuration.control.isDaemon = true
        case "no-shutdown": configuration.control.policy.shutdown = .pause
        case "action":
            for (name, value) in KeyValues(try argument(option)).pairs { try configuration.control.policy.set(name, value) }
        case "watchdog-action": try configuration.control.policy.set("watchdog", try argument(option))
        case "uuid":
            let text = try argument(option).lowercased()
            let digits = text.split(separator: "-", omittingEmptySubsequences: false)
            guard digits.map(\.count) == [8, 4, 4, 4, 12], digits.allSatisfy({ $0.allSatisfy(\.isHexDigit) }) else { throw ConfigurationError("-uuid: '\(text)' is not a UUID") }
            configuration.control.uuid = text
        case "name":
            var values = KeyValues(try argument(option), implied: "guest")
            configuration.name = values.take("guest")
            MessageStyle.shared.withLock { $0.name = configuration.name }
            guard values.take("debug-threads") != "on" else { throw ConfigurationError("-name: debug-threads=on is not supported") }
            try values.finish("-name")
        case "monitor", "qmp", "qmp-pretty":
            let device = try argument(option)
            if device == "none" {
                if option == "monitor" { configuration.control.hasNoHuman = true }
            } else { configuration.control.monitors.append(.init(device: device, isHuman: option == "monitor", isPretty: option == "qmp-pretty")) }
        case "msg":
            var values = KeyValues(try argument(option))
            for name in ["timestamp", "guest-name"] {
                guard let text = values.take(name) else { continue }
                guard let flag = Properties.parseFlag(text) else { throw ConfigurationError("-msg: \(name) is '\(text)', expected on or off") }
                MessageStyle.shared.withLock { style in if name == "timestamp" { style.hasTimestamp = flag } else { style.hasGuestName = flag } }
            }
            try values.finish("-msg")
        case "mon": try takeMonitor(try argument(option))
        case "blockdev": configuration.control.nodes.append(try Self.tree(try argument(option), "-blockdev"))
        case "object":
            let text = try argument(option)
            if text == "filter-dump" || text.hasPrefix("filter-dump,") { try configuration.network.addObject(text) } else { configuration.control.objects.append(text) }
        case "global": try takeGlobal(try argument(option))
        case "rtc": try takeClock(try argument(option))
        case "readconfig": try readConfiguration(try argument(option))
        default: return false
        }
        return true
    }

    private mutating func takeMonitor(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "chardev")
        guard let device = values.take("chardev") else { throw ConfigurationError("-mon: chardev is not given") }
        let mode = values.take("mode") ?? "readline"
        guard mode == "control" || mode == "readline" else { throw ConfigurationError("-mon: mode is '\(mode)', expected control or readline") }
        let pretty = values.take("pretty") ?? "off"
        guard let isPretty = Properties.parseFlag(pretty) else { throw ConfigurationError("-mon: pretty is '\(pretty)', expected on or off") }
        _ = values.take("id")
        try values.finish("-mon")
        configuration.control.monitors.append(.init(device: "chardev:" + device, isHuman: mode == "readline", isPretty: isPretty))
    }

    /// JSON as it is, or `name=value,…` with dots for what is inside.
    private static func tree(_ text: String, _ option: String) throws(ConfigurationError) -> JSONValue {
        if text.hasPrefix("{") {
            do { return try JSONValue(parsing: text) } catch { throw ConfigurationError("\(option): \(error)") }
        }
        let pairs = KeyValues(text, implied: "driver").pairs
        return listed(.object(OptionTree.expanded(pairs.map { .init($0.name, .text($0.value)) })))
    }

    /// Objects whose members are numbered are lists.
    private static func listed(_ value: JSONValue) -> JSONValue {
        guard let members = value.members else { return value }
        let inner = members.map { JSONValue.Member($0.name, listed($0.value)) }
        if !inner.isEmpty, inner.enumerated().allSatisfy({ String($0.offset) == $0.element.name }) { return .array(inner.map(\.value)) }
        return .object(inner)
    }

    private mutating func takeGlobal(_ text: String) throws(ConfigurationError) {
        if let equals = text.firstIndex(of: "="), let dot = text[..<equals].firstIndex(of: ".") {
            configuration.control.globals.append((String(text[..<dot]), String(text[text.index(after: dot) ..< equals]), String(text[text.index(after: equals)...])))
            return
        }
        var values = KeyValues(text)
        guard let driver = values.take("driver"), let property = values.take("property"), let value = values.take("value") else {
            throw ConfigurationError("-global: '\(text)', expected DRIVER.PROPERTY=VALUE")
        }
        try values.finish("-global")
        configuration.control.globals.append((driver, property, value))
    }

    private mutating func takeClock(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text)
        switch values.take("base") {
        case nil, "utc": break
        case let base?:
            let words = base.split(separator: "T", omittingEmptySubsequences: false)
            let day = words[0].split(separator: "-", omittingEmptySubsequences: false).map { Int32($0) }
            let time = words.count > 1 ? words[1].split(separator: ":", omittingEmptySubsequences: false).map { Int32($0) } : [0, 0, 0]
            guard words.count <= 2, day.count == 3, time.count == 3, let year = day[0], let month = day[1], let number = day[2], (1970 ... 9999).contains(year),
                  (1 ... 12).contains(month), (1 ... 31).contains(number), let hour = time[0], let minute = time[1], let second = time[2],
                  (0 ... 23).contains(hour), (0 ... 59).contains(minute), (0 ... 60).contains(second) else {
                throw ConfigurationError("-rtc: base is '\(base)', expected utc, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS")
            }
            var date = tm()
            (date.tm_year, date.tm_mon, date.tm_mday) = (year - 1900, month - 1, number)
            (date.tm_hour, date.tm_min, date.tm_sec) = (hour, minute, second)
            configuration.control.realTimeStart = UInt64(clamping: timegm(&date))
        }
        if let clock = values.take("clock"), clock != "vm" { throw ConfigurationError("-rtc: clock is '\(clock)', expected vm") }
        try values.finish("-rtc")
    }

    /// A file of sections `[device "id"]` with lines `name = "value"`: each is an option of that name.
    private mutating func readConfiguration(_ path: String) throws(ConfigurationError) {
        guard let file = fopen(path, "rb") else { throw ConfigurationError("-readconfig: '\(path)': \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&buffer, 1, buffer.count, file)
        var section: (option: String, parts: [String])?
        var words: [String] = []
        func finish() { if let section { words += ["-" + section.option, section.parts.joined(separator: ",")] } }
        for (number, line) in String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            func trimmed(_ text: some StringProtocol) -> String { String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()) }
            func unquoted(_ text: String) -> String { text.count >= 2 && text.hasPrefix("\"") && text.hasSuffix("\"") ? String(text.dropFirst().dropLast()) : text }
            let text = trimmed(line)
            if text.isEmpty || text.hasPrefix("#") { continue }
            if text.hasPrefix("["), text.hasSuffix("]") {
                finish()
                let inside = text.dropFirst().dropLast().split(separator: " ", maxSplits: 1).map { unquoted(trimmed($0)) }
                guard let name = inside.first else { throw ConfigurationError("-readconfig: '\(path)', line \(number + 1): a section without a name") }
                section = (["smp-opts": "smp", "memory": "m"][name] ?? name, inside.count > 1 ? ["id=" + inside[1]] : [])
            } else if let equals = text.firstIndex(of: "="), section != nil {
                let name = trimmed(text[..<equals]), value = unquoted(trimmed(text[text.index(after: equals)...]))
                section?.parts.append(name + "=" + value.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,"))
            } else { throw ConfigurationError("-readconfig: '\(path)', line \(number + 1): expected [section] or name = \"value\"") }
        }
        finish()
        prepend(words)
    }
}
