// QEMU's system options as Apus takes them: each either does what it does in QEMU or is refused by name.

import Block
import Core

/// Reads a command line into a `Configuration`.
struct CommandLineReader {
    private var words: ArraySlice<String>
    var configuration = Configuration()
    /// Something to print instead of running a machine.
    enum Question { case machines, processors, devices, device(String), version, options, logItems, accelerators }
    var question: Question?

    /// Accelerators that were asked for: others may be asked for if they are not there.
    var refusedAccelerators: [String] = []
    var hasAccelerator = false

    init(_ words: [String]) { self.words = words[...] }

    /// Options of QEMU that are known and not there yet.
    private static let missing: Set<String> = [
        "smbios", "acpitable", "sandbox", "trace", "loadvm",
        "incoming", "icount", "numa", "hda", "hdb", "hdc", "hdd", "fda", "fdb", "sd", "mtdblock",
        "pflash", "spice", "full-screen", "plugin", "semihosting", "parallel", "run-with", "compat",
    ]

    mutating func read() throws(ConfigurationError) {
        words = try Self.applySets(Array(words))[...]
        while let word = words.popFirst() {
            guard word.hasPrefix("-"), word != "-" else {
                // As in QEMU, a bare word is a disk.
                configuration.drives.append(DriveOption(file: word))
                continue
            }
            try take(String(word.drop { $0 == "-" }))
        }
        if let name = refusedAccelerators.first, !hasAccelerator { throw ConfigurationError("accelerator '\(name)' is not supported, expected tcg") }
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
        case "mem-path": configuration.memoryPath = try argument(option)
        case "mem-prealloc": configuration.preallocatesMemory = true
        case "fw_cfg": try takeFirmwareFile(try argument(option))
        case "boot": try takeBoot(try argument(option))
        case "d":
            let text = try argument(option)
            if text == "help" { question = .logItems } else { configuration.logItems.formUnion(try MachineLog.items(text, "-d")) }
        case "D": configuration.logFile = try argument(option)
        case "k":
            // What a VNC client sends are symbols of a keyboard of the United States.
            let map = try argument(option)
            guard map == "en-us" else { throw ConfigurationError("-k: keymap '\(map)' is not supported, expected en-us") }
        case "accel": try takeAccelerator(try argument(option))
        case "enable-kvm": refusedAccelerators.append("kvm")
        case "overcommit": try takeOvercommitment(try argument(option))
        case "audiodev": try takeAudio(try argument(option))
        case "engine": configuration.engine = try argument(option)
        case "bios": configuration.firmware = try argument(option)
        case "kernel": configuration.kernel = try argument(option)
        case "initrd": configuration.initrd = try argument(option)
        case "append": configuration.commandLine = try argument(option)
        case "dtb": configuration.deviceTree = try argument(option)
        case "drive": configuration.drives.append(try DriveOption(try argument(option)))
        // As in QEMU, the third disk of the machine's own kind.
        case "cdrom": configuration.drives.append(DriveOption(id: "virtio2", file: try argument(option), isReadOnly: true, isOptical: true))
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
        case "fsdev": try configuration.shares.add(fsdev: try argument(option))
        case "virtfs": try configuration.shares.add(virtfs: try argument(option))
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
