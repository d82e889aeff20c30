// `-fw_cfg` and `-boot`: what firmware is told beside the device tree.

import Core
import Devices
import Glibc

/// `-boot`
struct BootOptions {
    /// Letters of kinds of devices, those to try first in front: c disks, d CD-ROMs, n networks; nil: only `bootindex` counts.
    var order: String?
    /// The same until the first reset.
    var once: String?
    var hasMenu = false
    var isStrict = false
    /// Milliseconds.
    var menuWait: UInt16?
    var failWait: Int32 = -1
}

/// `-fw_cfg`
struct FirmwareFile {
    var name: String
    var bytes: [UInt8]
}

extension CommandLineReader {
    mutating func takeFirmwareFile(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "name")
        guard let name = values.take("name"), !name.isEmpty else { throw ConfigurationError("-fw_cfg: no name is given") }
        guard name.utf8.count < 56 else { throw ConfigurationError("-fw_cfg: name '\(name)' is longer than 55 characters") }
        let path = values.take("file"), string = values.take("string")
        try values.finish("-fw_cfg")
        guard (path == nil) != (string == nil) else { throw ConfigurationError("-fw_cfg: '\(name)': expected either file or string") }
        if !name.hasPrefix("opt/") { complain("warning: -fw_cfg: name '\(name)' should be prefixed with \"opt/\"") }
        guard !configuration.firmwareFiles.contains(where: { $0.name == name }) else { throw ConfigurationError("-fw_cfg: name '\(name)' is given twice") }
        let bytes = if let path { try StartFiles.read(path, "-fw_cfg").bytes } else { Array((string ?? "").utf8) }
        configuration.firmwareFiles.append(FirmwareFile(name: name, bytes: bytes))
    }

    mutating func takeBoot(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "order")
        func letters(_ name: String) throws(ConfigurationError) -> String? {
            guard let text = values.take(name) else { return nil }
            for (index, letter) in text.enumerated() {
                guard ("a" ... "p").contains(letter) else { throw ConfigurationError("-boot: Invalid boot device '\(letter)'") }
                guard "cdn".contains(letter) else { throw ConfigurationError("-boot: \(name): the machine has no device of letter '\(letter)', expected c (disks), d (CD-ROMs) or n (networks)") }
                guard !text.prefix(index).contains(letter) else { throw ConfigurationError("-boot: Boot device '\(letter)' was given twice") }
            }
            return text
        }
        func flag(_ name: String) throws(ConfigurationError) -> Bool? {
            guard let text = values.take(name) else { return nil }
            guard let flag = Properties.parseFlag(text) else { throw ConfigurationError("-boot: \(name) is '\(text)', expected on or off") }
            return flag
        }
        if let order = try letters("order") { configuration.boot.order = order }
        if let once = try letters("once") { configuration.boot.once = once }
        if let menu = try flag("menu") { configuration.boot.hasMenu = menu }
        if let strict = try flag("strict") { configuration.boot.isStrict = strict }
        if let text = values.take("splash-time") {
            guard let time = UInt16(text) else { throw ConfigurationError("-boot: splash-time is '\(text)', expected 0 to 65535") }
            configuration.boot.menuWait = time
        }
        if let text = values.take("reboot-timeout") {
            guard let time = Int32(text), (-1 ... 65535).contains(time) else { throw ConfigurationError("-boot: reboot-timeout is '\(text)', expected -1 to 65535") }
            configuration.boot.failWait = time
        }
        try values.finish("-boot")
    }

    /// `-set GROUP.ID.NAME=VALUE`: as if the option with that id had ended with `NAME=VALUE`. - Parameter words: the whole line.
    static func applySets(_ words: [String]) throws(ConfigurationError) -> [String] {
        var done: [String] = [], rest = words[...]
        while let word = rest.popFirst() {
            guard word == "-set" || word == "--set" else {
                done.append(word)
                continue
            }
            guard let text = rest.popFirst() else { throw ConfigurationError("-set: requires an argument") }
            guard let equals = text.firstIndex(of: "=") else { throw ConfigurationError("-set: '\(text)', expected GROUP.ID.NAME=VALUE") }
            let parts = text[..<equals].split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else { throw ConfigurationError("-set: '\(text)', expected GROUP.ID.NAME=VALUE") }
            let place = done.indices.dropFirst().first { index in
                done[index - 1].drop { $0 == "-" } == parts[0] && done[index - 1].hasPrefix("-") && !done[index].hasPrefix("{") && KeyValues(done[index])["id"] == parts[1]
            }
            guard let place else { throw ConfigurationError("-set: there is no \(parts[0]) \"\(parts[1])\" defined in front of it") }
            let value = text[text.index(after: equals)...].split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
            done[place] += ",\(parts[2])=\(value)"
        }
        return done
    }
}

extension FirmwareConfiguration {
    private func little<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    /// What a command line tells. - Parameter order: the devices to boot from.
    func add(_ configuration: Configuration, order: [UInt8]) throws(ConfigurationError) {
        // FW_CFG_NOGRAPHIC, FW_CFG_NB_CPUS, FW_CFG_BOOT_MENU.
        add(4, little(configuration.isNographic ? 1 : 0 as UInt16))
        add(5, little(UInt16(truncatingIfNeeded: configuration.processors)))
        add(14, little(configuration.boot.hasMenu ? 1 : 0 as UInt16))
        add(file: "etc/boot-fail-wait", little(configuration.boot.failWait))
        if let wait = configuration.boot.menuWait { add(file: "etc/boot-menu-wait", little(wait)) }
        add(file: "bootorder", order)
        for file in configuration.firmwareFiles {
            guard !has(file: file.name) else { throw ConfigurationError("-fw_cfg: the machine has a file '\(file.name)' of its own") }
            add(file: file.name, file.bytes)
        }
    }
}
