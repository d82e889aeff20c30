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
    /// The extensions that are on make no CPU; the reason in QEMU's words.
    case contradiction(String)

    public var description: String {
        switch self {
        case .unknownModel(let name): "unknown CPU model '\(name)' (see -cpu help)"
        case .unknownFeature(let name): "unknown CPU feature '\(name)'"
        case .unsupportedFeature(let name): "CPU feature '\(name)' is not supported"
        case .badValue(let feature, let value): "CPU feature '\(feature)' expects 'on' or 'off', not '\(value)'"
        case .badNumber(let feature, let value, let expects): "CPU feature '\(feature)' expects \(expects), not '\(value)'"
        case .contradiction(let reason): reason
        case .missingRequirement(let feature, let needs): "CPU feature '\(feature)' needs \(needs)"
        }
    }
}

/// A CPU of a RISC-V guest: a name and the extensions it executes.
public struct CPUModel: Sendable, Hashable {
    public let name: String
    public let summary: String
    public var extensions: Extensions
    /// The width of its registers.
    public var xlen: XLEN { extensions.xlen }
    /// VLEN and ELEN, which count where there are vector instructions.
    public var vectorBits = 128
    public var elementBits = 64

    /// The models of 64-bit guests that can be named on the command line; the first is the default.
    public static let all: [CPUModel] = models(.rv64)

    /// The models of guests of one width; the first is the default.
    public static func models(_ xlen: XLEN) -> [CPUModel] {
        seeds(xlen).map { CPUModel(name: $0.name, summary: $0.summary, extensions: $0.extensions.completed()) }
    }

    /// The models before their extensions bring others with them. Those of QEMU have the extensions that QEMU's have and
    /// these guests know.
    private static func seeds(_ xlen: XLEN) -> [CPUModel] {
        var models = xlen == .rv64 ? wideSeeds : narrowSeeds
        for index in models.indices {
            models[index].extensions.subtract([.rv32, .rv64])
            models[index].extensions.formUnion(xlen.marker)
        }
        return models
    }

    private static let general: Extensions = [
        .m, .a, .f, .d, .c, .zifencei, .zicntr, .zihpm, .zba, .zbb, .zbc, .zbs, .zfa, .zawrs, .zihintpause, .zihintntl,
        .zicbom, .zicbop, .zicboz, .memoryProperties,
    ]
    private static let everything: Extensions = [
        .m, .a, .f, .d, .c, .b, .zifencei, .zicntr, .zihpm, .zbc, .zicond, .zfa, .zfh, .zfbfmin, .zcb, .zcmop, .zimop, .zawrs,
        .zacas, .zabha, .zama16b, .zihintpause, .zihintntl, .zicbom, .zicbop, .zicboz, .zk, .zks, .v, .zvfh,
        .zvbb, .zvknc, .zvkng, .zvksc, .zvksg, .zvknha, .zvfbfwma, .memoryProperties,
    ]

    private static let narrowSeeds: [CPUModel] = [
        CPUModel(name: "rv32", summary: "a general 32-bit RISC-V CPU", extensions: general),
        CPUModel(name: "max", summary: "every supported extension that others do not exclude", extensions: everything),
        CPUModel(name: "max32", summary: "the same as max", extensions: everything),
        CPUModel(name: "rv32i", summary: "the base integer instructions only", extensions: []),
    ]

    private static let wideSeeds: [CPUModel] = [
        CPUModel(name: "rv64", summary: "a general 64-bit RISC-V CPU", extensions: general),
        CPUModel(name: "max", summary: "every supported extension that others do not exclude", extensions: everything.union([.zicfilp, .zicfiss])),
        CPUModel(name: "rv64i", summary: "the base integer instructions only", extensions: []),
        CPUModel(name: "rva20u64", summary: "the profile RVA20U64", extensions: [
            .m, .a, .f, .d, .c, .zicntr, .ziccif, .ziccrse, .ziccamoa, .zicclsm, .za64rs,
        ]),
        CPUModel(name: "rva22u64", summary: "the profile RVA22U64", extensions: [
            .m, .a, .f, .d, .c, .b, .zicntr, .zihpm, .zihintpause, .zfhmin, .zkt, .zicbom, .zicbop, .zicboz, .memoryProperties,
        ]),
        CPUModel(name: "rva23u64", summary: "the profile RVA23U64, without Supm", extensions: [
            .m, .a, .f, .d, .c, .b, .v, .zicntr, .zihpm, .zihintpause, .zihintntl, .zicond, .zimop, .zcmop, .zcb, .zfa, .zfhmin, .zawrs,
            .zkt, .zvfhmin, .zvbb, .zvkt, .zicbom, .zicbop, .zicboz, .memoryProperties,
        ]),
    ]

    public static let `default` = all[0]
    /// The model of guests of one width that nobody chose another for.
    public static func `default`(_ xlen: XLEN) -> CPUModel { xlen == .rv64 ? .default : narrowDefault }
    private static let narrowDefault = models(.rv32)[0]

    /// The model of a `-cpu` argument: a model name and switches, `name=on|off|true|false`, `+name`, `-name` or `name`.
    /// - Parameter xlen: the width of the guest; the models of others are unknown.
    public init(parsing text: String, xlen: XLEN = .rv64) throws(CPUModelError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: true).map(String.init)
        guard let name = parts.first, let model = CPUModel.seeds(xlen).first(where: { $0.name == name }) else {
            throw .unknownModel(parts.first ?? "")
        }
        self = model
        var denied: Extensions = []
        for part in parts.dropFirst() { try apply(part, &denied) }
        extensions = extensions.completed(denying: denied)
        if let reason = extensions.contradiction { throw .contradiction(reason) }
        if extensions.contains(.v), vectorBits < 128 { throw .missingRequirement(feature: "v", needs: "vlen=128 or more") }
        if extensions.contains(.zve64x), elementBits < 64 { throw .missingRequirement(feature: "zve64x", needs: "elen=64") }
    }

    public init(name: String, summary: String, extensions: Extensions) {
        self.name = name
        self.summary = summary
        self.extensions = extensions.contains(.rv32) ? extensions : extensions.union(.rv64)
    }

    /// Every feature switch that is understood, whether or not it can be switched on, for lists and completion.
    public static var features: [(name: String, supported: Bool)] {
        (Extensions.letters + Extensions.named).map { ($0.name, true) } + unsupportedFeatures.map { ($0, false) }
    }

    /// Takes one switch; `denied` collects what is off by name.
    private mutating func apply(_ part: String, _ denied: inout Extensions) throws(CPUModelError) {
        var feature = part, isOn = true
        if let equals = part.firstIndex(of: "=") {
            feature = String(part[..<equals])
            let value = String(part[part.index(after: equals)...])
            if try CPUModel.isValue(feature, value) { return }
            if try setVectorProperty(feature, value) { return }
            switch value {
            case "on", "true", "yes", "y": isOn = true
            case "off", "false", "no", "n": isOn = false
            default: throw .badValue(feature: feature, value: value)
            }
        } else if part.hasPrefix("+") || part.hasPrefix("-") {
            isOn = part.hasPrefix("+")
            feature.removeFirst()
        }
        if let known = (Extensions.letters + Extensions.named).first(where: { $0.name == feature }) {
            set(known.extensions, isOn, &denied)
        } else if feature == "g" {
            if isOn { set([.m, .a, .f, .d, .zicsr, .zifencei], true, &denied) }
        } else if let profile = CPUModel.seeds(xlen).first(where: { $0.name == feature && feature.hasPrefix("rva") }) {
            // Without its extensions hardly a program runs: a profile is not taken away as a whole.
            guard isOn else { throw .unsupportedFeature(feature + "=off") }
            set(profile.extensions, true, &denied)
        } else if feature == "i" {
            if !isOn { throw .unsupportedFeature("i=off") }
        } else if CPUModel.unsupportedFeatures.contains(feature) {
            if isOn { throw .unsupportedFeature(feature) }
        } else {
            throw .unknownFeature(feature)
        }
    }

    private mutating func set(_ extensions: Extensions, _ isOn: Bool, _ denied: inout Extensions) {
        if isOn {
            self.extensions.formUnion(extensions)
            denied.subtract(extensions)
        } else {
            self.extensions.subtract(extensions)
            denied.formUnion(extensions)
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

    /// Whether `feature` is a property with a value; one that would change what a program sees must have the only value
    /// that this guest knows.
    private static func isValue(_ feature: String, _ value: String) throws(CPUModelError) -> Bool {
        if blockSizes.contains(feature) {
            if value != "64" { throw .badNumber(feature: feature, value: value, expects: "64") }
            return true
        }
        return valuedProperties.contains(feature)
    }

    /// The sizes of cache blocks in bytes.
    private static let blockSizes: Set<String> = ["cbom_blocksize", "cbop_blocksize", "cboz_blocksize"]

    /// Properties of privileged or vector machines that carry a value and change nothing a user program of this guest sees.
    static let valuedProperties: Set<String> = [
        "vext_spec", "priv_spec", "pmu-num", "pmu-mask", "mimpid", "marchid", "mvendorid",
    ]

    /// Extensions that are known by name and not executed: switching them off is accepted.
    static let unsupportedFeatures: [String] = [
        "e", "h", "s", "u", "mmu", "pmp", "zfinx", "zdinx", "zhinx", "zhinxmin", "zcf", "ztso",
        "sha", "smaia", "smcdeleg", "smcntrpmf", "smcsrind", "smepmp", "smmpm", "smnpm", "smstateen", "smctr", "ssaia",
        "ssccfg", "sscofpmf", "sscsrind", "ssdbltrp", "smdbltrp", "ssnpm", "sspm", "sstc", "supm", "svade", "svadu",
        "svinval", "svnapot", "svpbmt", "svvptc", "ssctr", "sv32", "sv39", "sv48", "sv57", "sv64", "rva22s64",
        "rva23s64", "smrnmi", "x-svukte", "xtheadba", "xtheadbb", "xtheadbs", "xtheadcmo", "xtheadcondmov",
        "xtheadfmemidx", "xtheadfmv", "xtheadmac", "xtheadmemidx", "xtheadmempair", "xtheadsync", "xventanacondops",
    ]
}
