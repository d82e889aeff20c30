/// Keys of the auxiliary vector (getauxval(3), `linux/auxvec.h`).
package enum AuxiliaryKey {
    package static let null: UInt64 = 0
    package static let programHeaders: UInt64 = 3
    package static let programHeaderSize: UInt64 = 4
    package static let programHeaderCount: UInt64 = 5
    package static let pageSize: UInt64 = 6
    package static let base: UInt64 = 7
    package static let flags: UInt64 = 8
    package static let entry: UInt64 = 9
    package static let uid: UInt64 = 11
    package static let euid: UInt64 = 12
    package static let gid: UInt64 = 13
    package static let egid: UInt64 = 14
    package static let platform: UInt64 = 15
    package static let hardwareCapabilities: UInt64 = 16
    package static let clockTicks: UInt64 = 17
    package static let secure: UInt64 = 23
    package static let random: UInt64 = 25
    package static let hardwareCapabilities2: UInt64 = 26
    package static let executableName: UInt64 = 31
    package static let systemInfoHeader: UInt64 = 33
    package static let minimumSignalStack: UInt64 = 51
}

/// The stack of a new program, as Linux builds it (System V ABI, "Process initialization"): from the stack pointer up
/// argc, argv, 0, environment, 0, the auxiliary vector, then the strings, the executable's name, and a zero word.
package struct InitialStack: Sendable {
    /// The guest address of `bytes`, which is also the initial stack pointer; a multiple of 16.
    package private(set) var pointer: UInt64 = 0
    package private(set) var bytes: [UInt8] = []
    /// Where the strings of arguments and environment lie, for `/proc/self/cmdline` and `environ`.
    package private(set) var argumentRange: Range<UInt64> = 0..<0
    package private(set) var environmentRange: Range<UInt64> = 0..<0
    /// As the guest sees it, without the terminating null entry.
    package private(set) var auxiliary: [(key: UInt64, value: UInt64)] = []

    /// - Parameters:
    ///   - top: the end of the stack area, page-aligned.
    ///   - fixed: auxiliary entries that need no place on the stack.
    ///   - random: the 16 bytes of AT_RANDOM.
    package init(model: DataModel, top: UInt64, arguments: [[UInt8]], environment: [[UInt8]], executable: [UInt8],
                 platform: String?, random: [UInt8], fixed: [(key: UInt64, value: UInt64)]) {
        // Strings first, in the order of ascending addresses: platform, random, argv, envp, name, a null word.
        var strings: [UInt8] = []
        func add(_ text: [UInt8]) -> Int {
            defer { strings += text; strings.append(0) }
            return strings.count
        }
        let platformOffset = platform.map { add(Array($0.utf8)) }
        while strings.count % 16 != 0 { strings.append(0) }
        let randomOffset = strings.count
        strings += random.prefix(16)
        while strings.count % 16 != 0 { strings.append(0) }
        let argumentStart = strings.count
        let argumentOffsets = arguments.map(add)
        let environmentStart = strings.count
        let environmentOffsets = environment.map(add)
        let environmentEnd = strings.count
        let nameOffset = add(executable)
        strings += [UInt8](repeating: 0, count: model.wordSize)
        while strings.count % 16 != 0 { strings.append(0) }
        let stringBase = top &- UInt64(strings.count)
        func address(_ offset: Int) -> UInt64 { stringBase &+ UInt64(offset) }

        auxiliary = fixed
        if let platformOffset { auxiliary.append((AuxiliaryKey.platform, address(platformOffset))) }
        auxiliary.append((AuxiliaryKey.random, address(randomOffset)))
        auxiliary.append((AuxiliaryKey.executableName, address(nameOffset)))
        argumentRange = address(argumentStart)..<address(environmentStart)
        environmentRange = address(environmentStart)..<address(environmentEnd)

        var words = ByteWriter(bigEndian: model.bigEndian)
        func word(_ value: UInt64) { words.append(value, size: model.wordSize) }
        word(UInt64(arguments.count))
        for offset in argumentOffsets { word(address(offset)) }
        word(0)
        for offset in environmentOffsets { word(address(offset)) }
        word(0)
        for (key, value) in auxiliary + [(AuxiliaryKey.null, 0)] {
            word(key)
            word(value)
        }
        pointer = (stringBase &- UInt64(words.bytes.count)) & ~15
        let gap = stringBase &- pointer &- UInt64(words.bytes.count)
        bytes = words.bytes + [UInt8](repeating: 0, count: Int(gap)) + strings
    }
}
