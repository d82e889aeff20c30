// The CPU models and feature switches of machines, spelled as QEMU spells them: those of the unprivileged model, and on top of them
// those of the privileged architecture (`-cpu rv64,h=off,sv57=off`).

extension RISCVMachineGuest {
    /// Makes a guest from a `-cpu` argument.
    /// - Parameter guestFiles: the machine has an IMSIC, with so many interrupt files for guests of each hart; nil: it has none.
    public convenience init(parsing text: String, xlen: XLEN = .rv64, guestFiles: Int? = nil) throws(CPUModelError) {
        var parts = text.split(separator: ",", omittingEmptySubsequences: true).map(String.init)
        var configuration = PrivilegedConfiguration()
        if xlen == .rv32 { configuration.addressBits = 32 }
        if let name = parts.first { configuration.choose(model: name) }
        var unprivileged: [String] = []
        if let name = parts.first {
            unprivileged.append(PrivilegedConfiguration.unprivilegedName(name))
            // Mandatory in the profiles of kernels, left to the operating system in those of programs.
            if PrivilegedConfiguration.profiles.contains(where: { $0.name == name }) { unprivileged.append("zifencei=on") }
            parts.removeFirst()
        }
        for part in parts where try !configuration.take(part, xlen) { unprivileged.append(part) }
        if let guestFiles {
            // As in QEMU, harts of a machine with an IMSIC have the CSRs that reach it.
            (configuration.hasSmaia, configuration.hasSsaia) = (true, configuration.hasSupervisor)
            configuration.guestExternalInterrupts = configuration.hasHypervisor ? guestFiles : 0
        }
        let model = try CPUModel(parsing: unprivileged.joined(separator: ","), xlen: xlen)
        // Without counters there is nothing that overflows.
        if !model.extensions.contains(.zihpm) { configuration.hartCounters = 0 }
        if configuration.hartCounters == 0 { configuration.hasSscofpmf = false }
        if let reason = configuration.contradiction(model) { throw .contradiction(reason) }
        self.init(model: model, configuration: configuration)
    }
}

extension PrivilegedConfiguration {
    /// The models that a machine has beside those of programs: a profile for kernels is one for programs with more.
    static let profiles: [(name: String, unprivileged: String)] = [("rva22s64", "rva22u64"), ("rva23s64", "rva23u64")]

    static func unprivilegedName(_ name: String) -> String { profiles.first { $0.name == name }?.unprivileged ?? name }

    /// What a model has of the privileged architecture.
    mutating func choose(model name: String) {
        switch name {
        case "rva22s64", "rva23s64":
            addressBits = 39
            (hasSvadu, hasSstc, hasSvpbmt, hasSvinval, hasSvnapot, pmpEntries) = (false, name == "rva23s64", true, true, name == "rva23s64", 0)
            (hasHypervisor, hasSmstateen, hasSscofpmf) = (name == "rva23s64", name == "rva23s64", name == "rva23s64")
            hartCounters = name == "rva23s64" ? 16 : 0
            hasSsnpm = name == "rva23s64"
        case "rva22u64", "rva23u64", "rva20u64", "rv64i", "rv32i":
            (hasSupervisor, hasUser, hasHypervisor, addressBits, pmpEntries) = (false, false, false, 0, 0)
            (hasSvadu, hasSstc, hartCounters) = (false, false, 0)
        case "max": (hasSvinval, hasSvnapot, hasSvpbmt, hasSmepmp, hasSscofpmf, hasSmmpm, hasSmnpm, hasSsnpm) = (true, true, true, true, true, true, true, true)
        case "max32": (hasSvinval, hasSvnapot, hasSvpbmt, hasSmepmp, hasSscofpmf) = (true, true, true, true, true)
        default: break
        }
    }

    /// Takes a switch of the privileged architecture. - Returns: false if it is none.
    mutating func take(_ part: String, _ xlen: XLEN) throws(CPUModelError) -> Bool {
        var name = part, isOn = true
        if let equals = part.firstIndex(of: "=") {
            name = String(part[..<equals])
            let value = String(part[part.index(after: equals)...])
            switch value {
            case "on", "true", "yes", "y": isOn = true
            case "off", "false", "no", "n": isOn = false
            default:
                if name == "rnmi-interrupt-vector" || name == "rnmi-exception-vector" {
                    guard let address = value.hasPrefix("0x") ? UInt64(value.dropFirst(2), radix: 16) : UInt64(value), address & 3 == 0, address & ~xlen.mask == 0 else { throw .badNumber(feature: name, value: value, expects: "an address, a multiple of 4") }
                    if name == "rnmi-interrupt-vector" { nmiVector = address } else { nmiExceptionVector = address }
                    return true
                }
                guard name == "pmu-num" else {
                    if Self.switches.contains(name) { throw .badValue(feature: name, value: value) }
                    return false
                }
                guard let count = Int(value), (0 ... 29).contains(count) else { throw .badNumber(feature: name, value: value, expects: "0 to 29") }
                hartCounters = count
                return true
            }
        } else if part.hasPrefix("+") || part.hasPrefix("-") {
            isOn = part.hasPrefix("+")
            name.removeFirst()
        }
        switch name {
        case "h": hasHypervisor = isOn
        case "s": hasSupervisor = isOn
        case "u": hasUser = isOn
        case "mmu": addressBits = isOn ? (xlen == .rv32 ? 32 : max(addressBits, 39)) : 0
        case "pmp": pmpEntries = isOn ? 16 : 0
        case "smaia": hasSmaia = isOn
        case "ssaia": hasSsaia = isOn
        case "smepmp": hasSmepmp = isOn
        case "smstateen": hasSmstateen = isOn
        case "sscofpmf": hasSscofpmf = isOn
        case "sstc": hasSstc = isOn
        case "svadu": hasSvadu = isOn
        case "svade": if isOn { hasSvadu = false }
        case "svnapot": hasSvnapot = isOn
        case "svpbmt": hasSvpbmt = isOn
        case "svinval": hasSvinval = isOn
        case "smrnmi": hasSmrnmi = isOn
        case "debug": hasSdtrig = isOn
        case "smmpm", "smnpm", "ssnpm":
            if isOn, xlen == .rv32 { throw .unsupportedFeature(name) }
            if name == "smmpm" { hasSmmpm = isOn } else if name == "smnpm" { hasSmnpm = isOn } else { hasSsnpm = isOn }
        case "sv32": if xlen == .rv32 { addressBits = isOn ? 32 : 0 } else if isOn { throw .unsupportedFeature(name) }
        case "sv39": try widen(39, isOn, xlen)
        case "sv48": try widen(48, isOn, xlen)
        case "sv57": try widen(57, isOn, xlen)
        default: return false
        }
        return true
    }

    private static let switches: Set<String> = [
        "h", "s", "u", "mmu", "pmp", "smaia", "ssaia", "smepmp", "smstateen", "sscofpmf", "sstc", "svadu", "svade", "svnapot", "svpbmt", "svinval", "smmpm", "smnpm", "ssnpm", "smrnmi", "debug", "sv32", "sv39", "sv48", "sv57",
    ]

    /// A format brings the narrower ones with it; without it the next narrower one is the widest.
    private mutating func widen(_ bits: Int, _ isOn: Bool, _ xlen: XLEN) throws(CPUModelError) {
        guard xlen == .rv64 else {
            if isOn { throw .unsupportedFeature("sv\(bits)") }
            return
        }
        if isOn {
            addressBits = max(addressBits, bits)
        } else if addressBits >= bits {
            addressBits = bits == 57 ? 48 : bits == 48 ? 39 : 0
        }
    }

    /// What keeps these features from being a CPU; nil if nothing does.
    func contradiction(_ model: CPUModel) -> String? {
        if hasSupervisor, !hasUser { return "Setting S extension without U extension is illegal" }
        if hasHypervisor, !hasSupervisor { return "H extension implicitly requires S-mode" }
        if hasSmstateen, model.extensions.contains(.zcmt) { return "Smstateen with Zcmt is not supported" }
        if hasSmepmp, pmpEntries == 0 { return "Invalid configuration: Smepmp needs PMP" }
        return nil
    }
}
