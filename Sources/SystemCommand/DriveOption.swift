// `-drive`, and what monitors' drive_add takes.

import Block
import Core
import Devices

/// One `-drive`.
struct DriveOption {
    var id: String?
    var file: String?
    var format: String?
    var isReadOnly = false
    /// `media=cdrom`: read-only, and there need be no medium.
    var isOptical = false
    /// As in QEMU, the guest's discards reach the host's file only on request.
    var discards = false
    var cache: String?
    /// `cache.direct=` and `cache.no-flush=`
    var isDirect: Bool?, ignoresFlush: Bool?
    var aio: String?
    /// `detect-zeroes=`
    var zeroDetection = ZeroDetection.off
    /// `snapshot=on`: what the guest writes is forgotten at the end.
    var isTemporary = false
    /// `copy-on-read=on`
    var copiesOnRead = false
    /// What the format and, with `file.` in front, the protocol are told.
    var options: [(name: String, value: String)] = []
    /// `none`, `virtio` or `pflash`.
    var interface = "virtio"
    var unit: Int?
    /// `throttling.…` and its older names: limits, and the group that shares them.
    var limits = ThrottleLimits()
    var throttleGroup: String?
    /// `werror=` and `rerror=`; nil: not said.
    var writeFailures: FailurePolicy?, readFailures: FailurePolicy?
}

extension DriveOption {
    /// What devices and monitors call it, the `index`th of the command line.
    func name(_ index: Int) -> String { id ?? "\(interface)\(index)" }

    /// Reads an argument of `-drive`.
    init(_ text: String) throws(ConfigurationError) {
        self.init()
        var values = KeyValues(text)
        id = values.take("id")
        file = values.take("file")
        format = values.take("format") ?? values.take("driver")
        func flag(_ name: String) throws(ConfigurationError) -> Bool {
            guard let text = values.take(name) else { return false }
            guard let value = Properties.parseFlag(text) else { throw ConfigurationError("-drive: \(name) is '\(text)', expected on or off") }
            return value
        }
        let isOldReadOnly = try flag("read-only")
        isReadOnly = try flag("readonly") || isOldReadOnly
        isTemporary = try flag("snapshot")
        copiesOnRead = try flag("copy-on-read")
        if values["cache.direct"] != nil { isDirect = try flag("cache.direct") }
        if values["cache.no-flush"] != nil { ignoresFlush = try flag("cache.no-flush") }
        if let word = values.take("detect-zeroes") {
            guard let detection = ZeroDetection(rawValue: word) else { throw ConfigurationError("-drive: detect-zeroes is '\(word)', expected off, on or unmap") }
            zeroDetection = detection
        }
        func policy(_ name: String) throws(ConfigurationError) -> FailurePolicy? {
            guard let word = values.take(name), word != "auto" else { return nil }
            guard let policy = FailurePolicy(rawValue: word) else { throw ConfigurationError("-drive: \(name) is '\(word)', expected report, ignore, stop, enospc or auto") }
            return policy
        }
        writeFailures = try policy("werror")
        readFailures = try policy("rerror")
        if let bus = values.take("bus") { guard bus == "0" else { throw ConfigurationError("-drive: bus is '\(bus)': virt has one, 0") } }
        if let word = values.take("if") { interface = word }
        guard ["none", "virtio", "pflash"].contains(interface) else {
            throw ConfigurationError("-drive: if is '\(interface)', expected none, virtio or pflash")
        }
        for name in ["unit", "index"] {
            guard let word = values.take(name) else { continue }
            guard let number = Int(word), number >= 0 else { throw ConfigurationError("-drive: \(name) is '\(word)', expected a number") }
            unit = number
        }
        cache = values.take("cache")
        aio = values.take("aio")
        switch values.take("discard") {
        case nil, "ignore", "off": break
        case "unmap", "on": discards = true
        case let other?: throw ConfigurationError("-drive: discard is '\(other)', expected ignore, off, unmap or on")
        }
        try takeLimits(&values)
        switch values.take("media") {
        case nil, "disk": break
        case "cdrom": (isOptical, isReadOnly) = (true, true)
        case let other?: throw ConfigurationError("-drive: media is '\(other)', expected disk or cdrom")
        }
        options = values.pairs
        guard file != nil || isOptical || options.contains(where: { $0.name.hasPrefix("file.") }) else { throw ConfigurationError("-drive: no file is given") }
    }

    /// `throttling.bps-total=…` or `bps=…`, and so on.
    private mutating func takeLimits(_ values: inout KeyValues) throws(ConfigurationError) {
        for name in ThrottleLimits.names {
            // "bps-read-max-length" was "bps_rd_max_length".
            var old = name.split(separator: "-").joined(separator: "_")
            for (word, short) in [("_total", ""), ("_read", "_rd"), ("_write", "_wr")] {
                if let range = old.firstRange(of: word) { old.replaceSubrange(range, with: short) }
            }
            guard let text = values.take("throttling." + name) ?? values.take(old) else { continue }
            guard let number = Properties.parseSize(text) else { throw ConfigurationError("-drive: throttling.\(name) is '\(text)', expected a number") }
            limits[name] = number
        }
        throttleGroup = values.take("throttling.group") ?? values.take("group")
        do throws(BlockError) { try limits.check() } catch { throw ConfigurationError("-drive: \(error)") }
    }
}
