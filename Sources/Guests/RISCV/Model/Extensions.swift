/// A set of instruction-set extensions, by the names of "ISA Extension Naming Conventions" of the unprivileged manual.
///
/// Extensions that only say how the machine behaves (zic64b, ziccif, zihintntl…) and have no instruction that could be
/// refused are in here too, so that they can be reported.
public struct Extensions: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public static let m = Extensions(rawValue: 1 << 0)
    public static let zaamo = Extensions(rawValue: 1 << 1)
    public static let zalrsc = Extensions(rawValue: 1 << 2)
    public static let f = Extensions(rawValue: 1 << 3)
    public static let d = Extensions(rawValue: 1 << 4)
    public static let zca = Extensions(rawValue: 1 << 5)
    public static let zcd = Extensions(rawValue: 1 << 6)
    public static let zicsr = Extensions(rawValue: 1 << 7)
    public static let zifencei = Extensions(rawValue: 1 << 8)
    public static let zicntr = Extensions(rawValue: 1 << 9)
    public static let zba = Extensions(rawValue: 1 << 10)
    public static let zbb = Extensions(rawValue: 1 << 11)
    public static let zbc = Extensions(rawValue: 1 << 12)
    public static let zbs = Extensions(rawValue: 1 << 13)
    public static let zicond = Extensions(rawValue: 1 << 14)
    public static let zfa = Extensions(rawValue: 1 << 15)
    public static let zfhmin = Extensions(rawValue: 1 << 16)
    public static let zcb = Extensions(rawValue: 1 << 17)
    public static let zawrs = Extensions(rawValue: 1 << 18)
    public static let zihintpause = Extensions(rawValue: 1 << 19)
    public static let zihintntl = Extensions(rawValue: 1 << 20)
    public static let zicbop = Extensions(rawValue: 1 << 21)
    public static let zmmul = Extensions(rawValue: 1 << 22)

    // The vector extensions take their bits from the top.
    public static let v = Extensions(rawValue: 1 << 63)
    public static let zve64d = Extensions(rawValue: 1 << 62)
    public static let zve64f = Extensions(rawValue: 1 << 61)
    public static let zve64x = Extensions(rawValue: 1 << 60)
    public static let zve32f = Extensions(rawValue: 1 << 59)
    public static let zve32x = Extensions(rawValue: 1 << 58)
    public static let zvfh = Extensions(rawValue: 1 << 57)
    public static let zvfhmin = Extensions(rawValue: 1 << 56)
    /// The V extension with the embedded profiles that it contains.
    public static let vectors: Extensions = [.v, .zve64d, .zve64f, .zve64x, .zve32f, .zve32x]

    /// The load-reserved, store-conditional and atomic read-modify-write instructions.
    public static let a: Extensions = [.zaamo, .zalrsc]
    /// The compressed instructions of a 64-bit machine with double-precision floating point.
    public static let c: Extensions = [.zca, .zcd]
    public static let b: Extensions = [.zba, .zbb, .zbs]
    /// Everything this guest can execute.
    public static let all: Extensions = [
        .m, .a, .f, .d, .c, .zicsr, .zifencei, .zicntr, .b, .zbc, .zicond, .zfa, .zfhmin, .zcb, .zawrs, .zihintpause,
        .zihintntl, .zicbop, .zmmul, .vectors, .zvfh, .zvfhmin,
    ]

    /// Each multi-letter extension with the name of its feature switch, in the order of an ISA string.
    public static let named: [(name: String, extensions: Extensions)] = [
        ("zicbop", .zicbop), ("zicntr", .zicntr), ("zicond", .zicond), ("zicsr", .zicsr), ("zifencei", .zifencei),
        ("zihintntl", .zihintntl), ("zihintpause", .zihintpause), ("zmmul", .zmmul), ("zaamo", .zaamo),
        ("zalrsc", .zalrsc), ("zawrs", .zawrs), ("zfa", .zfa), ("zfhmin", .zfhmin), ("zca", .zca), ("zcb", .zcb),
        ("zcd", .zcd), ("zba", .zba), ("zbb", .zbb), ("zbc", .zbc), ("zbs", .zbs),
        ("zve32f", [.zve32f, .zve32x]), ("zve32x", .zve32x), ("zve64d", [.zve64d, .zve64f, .zve64x, .zve32f, .zve32x]),
        ("zve64f", [.zve64f, .zve64x, .zve32f, .zve32x]), ("zve64x", [.zve64x, .zve32x]), ("zvfh", [.zvfh, .zvfhmin]),
        ("zvfhmin", .zvfhmin),
    ]

    /// The single-letter switches: each stands for all of its extensions.
    public static let letters: [(name: String, extensions: Extensions)] = [
        ("m", [.m, .zmmul]), ("a", .a), ("f", [.f, .zicsr]), ("d", .d), ("c", .c), ("b", .b),
        ("v", .vectors),
    ]

    /// The ISA string of a machine with these extensions, as `/proc/cpuinfo` and the device tree spell it.
    public var isaString: String {
        var text = "rv64i"
        for (letter, extensions) in Extensions.letters where letter != "b" && letter != "v" && isSuperset(of: letter == "c" ? .zca : extensions) {
            text += letter
        }
        if isSuperset(of: .b) { text += "b" }
        if isSuperset(of: .vectors) { text += "v" }
        for (name, extensions) in Extensions.named where isSuperset(of: extensions) { text += "_" + name }
        return text
    }

    /// The extensions whose instructions make no sense without others: what must be on for each.
    static let requirements: [(name: String, extension: Extensions, needs: Extensions, needsNames: String)] = [
        ("f", .f, .zicsr, "zicsr"), ("d", .d, .f, "f"), ("zfa", .zfa, .f, "f"), ("zfhmin", .zfhmin, .f, "f"),
        ("zcb", .zcb, .zca, "zca"), ("zcd", .zcd, [.zca, .d], "zca and d"), ("zicntr", .zicntr, .zicsr, "zicsr"),
        ("zawrs", .zawrs, .zalrsc, "zalrsc"),
        ("v", .v, [.zve64d, .d], "zve64d and d"), ("zve64d", .zve64d, [.zve64f, .d], "zve64f and d"), ("zve64f", .zve64f, [.zve64x, .zve32f], "zve64x and zve32f"),
        ("zve64x", .zve64x, .zve32x, "zve32x"), ("zve32f", .zve32f, [.zve32x, .f], "zve32x and f"), ("zve32x", .zve32x, .zicsr, "zicsr"),
        ("zvfh", .zvfh, [.zve32f, .zfhmin], "zve32f and zfhmin"), ("zvfhmin", .zvfhmin, .zve32f, "zve32f"),
    ]
}
