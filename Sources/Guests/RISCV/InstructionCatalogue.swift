// The tables as data for tests: which encodings there are, which of their bits belong to which operand.

/// One instruction of the tables, for generators of test encodings.
package struct CatalogueEntry: Sendable {
    /// The assembler text with operand names, and its first word.
    package let syntax: String
    package let mnemonic: String
    package let mask: UInt32
    package let match: UInt32
    /// Bits of which at least one must be set; 0 if there is no such rule.
    package let nonzero: UInt32
    /// Bits whose value does not matter.
    package let ignored: UInt32
    package let length: Int
    package let extensions: Extensions
    package let alternative: Extensions
    package let operands: [Operand]
    /// Which table it stands in, and where.
    package let chapter: Int

    /// Whether a CPU with these extensions has the instruction.
    package func isEnabled(by extensions: Extensions) -> Bool {
        extensions.isSuperset(of: self.extensions) || !alternative.isEmpty && extensions.isSuperset(of: alternative)
    }

    /// An encoding with random operands; those with a rounding mode get a valid one.
    package func randomEncoding(using generator: inout some RandomNumberGenerator) -> UInt32 {
        while true {
            var bits = UInt32.random(in: 0 ... .max, using: &generator) & ~mask | match
            if length == 2 { bits &= 0xffff }
            if operands.contains(.rm), bits &>> 12 & 7 == 5 || bits &>> 12 & 7 == 6 { continue }
            if nonzero == 0 || bits & nonzero != 0 { return bits }
        }
    }
}

package enum InstructionCatalogue {
    /// CPUs that have all instructions of a width between them: some share their encodings with others.
    package static let models = ["max", "max,c=off,zcmp=on,zcmt=on"]

    /// The first of `models` that has `entry`.
    package static func model(for entry: CatalogueEntry, _ xlen: XLEN = .rv64) -> String {
        models.first { name in (try? CPUModel(parsing: name, xlen: xlen)).map { entry.isEnabled(by: $0.extensions) } ?? false } ?? "max"
    }

    /// Every instruction of RV64, chapter by chapter.
    package static let entries = entries(.rv64)

    /// Every instruction that programs of one width may have, chapter by chapter.
    package static func entries(_ xlen: XLEN) -> [CatalogueEntry] {
        all(xlen).filter { $0.extensions.isDisjoint(with: [.privileged, .h, .svinval]) }
    }

    /// Those, and the ones that only machines have.
    private static func all(_ xlen: XLEN) -> [CatalogueEntry] {
        Pattern.all.enumerated().flatMap { chapter, table in table.filter { $0.exists(on: xlen) }.map { catalogued($0.narrowed(to: xlen), chapter) } }
    }

    private static func catalogued(_ pattern: Pattern, _ chapter: Int) -> CatalogueEntry {
        let syntax = pattern.syntax.description
        let names = syntax.split { " ,(){}".contains($0) }.map(String.init)
        return CatalogueEntry(
            syntax: syntax, mnemonic: pattern.mnemonic, mask: pattern.mask, match: pattern.match, nonzero: pattern.nonzero,
            ignored: pattern.ignored, length: Int(pattern.length), extensions: pattern.extensions, alternative: pattern.alternative,
            operands: names.compactMap { Operand.byName[$0] }, chapter: chapter)
    }

    /// Pairs of instructions of which some encoding is both, with neither the special case of the other: there must be none.
    package static func overlaps(_ xlen: XLEN = .rv64) -> [(String, String)] {
        let all = all(xlen)
        var found: [(String, String)] = []
        for (index, a) in all.enumerated() {
            for b in all[(index + 1)...] where a.length == b.length && (a.match ^ b.match) & a.mask & b.mask == 0 {
                let aIsSpecial = b.mask & ~a.mask == 0 && a.mask != b.mask, bIsSpecial = a.mask & ~b.mask == 0 && a.mask != b.mask
                if !aIsSpecial && !bIsSpecial { found.append((a.syntax, b.syntax)) }
            }
        }
        return found
    }
}

extension RISCVGuest {
    /// The mnemonic of the table entry that `bits` decodes to on this CPU.
    package func mnemonic(of bits: UInt32) -> String? { tree.find(bits)?.pointee.mnemonic }
    /// The syntax of that entry.
    package func syntax(of bits: UInt32) -> String? { tree.find(bits)?.pointee.syntax.description }
    /// The text of an encoding at `pc`.
    package func text(of bits: UInt32, at pc: UInt64) -> String? {
        tree.find(bits).map { Disassembler.text($0.pointee, Instruction(bits), at: pc, xlen) }
    }
}
