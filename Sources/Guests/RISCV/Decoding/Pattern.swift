// One instruction of the manual: assembler text, encoding, the extensions it belongs to and its meaning, side by side.
// The decode tree, the disassembler, the overlap check and the generator of test encodings all come from this.

/// An instruction of the tables.
struct Pattern: Sendable {
    typealias Meaning = @Sendable (inout Emit, Instruction) -> Void

    /// Mnemonic and operands; the names of operands are those of `Operand`.
    let syntax: StaticString
    /// The bits that are fixed, and what they are.
    private(set) var mask: UInt32
    let match: UInt32
    /// Bits that must not all be 0; 0 if there is no such rule.
    let nonzero: UInt32
    /// Bits that the manual reserves and tells implementations to ignore.
    let ignored: UInt32
    /// Bits of operands that only RV64 has room for: elsewhere they are 0.
    let wide: UInt32
    /// 2 or 4.
    let length: UInt8
    /// The instruction has a rounding mode field; its meaning runs only if that names a valid mode.
    let isRounded: Bool
    /// The extensions that must all be there, or else all of `alternative` if that is not empty.
    let extensions: Extensions
    let alternative: Extensions
    let meaning: Meaning
    /// Which units a machine must have switched on for it.
    let usesFloat: Bool
    let usesVectors: Bool

    /// - Parameters:
    ///   - encoding: most significant bit first: `0` and `1` are fixed, `.` belongs to an operand, `n` too but the `n`
    ///     bits are not all 0, `-` is ignored, `x` belongs to an operand on RV64 and is 0 on RV32; blanks separate fields.
    ///   - extensions: those that must be there, and `.rv32` or `.rv64` if only one base has the instruction.
    init(_ syntax: StaticString, _ encoding: StaticString, _ extensions: Extensions = [], or alternative: Extensions = [],
         _ meaning: @escaping Meaning) {
        self.syntax = syntax
        self.extensions = extensions
        self.alternative = alternative
        self.meaning = meaning
        usesFloat = !extensions.isDisjoint(with: [.f, .d, .zcd, .zfh, .zfhmin, .zfa, .zfbfmin])
        usesVectors = !extensions.isDisjoint(with: [.vectors, .zvfh, .zvfhmin])
        var mask: UInt32 = 0, match: UInt32 = 0, nonzero: UInt32 = 0, ignored: UInt32 = 0, wide: UInt32 = 0, count: UInt8 = 0
        for character in UnsafeBufferPointer(start: encoding.utf8Start, count: encoding.utf8CodeUnitCount) {
            if character == UInt8(ascii: " ") { continue }
            mask &<<= 1; match &<<= 1; nonzero &<<= 1; ignored &<<= 1; wide &<<= 1; count &+= 1
            switch character {
            case UInt8(ascii: "0"): mask |= 1
            case UInt8(ascii: "1"): mask |= 1; match |= 1
            case UInt8(ascii: "n"): nonzero |= 1
            case UInt8(ascii: "-"): ignored |= 1
            case UInt8(ascii: "x"): wide |= 1
            default: break
            }
        }
        self.mask = mask
        self.match = match
        self.nonzero = nonzero
        self.ignored = ignored
        self.wide = wide
        length = count / 8
        // A rounding mode is the only operand text that ends in "rm".
        let text = syntax.utf8Start, size = syntax.utf8CodeUnitCount
        isRounded = size > 3 && text[size &- 1] == UInt8(ascii: "m") && text[size &- 2] == UInt8(ascii: "r")
            && text[size &- 3] == UInt8(ascii: " ")
    }

    /// Whether `bits` (a 16-bit encoding stands alone in the low half) is this instruction.
    func matches(_ bits: UInt32) -> Bool { bits & mask == match && (nonzero == 0 || bits & nonzero != 0) }

    /// Whether a CPU with these extensions has the instruction.
    func isEnabled(by extensions: Extensions) -> Bool {
        extensions.isSuperset(of: self.extensions) || !alternative.isEmpty && extensions.isSuperset(of: alternative)
    }

    /// Whether machines of `xlen` can have the instruction.
    func exists(on xlen: XLEN) -> Bool { extensions.isDisjoint(with: xlen == .rv32 ? .rv64 : .rv32) }

    /// The instruction as a machine of `xlen` decodes it.
    func narrowed(to xlen: XLEN) -> Pattern {
        guard xlen == .rv32, wide != 0 else { return self }
        var copy = self
        copy.mask |= wide
        return copy
    }

    /// The first word of the syntax, without what stands in braces.
    var mnemonic: String {
        var isInBraces = false
        return String(syntax.description.prefix { $0 != " " }.filter { character in
            if character == "{" { isInBraces = true }
            defer { if character == "}" { isInBraces = false } }
            return !isInBraces
        })
    }

    /// Every table, one for each chapter of the manual.
    static let all: [[Pattern]] = [
        integer, integerWords, multiply, atomics, csr, compressed, compressedCodeSize, single, double, half, additionalFloat,
        addressGeneration, basicBits, carryless, singleBits, conditional, hints,
        halfArithmetic, brainFloat, compareAndSwap, narrowAtomics, cryptographyBits, encryption, narrowEncryption, hashes, chineseCryptography,
        cacheBlocks, mayBeOperations, pushAndPop, tableJump,
        vectorConfiguration, vectorInteger, vectorCompare, vectorMultiply, vectorFixedPoint, vectorMask, vectorPermutation, vectorFloat,
        vectorFloatConversions, vectorMemory, vectorMemoryWhole, vectorBits, vectorEncryption, vectorHashes, vectorBrainFloat,
        controlFlowIntegrity, privileged, svinval, hypervisor,
    ]
}
