// "Pointer Masking Extensions" 1.0.0 (Smmpm, Smnpm, Ssnpm): the upper bits of addresses that programs may use for themselves. The
// caches of translations know addresses with these bits, so that the fast path of accesses does not know of any of this: an address
// with other upper bits is another one to it, and is translated once more.

enum PointerMasking {
    /// PMM of the `envcfg` registers and `mseccfg`, and HUPMM of `hstatus`.
    static let shift: UInt64 = 32, guestShift: UInt64 = 48
    static let field: UInt64 = 3 << shift, guestField: UInt64 = 3 << guestShift

    /// How many bits a value of the field masks.
    static func bits(_ register: UInt64, shift: UInt64 = PointerMasking.shift) -> UInt64 {
        switch register >> shift & 3 {
        case 2: 7
        case 3: 16
        default: 0
        }
    }
}

extension Hart {
    /// What a written value makes of a register's field: 1 is reserved and leaves it as it was.
    func pointerMasking(_ old: UInt64, _ value: UInt64, shift: UInt64 = PointerMasking.shift, isThere: Bool) -> UInt64 {
        guard isThere, xlen == .rv64 else { return 0 }
        return (value >> shift & 3 == 1 ? old : value) & 3 << shift
    }

    /// How many upper bits of the addresses of loads and stores are ignored by an MMU index.
    private func maskedBits(_ index: Int) -> UInt64 {
        if index == MMUIndex.machine { return PointerMasking.bits(mseccfg) }
        // Who reads instructions as data sees them where they are.
        let isVirtual = MMUIndex.isVirtual(index)
        guard (mstatus | (isVirtual ? hypervisor.vsstatus : 0)) & MStatus.mxr == 0 else { return 0 }
        guard MMUIndex.mode(index) == .user else { return PointerMasking.bits(isVirtual ? hypervisor.henvcfg : menvcfg) }
        if isVirtual, !hypervisor.isVirtual, privilege == .user { return PointerMasking.bits(hypervisor.hstatus, shift: PointerMasking.guestShift) }
        return PointerMasking.bits(configuration.hasSupervisor ? senvcfg : menvcfg)
    }

    /// The address that an explicit access goes to ("The 'Ignore' Transformation").
    func transformed(_ address: UInt64, index: Int) -> UInt64 {
        guard configuration.masksPointers else { return address }
        let bits = maskedBits(index)
        guard bits > 0 else { return address }
        let register = AddressTranslationRegister(bits: MMUIndex.isVirtual(index) ? hypervisor.vsatp : satp, xlen: xlen)
        if index == MMUIndex.machine || register.mode == 0 { return (address << bits) >> bits }
        return UInt64(bitPattern: Int64(bitPattern: address << bits) >> Int64(bits))
    }

    /// Whether addresses with other upper bits may stand for the same page: fences of one address concern them all.
    var hasPointerAliases: Bool {
        configuration.masksPointers && (mseccfg | menvcfg | senvcfg | hypervisor.henvcfg) & PointerMasking.field | hypervisor.hstatus & PointerMasking.guestField != 0
    }
}
