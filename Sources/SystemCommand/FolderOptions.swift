// `-fsdev` and `-virtfs`: folders of the host that a guest sees.

import Core
import Devices

/// What a command line says of shared folders.
struct FolderOptions {
    private var folders: [(id: String, option: String, values: KeyValues)] = []
    /// Devices that `-virtfs` asks for.
    private(set) var devices: [[(name: String, value: String)]] = []

    mutating func add(fsdev text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "fsdriver")
        guard let id = values.take("id") else { throw ConfigurationError("-fsdev: no id is given") }
        try add(id, "-fsdev", values)
    }

    mutating func add(virtfs text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "fsdriver")
        guard let tag = values.take("mount_tag") else { throw ConfigurationError("-virtfs: no mount_tag is given") }
        let id = values.take("id") ?? tag
        try add(id, "-virtfs", values)
        devices.append([("driver", "virtio-9p-pci"), ("fsdev", id), ("mount_tag", tag)])
    }

    private mutating func add(_ id: String, _ option: String, _ values: KeyValues) throws(ConfigurationError) {
        guard !folders.contains(where: { $0.id == id }) else { throw ConfigurationError("\(option): id '\(id)' is given twice") }
        folders.append((id, option, values))
    }

    /// Opens them all.
    func open() throws(ConfigurationError) -> [String: SharedFolder] {
        var result: [String: SharedFolder] = [:]
        for (id, option, values) in folders { result[id] = try Self.open("\(option) \(id)", values) }
        return result
    }

    private static func open(_ option: String, _ given: KeyValues) throws(ConfigurationError) -> SharedFolder {
        var values = given
        let driver = values.take("fsdriver") ?? ""
        guard driver == "local" else { throw ConfigurationError("\(option): driver '\(driver)' is not supported, expected local") }
        guard let path = values.take("path") else { throw ConfigurationError("\(option): no path is given") }
        guard let word = values.take("security_model") else { throw ConfigurationError("\(option): no security_model is given, expected passthrough, none, mapped-xattr or mapped-file") }
        guard let security = word == "mapped" ? .mappedAttributes : SecurityModel(rawValue: word) else {
            throw ConfigurationError("\(option): security_model is '\(word)', expected passthrough, none, mapped-xattr or mapped-file")
        }
        let isReadOnly = try flag(&values, "readonly", option)
        let writeout = values.take("writeout")
        guard writeout == nil || writeout == "immediate" else { throw ConfigurationError("\(option): writeout is '\(writeout ?? "")', expected immediate") }
        // Files of several file systems get numbers that differ, always.
        if let devices = values.take("multidevs"), devices != "remap" { throw ConfigurationError("\(option): multidevs is '\(devices)', expected remap") }
        func mode(_ name: String) throws(ConfigurationError) -> UInt32? {
            guard let text = values.take(name) else { return nil }
            guard security == .mappedAttributes || security == .mappedFile else { throw ConfigurationError("\(option): \(name) needs a mapped security_model") }
            guard let mode = UInt32(text, radix: 8), mode <= 0o777 else { throw ConfigurationError("\(option): \(name) is '\(text)', expected an octal mode such as 0600") }
            return mode
        }
        let fileMode = try mode("fmode"), folderMode = try mode("dmode")
        try values.finish(option)
        do throws(ConfigurationError) {
            return try SharedFolder(path: path, security: security, isReadOnly: isReadOnly, writesAtOnce: writeout != nil, fileMode: fileMode ?? 0o600, folderMode: folderMode ?? 0o700)
        } catch { throw ConfigurationError("\(option): \(error)") }
    }

    private static func flag(_ values: inout KeyValues, _ name: String, _ option: String) throws(ConfigurationError) -> Bool {
        guard let text = values.take(name) else { return false }
        guard let value = Properties.parseFlag(text) else { throw ConfigurationError("\(option): \(name) is '\(text)', expected on or off") }
        return value
    }
}
