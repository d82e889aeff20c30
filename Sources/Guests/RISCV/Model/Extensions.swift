/// A set of instruction-set extensions, by the names of "ISA Extension Naming Conventions" of the unprivileged manual.
///
/// Extensions that only say how the machine behaves (zkt, ziccif, zihintntl…) and have no instruction that could be
/// refused are in here too, so that they can be reported.
public struct Extensions: OptionSet, Sendable, Hashable {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }

    // The base instruction set: one of them is in every CPU (`XLEN`).
    public static let rv32 = Extensions(rawValue: 1 << 126)
    public static let rv64 = Extensions(rawValue: 1 << 125)
    /// The width that these extensions are for.
    public var xlen: XLEN { contains(.rv32) ? .rv32 : .rv64 }

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

    // The letters that stand for several extensions: a for zaamo and zalrsc, b for zba, zbb and zbs, c for zca and what
    // goes with it. A CPU may have the parts without the letter.
    public static let a = Extensions(rawValue: 1 << 64)
    public static let b = Extensions(rawValue: 1 << 65)
    public static let c = Extensions(rawValue: 1 << 66)

    public static let zfh = Extensions(rawValue: 1 << 67)
    public static let zfbfmin = Extensions(rawValue: 1 << 68)
    public static let zbkb = Extensions(rawValue: 1 << 69)
    public static let zbkc = Extensions(rawValue: 1 << 70)
    public static let zbkx = Extensions(rawValue: 1 << 71)
    public static let zknd = Extensions(rawValue: 1 << 72)
    public static let zkne = Extensions(rawValue: 1 << 73)
    public static let zknh = Extensions(rawValue: 1 << 74)
    public static let zksed = Extensions(rawValue: 1 << 75)
    public static let zksh = Extensions(rawValue: 1 << 76)
    public static let zkr = Extensions(rawValue: 1 << 77)
    public static let zkt = Extensions(rawValue: 1 << 78)
    public static let zkn = Extensions(rawValue: 1 << 79)
    public static let zks = Extensions(rawValue: 1 << 80)
    public static let zk = Extensions(rawValue: 1 << 81)
    public static let zacas = Extensions(rawValue: 1 << 82)
    public static let zabha = Extensions(rawValue: 1 << 83)
    public static let zama16b = Extensions(rawValue: 1 << 84)
    public static let zicbom = Extensions(rawValue: 1 << 85)
    public static let zicboz = Extensions(rawValue: 1 << 86)
    public static let zimop = Extensions(rawValue: 1 << 87)
    public static let zcmop = Extensions(rawValue: 1 << 88)
    public static let zcmp = Extensions(rawValue: 1 << 89)
    public static let zcmt = Extensions(rawValue: 1 << 90)
    public static let zce = Extensions(rawValue: 1 << 91)
    public static let zihpm = Extensions(rawValue: 1 << 92)
    /// The compressed loads and stores of single-precision registers, which RV32 alone has.
    public static let zcf = Extensions(rawValue: 1 << 93)

    // The vector extensions.
    public static let v = Extensions(rawValue: 1 << 63)
    public static let zve64d = Extensions(rawValue: 1 << 62)
    public static let zve64f = Extensions(rawValue: 1 << 61)
    public static let zve64x = Extensions(rawValue: 1 << 60)
    public static let zve32f = Extensions(rawValue: 1 << 59)
    public static let zve32x = Extensions(rawValue: 1 << 58)
    public static let zvfh = Extensions(rawValue: 1 << 57)
    public static let zvfhmin = Extensions(rawValue: 1 << 56)
    /// The extensions with instructions on vector registers.
    public static let vectors: Extensions = [
        .v, .zve64d, .zve64f, .zve64x, .zve32f, .zve32x, .zvbb, .zvbc, .zvkb, .zvkg, .zvkned, .zvknha, .zvknhb, .zvksed, .zvksh, .zvfbfmin, .zvfbfwma,
    ]

    // Vector cryptography and BF16.
    public static let zvbb = Extensions(rawValue: 1 << 32)
    public static let zvbc = Extensions(rawValue: 1 << 33)
    public static let zvkb = Extensions(rawValue: 1 << 34)
    public static let zvkg = Extensions(rawValue: 1 << 35)
    public static let zvkned = Extensions(rawValue: 1 << 36)
    public static let zvknha = Extensions(rawValue: 1 << 37)
    public static let zvknhb = Extensions(rawValue: 1 << 38)
    public static let zvksed = Extensions(rawValue: 1 << 39)
    public static let zvksh = Extensions(rawValue: 1 << 40)
    public static let zvkt = Extensions(rawValue: 1 << 41)
    public static let zvkn = Extensions(rawValue: 1 << 42)
    public static let zvknc = Extensions(rawValue: 1 << 43)
    public static let zvkng = Extensions(rawValue: 1 << 44)
    public static let zvks = Extensions(rawValue: 1 << 45)
    public static let zvksc = Extensions(rawValue: 1 << 46)
    public static let zvksg = Extensions(rawValue: 1 << 47)
    public static let zvfbfmin = Extensions(rawValue: 1 << 48)
    public static let zvfbfwma = Extensions(rawValue: 1 << 49)
    // Control-flow integrity.
    public static let zicfilp = Extensions(rawValue: 1 << 50)
    public static let zicfiss = Extensions(rawValue: 1 << 51)

    /// The instructions of the privileged manual: a machine's harts have them, programs do not.
    static let privileged = Extensions(rawValue: 1 << 120)
    public static let h = Extensions(rawValue: 1 << 121)
    public static let svinval = Extensions(rawValue: 1 << 122)

    // Properties of memory and of reservation sets: this guest has them all.
    public static let zic64b = Extensions(rawValue: 1 << 100)
    public static let ziccamoa = Extensions(rawValue: 1 << 101)
    public static let ziccif = Extensions(rawValue: 1 << 102)
    public static let zicclsm = Extensions(rawValue: 1 << 103)
    public static let ziccrse = Extensions(rawValue: 1 << 104)
    public static let za64rs = Extensions(rawValue: 1 << 105)
    public static let memoryProperties: Extensions = [.zic64b, .ziccamoa, .ziccif, .zicclsm, .ziccrse, .za64rs]

    /// Each multi-letter extension, in the order of an ISA string.
    private static let multiLetter: [(name: String, extensions: Extensions)] = [
        ("zic64b", .zic64b), ("zicbom", .zicbom), ("zicbop", .zicbop), ("zicboz", .zicboz), ("ziccamoa", .ziccamoa),
        ("ziccif", .ziccif), ("zicclsm", .zicclsm), ("ziccrse", .ziccrse), ("zicfilp", .zicfilp),
        ("zicfiss", .zicfiss), ("zicond", .zicond), ("zicntr", .zicntr),
        ("zicsr", .zicsr), ("zifencei", .zifencei), ("zihintntl", .zihintntl), ("zihintpause", .zihintpause),
        ("zihpm", .zihpm), ("zimop", .zimop), ("zmmul", .zmmul), ("za64rs", .za64rs), ("zaamo", .zaamo), ("zabha", .zabha),
        ("zacas", .zacas), ("zama16b", .zama16b), ("zalrsc", .zalrsc), ("zawrs", .zawrs), ("zfa", .zfa), ("zfbfmin", .zfbfmin),
        ("zfh", .zfh), ("zfhmin", .zfhmin), ("zca", .zca), ("zcb", .zcb), ("zcd", .zcd), ("zce", .zce), ("zcf", .zcf), ("zcmop", .zcmop),
        ("zcmp", .zcmp), ("zcmt", .zcmt), ("zba", .zba), ("zbb", .zbb), ("zbc", .zbc), ("zbkb", .zbkb), ("zbkc", .zbkc),
        ("zbkx", .zbkx), ("zbs", .zbs), ("zk", .zk), ("zkn", .zkn), ("zknd", .zknd), ("zkne", .zkne), ("zknh", .zknh),
        ("zkr", .zkr), ("zks", .zks), ("zksed", .zksed), ("zksh", .zksh), ("zkt", .zkt),
        ("zvbb", .zvbb), ("zvbc", .zvbc), ("zve32f", .zve32f), ("zve32x", .zve32x), ("zve64f", .zve64f), ("zve64d", .zve64d),
        ("zve64x", .zve64x), ("zvfbfmin", .zvfbfmin), ("zvfbfwma", .zvfbfwma), ("zvfh", .zvfh), ("zvfhmin", .zvfhmin),
        ("zvkb", .zvkb), ("zvkg", .zvkg), ("zvkn", .zvkn), ("zvknc", .zvknc), ("zvkned", .zvkned), ("zvkng", .zvkng),
        ("zvknha", .zvknha), ("zvknhb", .zvknhb), ("zvks", .zvks), ("zvksc", .zvksc), ("zvksed", .zvksed), ("zvksg", .zvksg),
        ("zvksh", .zvksh), ("zvkt", .zvkt),
    ]

    /// Those that have a feature switch.
    public static let named = multiLetter.filter { $0.extensions.isDisjoint(with: .memoryProperties) }

    /// The single-letter switches, in the order of an ISA string.
    public static let letters: [(name: String, extensions: Extensions)] = [
        ("m", .m), ("a", .a), ("f", .f), ("d", .d), ("c", .c), ("b", .b), ("v", .v),
    ]

    /// The ISA string of a machine with these extensions, as `/proc/cpuinfo` and the device tree spell it.
    public var isaString: String {
        var text = xlen.baseName + "i"
        for (letter, extensions) in Extensions.letters where isSuperset(of: extensions) { text += letter }
        for (name, extensions) in Extensions.multiLetter where isSuperset(of: extensions) { text += "_" + name }
        return text
    }
}
