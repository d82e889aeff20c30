// QEMU's system options as Apus takes them: each either does what it does in QEMU or is refused by name.

import Core

/// Reads a command line into a `Configuration`.
struct CommandLineReader {
    private var words: ArraySlice<String>
    var configuration = Configuration()
    /// Something to print instead of running a machine.
    enum Question { case machines, processors, devices, device(String), version, options }
    private(set) var question: Question?

    init(_ words: [String]) { self.words = words[...] }

    /// Options of QEMU that are known and not there yet.
    private static let missing: Set<String> = [
        "fw_cfg",
        "d", "D", "smbios", "acpitable", "audiodev", "sandbox", "trace", "msg", "loadvm",
        "incoming", "icount", "numa", "set", "boot", "mem-path", "mem-prealloc", "cdrom", "hda", "hdb", "hdc", "hdd", "fda", "fdb", "sd", "mtdblock",
        "pflash", "virtfs", "fsdev", "spice", "full-screen", "k", "plugin", "semihosting", "parallel", "enable-kvm", "run-with", "compat",
    ]

    mutating func read() throws(ConfigurationError) {
        while let word = words.popFirst() {
            guard word.hasPrefix("-"), word != "-" else {
                // As in QEMU, a bare word is a disk.
                configuration.drives.append(DriveOption(file: word))
                continue
            }
            try take(String(word.drop { $0 == "-" }))
        }
    }

    mutating func argument(_ option: String) throws(ConfigurationError) -> String {
        guard let value = words.popFirst() else { throw ConfigurationError("-\(option): requires an argument") }
        return value
    }

    /// Options that come as if they stood next on the command line.
    mutating func prepend(_ more: [String]) { words = (more + words)[...] }

    private mutating func take(_ option: String) throws(ConfigurationError) {
        if try takeMonitorOption(option) { return }
        switch option {
        case "h", "help": question = .options
        case "version": question = .version
        case "M", "machine": try takeMachine(try argument(option))
        case "cpu":
            let value = try argument(option)
            if value == "help" { question = .processors } else { configuration.cpu = value }
        case "smp": try takeProcessors(try argument(option))
        case "m": try takeMemory(try argument(option))
        case "accel": try takeAccelerator(try argument(option))
        case "engine": configuration.engine = try argument(option)
        case "bios": configuration.firmware = try argument(option)
        case "kernel": configuration.kernel = try argument(option)
        case "initrd": configuration.initrd = try argument(option)
        case "append": configuration.commandLine = try argument(option)
        case "dtb": configuration.deviceTree = try argument(option)
        case "drive": try takeDrive(try argument(option))
        case "device": try takeDevice(try argument(option))
        case "chardev": try takeCharacter(try argument(option))
        case "serial": configuration.serials.append(try argument(option))
        case "nographic": configuration.isNographic = true
        case "display":
            try DisplayOptions.take(display: try argument(option), &configuration)
        case "vnc": try DisplayOptions.take(vnc: try argument(option), &configuration)
        case "vga": try DisplayOptions.take(card: try argument(option), &configuration)
        case "netdev": try configuration.network.addBackEnd(try argument(option))
        case "nic": configuration.network.addCard(try argument(option))
        case "net": configuration.network.addLegacy(try argument(option))
        // As QEMU's, virt has no USB controller of its own that these could mean.
        case "usb": break
        case "usbdevice": throw ConfigurationError("-usbdevice \(try argument(option)): virt has no USB bus of its own, use -device qemu-xhci and -device usb-kbd, usb-mouse, usb-tablet or usb-storage")
        case "nodefaults": configuration.hasNoDefaults = true
        case "no-user-config": break
        case "no-reboot": configuration.reboots = false
        case "s": configuration.debugger = "tcp::1234"
        case "gdb": configuration.debugger = try argument(option)
        case "pidfile": configuration.pidFile = try argument(option)
        case "L": configuration.folders.append(try argument(option))
        case let name where Self.missing.contains(name): throw ConfigurationError("option '-\(name)' is not supported")
        default: throw ConfigurationError("unknown option '-\(option)' (see -help)")
        }
    }

    private mutating func takeMachine(_ text: String) throws(ConfigurationError) {
        if text == "help" || text == "?" {
            question = .machines
            return
        }
        var values = KeyValues(text, implied: "type")
        if let type = values.take("type") { configuration.machine = type }
        if let accelerator = values.take("accel"), accelerator != "tcg" { throw ConfigurationError("-machine: accelerator '\(accelerator)' is not supported, expected tcg") }
        configuration.dumpsDeviceTree = values.take("dumpdtb")
        try values.finish("-machine")
    }

    private mutating func takeProcessors(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "cpus")
        func number(_ name: String) throws(ConfigurationError) -> Int? {
            guard let text = values.take(name) else { return nil }
            guard let number = Int(text), (1 ... 512).contains(number) else { throw ConfigurationError("-smp: '\(name)' is '\(text)', expected 1 to 512") }
            return number
        }
        let cpus = try number("cpus"), maximum = try number("maxcpus")
        let sockets = try number("sockets"), clusters = try number("clusters"), cores = try number("cores"), threads = try number("threads")
        try values.finish("-smp")
        let parts = [sockets, clusters, cores, threads].compactMap(\.self)
        let product = parts.isEmpty ? nil : parts.reduce(1, *)
        configuration.processors = cpus ?? product ?? maximum ?? 1
        if let product, parts.count == 4, product < configuration.processors {
            throw ConfigurationError("-smp: \(configuration.processors) processors do not fit the topology of \(product)")
        }
        if let maximum, maximum < configuration.processors { throw ConfigurationError("-smp: maxcpus is less than the \(configuration.processors) processors") }
    }

    private mutating func takeMemory(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "size")
        guard let size = values.take("size"), let bytes = Properties.parseSize(size, unit: 1 << 20), bytes > 0 else {
            throw ConfigurationError("-m: '\(text)' is not a size such as 512M or 2G")
        }
        try values.finish("-m")
        configuration.memory = (bytes + 4095) & ~4095
    }

    private mutating func takeAccelerator(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "accel")
        let name = values.take("accel") ?? "tcg"
        guard name == "tcg" else { throw ConfigurationError("-accel: '\(name)' is not supported, expected tcg") }
        switch values.take("thread") {
        case nil, "multi": configuration.isThreaded = true
        case "single": configuration.isThreaded = false
        case let other?: throw ConfigurationError("-accel: thread is '\(other)', expected single or multi")
        }
        try values.finish("-accel tcg")
    }

    private mutating func takeDrive(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text), drive = DriveOption()
        drive.id = values.take("id")
        drive.file = values.take("file")
        drive.format = values.take("format")
        func flag(_ name: String) throws(ConfigurationError) -> Bool {
            guard let text = values.take(name) else { return false }
            guard let value = Properties.parseFlag(text) else { throw ConfigurationError("-drive: \(name) is '\(text)', expected on or off") }
            return value
        }
        drive.isReadOnly = try flag("readonly")
        if let interface = values.take("if") { drive.interface = interface }
        guard ["none", "virtio", "pflash"].contains(drive.interface) else {
            throw ConfigurationError("-drive: if is '\(drive.interface)', expected none, virtio or pflash")
        }
        if let unit = values.take("unit") {
            guard let number = Int(unit), number >= 0 else { throw ConfigurationError("-drive: unit is '\(unit)', expected a number") }
            drive.unit = number
        }
        drive.cache = values.take("cache")
        switch values.take("discard") {
        case nil, "ignore", "off": break
        case "unmap", "on": drive.discards = true
        case let other?: throw ConfigurationError("-drive: discard is '\(other)', expected ignore, off, unmap or on")
        }
        if let media = values.take("media"), media != "disk" { throw ConfigurationError("-drive: media '\(media)' is not supported, expected disk") }
        try values.finish("-drive")
        guard drive.file != nil else { throw ConfigurationError("-drive: no file is given") }
        configuration.drives.append(drive)
    }

    private mutating func takeDevice(_ text: String) throws(ConfigurationError) {
        if text == "help" || text == "?" {
            question = .devices
            return
        }
        if text.hasPrefix("{") {
            let value: JSONValue
            do { value = try JSONValue(parsing: text) } catch { throw ConfigurationError("-device: \(error)") }
            configuration.devices.append(try (value.members ?? []).map { (member) throws(ConfigurationError) in
                switch member.value {
                case .text(let text): return (member.name, text)
                case .flag(let flag): return (member.name, flag ? "on" : "off")
                case .integer, .unsigned: return (member.name, member.value.compact)
                default: throw ConfigurationError("-device: '\(member.name)' is neither text, number nor flag")
                }
            })
            return
        }
        let values = KeyValues(text, implied: "driver")
        if values["help"] != nil, let driver = values["driver"] {
            question = .device(driver)
            return
        }
        configuration.devices.append(values.pairs.map { ($0.name, $0.value) })
    }

    private mutating func takeCharacter(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "backend")
        guard let id = values.take("id") else { throw ConfigurationError("-chardev: no id is given") }
        guard !configuration.characters.contains(where: { $0.id == id }) else { throw ConfigurationError("-chardev: id '\(id)' is given twice") }
        configuration.characters.append((id, values))
    }
}
