// "H" Extension for Hypervisor Support: its registers, beside those of machine and supervisor mode in `Hart`.

struct HypervisorState {
    /// V: the hart runs a virtual machine (VS or VU mode).
    var isVirtual = false
    var hstatus: UInt64 = 0, hedeleg: UInt64 = 0, hideleg: UInt64 = 0
    var htval: UInt64 = 0, htinst: UInt64 = 0, mtval2: UInt64 = 0, mtinst: UInt64 = 0
    var hcounteren: UInt64 = 0, henvcfg: UInt64 = 0, htimedelta: UInt64 = 0
    var hgatp: UInt64 = 0
    /// Guest external interrupts that count for `hip.SGEIP`.
    var hgeie: UInt64 = 0

    // What supervisor mode's own registers are replaced by while V is set.
    var vsstatus: UInt64 = 0, vstvec: UInt64 = 0, vsscratch: UInt64 = 0, vsepc: UInt64 = 0, vscause: UInt64 = 0, vstval: UInt64 = 0
    var vsatp: UInt64 = 0
    var vstimecmp: UInt64 = .max
}

enum HStatus {
    static let vsbe: UInt64 = 1 << 5, gva: UInt64 = 1 << 6, spv: UInt64 = 1 << 7, spvp: UInt64 = 1 << 8, hu: UInt64 = 1 << 9
    static let vgeinShift: UInt64 = 12, vgein: UInt64 = 0x3f << 12
    static let vtvm: UInt64 = 1 << 20, vtw: UInt64 = 1 << 21, vtsr: UInt64 = 1 << 22, vsxl: UInt64 = 3 << 32
    static let writable: UInt64 = gva | spv | spvp | hu | vtvm | vtw | vtsr
}

/// The interrupts of virtual machines, as bits of `mip`, and what hypervisors may delegate.
enum VirtualInterrupts {
    static let software: UInt64 = 1 << 2, timer: UInt64 = 1 << 6, external: UInt64 = 1 << 10
    /// SGEI: a guest external interrupt waits for the hypervisor.
    static let guestExternal: UInt64 = 1 << 12
    static let all: UInt64 = software | timer | external
    /// Always delegated to HS mode.
    static let delegated: UInt64 = all | guestExternal
    static let delegableExceptions: UInt64 = 0xb1ff
}
