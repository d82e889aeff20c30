import RISCV

// riscv_hwprobe(2) (`Documentation/arch/riscv/hwprobe.rst`, `asm/hwprobe.h`): what the CPU model can do.
extension RISCVLinuxABI {
    /// The bits of `RISCV_HWPROBE_KEY_IMA_EXT_0`.
    private static let extensionBits: [(bit: UInt64, extensions: Extensions)] = [
        (0, [.f, .d]), (1, .c), (2, .v), (3, .zba), (4, .zbb), (5, .zbs), (6, .zicboz), (7, .zbc), (8, .zbkb), (9, .zbkc), (10, .zbkx),
        (11, .zknd), (12, .zkne), (13, .zknh), (14, .zksed), (15, .zksh), (16, .zkt), (17, .zvbb), (18, .zvbc), (19, .zvkb), (20, .zvkg),
        (21, .zvkned), (22, .zvknha), (23, .zvknhb), (24, .zvksed), (25, .zvksh), (26, .zvkt), (27, .zfh), (28, .zfhmin),
        (29, .zihintntl), (30, .zvfh), (31, .zvfhmin), (32, .zfa), (34, .zacas), (35, .zicond), (36, .zihintpause), (37, .zve32x),
        (38, .zve32f), (39, .zve64x), (40, .zve64f), (41, .zve64d), (42, .zimop), (43, .zca), (44, .zcb),
        (45, .zcd), (47, .zcmop), (48, .zawrs), (50, .zicntr), (51, .zihpm), (52, .zfbfmin), (53, .zvfbfmin),
        (54, .zvfbfwma), (56, .zaamo), (57, .zalrsc),
        (58, .zabha), (60, .zicbop), (63, .zicfilp),
    ]

    /// The value of `key`, or nil for a key beyond those of Linux 7.0. Bit 55 (zicbom) stays clear: programs may not use it.
    public func hardwareProbe(_ key: Int64) -> UInt64? {
        switch key {
        // Vendor, architecture and implementation numbers.
        case 0, 1, 2: 0
        // Base behaviour: IMA.
        case 3: model.extensions.isSuperset(of: [.m, .a]) ? 1 : 0
        case 4:
            RISCVLinuxABI.extensionBits.reduce(0) { bits, row in
                model.extensions.isSuperset(of: row.extensions) ? bits | 1 &<< row.bit : bits
            }
        // Misaligned scalar accesses are fast: the old key, and the new one.
        case 5, 9: 3
        // Bytes in a block of zicboz.
        case 6: model.extensions.contains(.zicboz) ? 64 : 0
        // The highest user address.
        case 7: xlen == .rv64 ? 0x3f_ffff_ffff : 0x9dff_ffff
        // Frequency of the time counter.
        case 8: Clock.frequency
        // Misaligned vector accesses are fast, or there are none.
        case 10: model.extensions.contains(.zve32x) ? 3 : 4
        // Extensions of T-Head, SiFive and MIPS.
        case 11, 13, 14: 0
        // Bytes in a block of zicbom and of zicbop.
        case 12: model.extensions.contains(.zicbom) ? 64 : 0
        case 15: model.extensions.contains(.zicbop) ? 64 : 0
        // The second word of extensions.
        case 16: model.extensions.contains(.zicfiss) ? 1 : 0
        default: nil
        }
    }
}
