// The CPU models and feature switches of the riscv64 guest, spelled as QEMU spells them (`-cpu rv64,zba=off`).

/// Why a `-cpu` argument was refused.
public enum CPUModelError: Error, Equatable, CustomStringConvertible {
    case unknownModel(String)
    case unknownFeature(String)
    /// A known extension that this guest cannot execute was switched on.
    case unsupportedFeature(String)
    case badValue(feature: String, value: String)
    case badNumber(feature: String, value: String, expects: String)
    case missingRequirement(feature: String, needs: String)

    public var description: String {
        switch self {
        case .unknownModel(let name): "unknown CPU model '\(name)' (see -cpu help)"
        case .unknownFeature(let name): "unknown CPU feature '\(name)'"
        case .unsupportedFeature(let name): "CPU feature '\(name)' is not supported"
        case .badValue(let feature, let value): "CPU feature '\(feature)' expects 'on' or 'off', not '\(value)'"
        case .badNumber(let feature, let value, let expects): "CPU feature '\(feature)' expects \(expects), not '\(value)'"
        case .missingRequirement(let feature, let needs): "CPU feature '\(feature)' needs \(needs)"
        }
    }
}

/// A CPU of the riscv64 guest: a name and the extensions it executes.
public struct CPUModel: Sendable, Hashable {
    public let name: String
    public let summary: String
    public var extensions: Extensions
    /// VLEN and ELEN, which count where there are vector instructions.
    public var vectorBits = 128
    public var elementBits = 64

    /// The models that can be named on the command line. `rv64` has the extensions that QEMU's `rv64` switches on and
    /// this guest knows.
    public static let all: [CPUModel] = [
        CPUModel(name: "rv64", summary: "a general 64-bit RISC-V CPU", extensions: [
            .m, .a, .f, .d, .c, .zicsr, .zifencei, .zicntr, .b, .zbc, .zfa, .zawrs, .zihintpause, .zihintntl, .zicbop,
            .zmmul,
        ]),
        CPUModel(name: "max", summary: "every supported extension", extensions: .all),
        CPUModel(name: "rv64i", summary: "the base integer instructions only", extensions: []),
    ]

    public static let `default` = all[0]

    /// The model of a `-cpu` argument: a model name and switches, `name=on|off|true|false`, `+name`, `-name` or `name`.
    public init(parsing text: String) throws(CPUModelError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: true).map(String.init)
        guard let name = parts.first, let model = CPUModel.all.first(where: { $0.name == name }) else {
            throw .unknownModel(parts.first ?? "")
        }
        self = model
        for part in parts.dropFirst() { try apply(part) }
        for rule in Extensions.requirements where extensions.contains(rule.extension) && !extensions.isSuperset(of: rule.needs) {
            throw .missingRequirement(feature: rule.name, needs: rule.needsNames)
        }
        if extensions.contains(.v), vectorBits < 128 { throw .missingRequirement(feature: "v", needs: "vlen=128 or more") }
        if extensions.contains(.zve64x), elementBits < 64 { throw .missingRequirement(feature: "zve64x", needs: "elen=64") }
    }

    public init(name: String, summary: String, extensions: Extensions) {
        self.name = name
        self.summary = summary
        self.extensions = extensions
    }

    /// Every feature switch that is understood, whether or not it can be switched on, for lists and completion.
    public static var features: [(name: String, supported: Bool)] {
        (Extensions.letters + Extensions.named).map { ($0.name, true) } + unsupportedFeatures.map { ($0, false) }
    }

    private mutating func apply(_ part: String) throws(CPUModelError) {
        var feature = part, isOn = true
        if let equals = part.firstIndex(of: "=") {
            feature = String(part[..<equals])
            let value = String(part[part.index(after: equals)...])
            if try setVectorProperty(feature, value) { return }
            switch value {
            case "on", "true", "yes", "y": isOn = true
            case "off", "false", "no", "n": isOn = false
            default:
                if CPUModel.valuedProperties.contains(feature) { return }
                throw .badValue(feature: feature, value: value)
            }
        } else if part.hasPrefix("+") || part.hasPrefix("-") {
            isOn = part.hasPrefix("+")
            feature.removeFirst()
        }
        if let known = (Extensions.letters + Extensions.named).first(where: { $0.name == feature }) {
            if isOn {
                extensions.formUnion(known.extensions)
            } else {
                extensions.subtract(known.extensions)
                dropDependents()
            }
        } else if feature == "i" {
            if !isOn { throw .unsupportedFeature("i=off") }
        } else if CPUModel.unsupportedFeatures.contains(feature) {
            if isOn { throw .unsupportedFeature(feature) }
        } else {
            throw .unknownFeature(feature)
        }
    }

    /// Takes `vlen` and `elen`; false if it is another property.
    private mutating func setVectorProperty(_ name: String, _ value: String) throws(CPUModelError) -> Bool {
        switch name {
        case "vlen":
            guard let bits = Int(value), bits >= 64, bits <= 1024, bits & (bits - 1) == 0 else {
                throw .badNumber(feature: name, value: value, expects: "a power of two from 64 to 1024")
            }
            vectorBits = bits
        case "elen":
            guard let bits = Int(value), bits == 32 || bits == 64 else {
                throw .badNumber(feature: name, value: value, expects: "32 or 64")
            }
            elementBits = bits
        default: return false
        }
        return true
    }

    /// What needs a switched-off extension goes with it, so that `f=off` alone is a valid argument.
    private mutating func dropDependents() {
        for _ in Extensions.requirements {
            for rule in Extensions.requirements where !extensions.isSuperset(of: rule.needs) {
                extensions.subtract(rule.extension)
            }
        }
    }

    /// Properties of privileged or vector machines that carry a value and change nothing a user program of this guest sees.
    static let valuedProperties: Set<String> = [
        "vext_spec", "priv_spec", "pmu-num", "pmu-mask", "cbom_blocksize", "cbop_blocksize", "cboz_blocksize",
        "mimpid", "marchid", "mvendorid",
    ]

    /// Extensions that are known by name and not executed: switching them off is accepted.
    static let unsupportedFeatures: [String] = [
        "e", "g", "h", "s", "u", "mmu", "pmp", "zicbom", "zicboz", "zicfilp", "zicfiss", "zihpm", "zimop", "zcmop", "zabha",
        "zacas", "zama16b", "zfh", "zfbfmin", "zfinx", "zdinx", "zhinx", "zhinxmin", "zce", "zcf", "zcmp", "zcmt", "zbkb", "zbkc",
        "zbkx", "zk", "zkn", "zknd", "zkne", "zknh", "zkr", "zks", "zksed", "zksh", "zkt", "ztso", "zvbb", "zvbc",
        "zvfbfmin", "zvfbfwma", "zvkb", "zvkg",
        "zvkn", "zvknc", "zvkned", "zvkng", "zvknha", "zvknhb", "zvks", "zvksc", "zvksed", "zvksg", "zvksh", "zvkt",
        "sha", "smaia", "smcdeleg", "smcntrpmf", "smcsrind", "smepmp", "smmpm", "smnpm", "smstateen", "smctr", "ssaia",
        "ssccfg", "sscofpmf", "sscsrind", "ssdbltrp", "smdbltrp", "ssnpm", "sspm", "sstc", "supm", "svade", "svadu",
        "svinval", "svnapot", "svpbmt", "svvptc", "ssctr", "sv32", "sv39", "sv48", "sv57", "sv64", "rva22u64", "rva22s64",
        "rva23u64", "rva23s64", "smrnmi", "x-svukte", "xtheadba", "xtheadbb", "xtheadbs", "xtheadcmo", "xtheadcondmov",
        "xtheadfmemidx", "xtheadfmv", "xtheadmac", "xtheadmemidx", "xtheadmempair", "xtheadsync", "xventanacondops",
    ]
}
