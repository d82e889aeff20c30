// What the machine is: -machine, -smp, -m, -accel, -overcommit, and what is said of sound.

import Core
import Glibc

/// How the host is to hold the guest's memory.
struct MemoryUse {
    enum Lock { case all, onFault }
    /// `dump-guest-core=`: whether core dumps of the process have it.
    var isDumped = true
    /// `mem-merge=on`: whether the host may keep equal pages once.
    var isMerged = false
    /// `-overcommit mem-lock=`
    var lock: Lock?

    func apply(to memory: RAMBlock?) throws(ConfigurationError) {
        if let memory {
            if !isDumped { madvise(memory.host, Int(memory.size), Int32(MADV_DONTDUMP)) }
            if isMerged { madvise(memory.host, Int(memory.size), Int32(MADV_MERGEABLE)) }
        }
        guard let lock else { return }
        let flags: Int32 = lock == .all ? 3 : 7     // MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT
        guard mlockall(flags) == 0 else { throw ConfigurationError("-overcommit: the host does not lock the memory: \(String(cString: strerror(errno)))") }
    }
}

extension CommandLineReader {
    mutating func takeMachine(_ text: String) throws(ConfigurationError) {
        if text == "help" || text == "?" {
            question = .machines
            return
        }
        var values = KeyValues(text, implied: "type")
        if let type = values.take("type") { configuration.machine = type }
        if let names = values.take("accel") { try takeAccelerators(names.split(separator: ":").map(String.init), "-machine") }
        if let path = values.take("dumpdtb") { configuration.dumpsDeviceTree = path }
        if let text = values.take("acpi") {
            guard text == "auto" || Properties.parseFlag(text) != nil else { throw ConfigurationError("-machine: acpi is '\(text)', expected on, off or auto") }
            configuration.hasACPI = Properties.parseFlag(text) ?? true
        }
        if let id = values.take("memory-backend") { configuration.memoryBackend = id }
        if let path = values.take("firmware") { configuration.firmware = path }
        if let path = values.take("kernel") { configuration.kernel = path }
        if let path = values.take("initrd") { configuration.initrd = path }
        if let text = values.take("append") { configuration.commandLine = text }
        if let path = values.take("dtb") { configuration.deviceTree = path }
        for unit in 0 ..< 2 { if let node = values.take("pflash\(unit)") { configuration.flashNodes[unit] = node } }
        if let flag = try Self.flag("dump-guest-core", &values) { configuration.memoryUse.isDumped = flag }
        if let flag = try Self.flag("mem-merge", &values) { configuration.memoryUse.isMerged = flag }
        // Nothing of virt hangs on these two.
        for name in ["usb", "graphics"] { _ = try Self.flag(name, &values) }
        try takeInterrupts(&values)
        try values.finish("-machine")
    }

    private mutating func takeInterrupts(_ values: inout KeyValues) throws(ConfigurationError) {
        let guests = values.take("aia-guests"), architecture = values.take("aia")
        var count = configuration.interrupts.guestFiles ?? 0
        if let guests {
            guard let number = Int(guests), (0 ... 7).contains(number) else { throw ConfigurationError("-machine: 'aia-guests' is '\(guests)', expected 0 to 7") }
            count = number
        }
        switch architecture {
        case nil: if configuration.interrupts.guestFiles != nil { configuration.interrupts = .imsic(guests: count) }
        case "none": configuration.interrupts = .plic
        case "aplic": configuration.interrupts = .aplic
        case "aplic-imsic": configuration.interrupts = .imsic(guests: count)
        case let other?: throw ConfigurationError("-machine: 'aia' is '\(other)', expected none, aplic or aplic-imsic")
        }
    }

    mutating func takeProcessors(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "cpus")
        func number(_ name: String) throws(ConfigurationError) -> Int? {
            guard let text = values.take(name) else { return nil }
            guard let number = Int(text), (1 ... 512).contains(number) else { throw ConfigurationError("-smp: '\(name)' is '\(text)', expected 1 to 512") }
            return number
        }
        let cpus = try number("cpus"), maximum = try number("maxcpus")
        for name in ["drawers", "books", "dies", "modules"] where try number(name) ?? 1 != 1 { throw ConfigurationError("-smp: virt has no \(name), expected 1") }
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

    mutating func takeMemory(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "size")
        guard let size = values.take("size"), let bytes = Properties.parseSize(size, unit: 1 << 20), bytes > 0 else {
            throw ConfigurationError("-m: '\(text)' is not a size such as 512M or 2G")
        }
        try values.finish("-m")
        configuration.hasMemorySize = true
        configuration.memory = (bytes + 4095) & ~4095
    }

    private static func flag(_ name: String, _ values: inout KeyValues) throws(ConfigurationError) -> Bool? {
        guard let text = values.take(name) else { return nil }
        guard let flag = Properties.parseFlag(text) else { throw ConfigurationError("-machine: \(name) is '\(text)', expected on or off") }
        return flag
    }

    /// Accelerators that QEMU has for some host or guest.
    private static let foreignAccelerators: Set<String> = ["kvm", "xen", "hvf", "whpx", "nvmm", "mshv", "qtest"]

    /// As QEMU, takes the first that there is.
    private mutating func takeAccelerators(_ names: [String], _ option: String) throws(ConfigurationError) {
        for name in names {
            if name == "tcg" { hasAccelerator = true } else if Self.foreignAccelerators.contains(name) { refusedAccelerators.append(name) } else {
                throw ConfigurationError("\(option): there is no accelerator '\(name)', expected tcg")
            }
        }
    }

    mutating func takeAccelerator(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text, implied: "accel")
        let name = values.take("accel") ?? "tcg"
        if name == "help" || name == "?" {
            question = .accelerators
            return
        }
        try takeAccelerators([name], "-accel")
        // What is said of one that there is not may stand.
        guard name == "tcg" else { return }
        switch values.take("thread") {
        case nil, "multi": configuration.isThreaded = true
        case "single": configuration.isThreaded = false
        case let other?: throw ConfigurationError("-accel: thread is '\(other)', expected single or multi")
        }
        if let text = values.take("tb-size") {
            guard let size = Int(text), (0 ... 2048).contains(size) else { throw ConfigurationError("-accel: tb-size is '\(text)', expected MiB up to 2048") }
            configuration.codeCacheBytes = size == 0 ? nil : max(size, 8) << 20
        }
        try values.finish("-accel tcg")
    }

    mutating func takeOvercommitment(_ text: String) throws(ConfigurationError) {
        var values = KeyValues(text)
        for name in ["mem-lock", "cpu-pm"] {
            guard let text = values.take(name) else { continue }
            if name == "mem-lock", text == "on-fault" {
                configuration.memoryUse.lock = .onFault
                continue
            }
            guard let flag = Properties.parseFlag(text) else { throw ConfigurationError("-overcommit: \(name) is '\(text)', expected on or off") }
            // Translated code holds no host processor that it does not use.
            if name == "mem-lock" { configuration.memoryUse.lock = flag ? .all : nil } else if flag { throw ConfigurationError("-overcommit: cpu-pm=on needs an accelerator that runs guest code on the processor itself") }
        }
        try values.finish("-overcommit")
    }

    /// No device makes sound yet: only the back end that has none of it.
    mutating func takeAudio(_ text: String) throws(ConfigurationError) {
        let driver = text.hasPrefix("{") ? (try? JSONValue(parsing: text))?["driver"]?.string : KeyValues(text, implied: "driver")["driver"]
        guard driver == "none" else { throw ConfigurationError("-audiodev: '\(driver ?? text)' is not supported, expected none") }
    }
}
