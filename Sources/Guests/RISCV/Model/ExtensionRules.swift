// Which extensions bring others with them, and which sets of extensions are no CPU: the rules by which QEMU 10 turns the
// switches of `-cpu` into a CPU, with its messages. They follow the dependencies that the unprivileged manual states.

extension Extensions {
    /// An extension that is on switches these on, unless they were switched off by name.
    private static let implications: [(Extensions, Extensions)] = [
        (.zk, [.zkn, .zkr, .zkt]), (.zkn, [.zbkb, .zbkc, .zbkx, .zkne, .zknd, .zknh]), (.zks, [.zbkb, .zbkc, .zbkx, .zksed, .zksh]),
        (.zce, [.zca, .zcb, .zcmp, .zcmt]), (.zcmt, [.zca, .zicsr]), (.zcmp, .zca), (.zcb, .zca), (.zcd, [.zca, .d]), (.c, .zca),
        (.b, [.zba, .zbb, .zbs]), (.a, [.zaamo, .zalrsc]), (.m, .zmmul),
        (.v, .zve64d), (.zve64d, [.zve64f, .d]), (.zve64f, [.zve64x, .zve32f]), (.zve64x, .zve32x), (.zve32f, [.zve32x, .f]),
        (.zve32x, .zicsr), (.zvfh, [.zvfhmin, .zfhmin]), (.zvfhmin, .zve32f),
        (.zvkn, [.zvkned, .zvknhb, .zvkb, .zvkt]), (.zvknc, [.zvkn, .zvbc]), (.zvkng, [.zvkn, .zvkg]),
        (.zvks, [.zvksed, .zvksh, .zvkb, .zvkt]), (.zvksc, [.zvks, .zvbc]), (.zvksg, [.zvks, .zvkg]), (.zvbb, .zvkb), (.zvknhb, .zve64x),
        (.zvfbfwma, [.zvfbfmin, .zfbfmin]), (.zvfbfmin, .zve32f),
        (.zfh, .zfhmin), (.zfhmin, .f), (.zfbfmin, .f), (.zfa, .f), (.d, .f), (.f, .zicsr), (.zicntr, .zicsr), (.zihpm, .zicsr),
    ]

    /// Everything that follows from these extensions; `denied` ones do not come back.
    func completed(denying denied: Extensions = []) -> Extensions {
        var all = self
        while true {
            let before = all
            for (extensions, implied) in Extensions.implications where all.isSuperset(of: extensions) {
                all.formUnion(implied.subtracting(denied))
            }
            // The letter c is all of zca and the loads and stores of the floating-point registers that there are.
            if all.isSuperset(of: [.c, .d]) { all.formUnion(Extensions.zcd.subtracting(denied)) }
            if all.isSuperset(of: [.rv32, .f]), !all.isDisjoint(with: [.c, .zce]) { all.formUnion(Extensions.zcf.subtracting(denied)) }
            if all.contains(.zca), !all.contains(.d) || all.contains(.zcd), !all.isSuperset(of: [.rv32, .f]) || all.contains(.zcf) {
                all.formUnion(Extensions.c.subtracting(denied))
            }
            if all == before { break }
        }
        // Counters without instructions to read them are left out silently.
        if !all.contains(.zicsr) { all.subtract([.zicntr, .zihpm]) }
        return all
    }

    /// What keeps these extensions from being a CPU; nil if nothing does.
    var contradiction: String? {
        func lacks(_ extensions: Extensions, _ needed: Extensions) -> Bool { !isDisjoint(with: extensions) && !isSuperset(of: needed) }
        if lacks(.zawrs, .a) { return "Zawrs extension requires A extension" }
        if lacks(.zfa, .f) { return "Zfa extension requires F extension" }
        if lacks([.zfh, .zfhmin], .f) { return "Zfh/Zfhmin extensions require F extension" }
        if lacks(.zfbfmin, .f) { return "Zfbfmin extension depends on F extension" }
        if lacks(.f, .zicsr) { return "F extension requires Zicsr" }
        if lacks(.d, .f) { return "D extension requires F extension" }
        if isSuperset(of: [.rv64, .zcf]) { return "Zcf extension is only relevant to RV32" }
        if lacks(.zcf, .f) { return "Zcf extension requires F extension" }
        if lacks([.zcf, .zcd, .zcb, .zcmp, .zcmt], .zca) { return "Zcf/Zcd/Zcb/Zcmp/Zcmt extensions require Zca extension" }
        if lacks(.zcd, .d) { return "Zcd extension requires D extension" }
        // Their encodings are those of c.fsdsp.
        if contains(.zcd), !isDisjoint(with: [.zcmp, .zcmt]) { return "Zcmp/Zcmt extensions are incompatible with Zcd extension" }
        if lacks(.zcmt, .zicsr) { return "Zcmt extension requires Zicsr extension" }
        if lacks(.zcmop, .zca) { return "Zcmop extensions require Zca" }
        if lacks([.v, .zve64d], .d) { return "Zve64d/V extensions require D extension" }
        if lacks([.zve32f, .zve64f], .f) { return "Zve32f/Zve64f extensions require F extension" }
        if lacks(.zvfh, .zfhmin) { return "Zvfh extensions requires Zfhmin extension" }
        if lacks(.v, .zve64d) || lacks(.zve64d, .zve64f) || lacks(.zve64f, [.zve64x, .zve32f]) || lacks([.zve64x, .zve32f], .zve32x)
            || lacks(.zvfhmin, .zve32f) || lacks(.zvfh, .zvfhmin) || lacks(.zve32x, .zicsr) {
            return "A vector extension lacks one that it contains"
        }
        if lacks([.zvbb, .zvkb, .zvkg, .zvkned, .zvknha, .zvksed, .zvksh], .zve32x) { return "Vector crypto extensions require V or Zve* extensions" }
        if lacks([.zvbc, .zvknhb], .zve64x) { return "Zvbc and Zvknhb extensions require V or Zve64x extensions" }
        if lacks(.zvfbfmin, .zve32f) { return "Zvfbfmin extension depends on Zve32f extension" }
        if lacks(.zvfbfwma, .zvfbfmin) { return "Zvfbfwma extension depends on Zvfbfmin extension" }
        if contains(.rv32), !isDisjoint(with: [.zicfilp, .zicfiss]) { return "zicfilp and zicfiss are supported with 64-bit registers only" }
        if lacks(.zicfilp, .zicsr) { return "zicfilp extension requires zicsr extension" }
        if lacks(.zicfiss, .zicsr) { return "zicfiss extension requires zicsr extension" }
        if lacks(.zicfiss, .a) { return "zicfiss extension requires A extension" }
        if lacks(.zicfiss, .zimop) { return "zicfiss extension requires zimop extension" }
        if contains([.zicfiss, .zca]), !contains(.zcmop) { return "zicfiss with zca requires zcmop extension" }
        if lacks(.zacas, .a) { return "Zacas extension requires A extension" }
        return nil
    }
}
