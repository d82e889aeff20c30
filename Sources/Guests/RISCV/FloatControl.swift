// Control and status registers as code outside translated blocks sees them: signal frames, thread creation, debuggers.

import Translation

extension RISCVState {
    /// `fcsr`: the accrued exception flags in bits 4:0, the dynamic rounding mode in bits 7:5.
    public static func floatControl(of vcpu: VCPU) -> UInt32 {
        vcpu[UInt32.self, StateHeader.floatFlags] & 31 | UInt32(truncatingIfNeeded: vcpu.context & 7) &<< 5
    }

    /// Sets `fcsr`; bits above 7 are ignored. Blocks translated from then on know the rounding mode.
    public static func setFloatControl(_ value: UInt32, of vcpu: VCPU) {
        let frm = value &>> 5 & 7
        vcpu[UInt32.self, StateHeader.floatFlags] = value & 31
        // An invalid mode has no instruction that could use it; the host's unit stays in the default one.
        vcpu[UInt32.self, StateHeader.floatRounding] = frm > 4 ? 0 : frm
        vcpu.context = vcpu.context & ~7 | UInt64(frm)
    }

    /// Sets `jvt`, the table of Zcmt; blocks translated from then on know whether its mode is one that there is.
    public static func setJumpTable(_ value: UInt64, of vcpu: VCPU) {
        vcpu[UInt64.self, jumpTable] = value
        vcpu.context = vcpu.context & ~8 | (value & 0x3f == 0 ? 0 : 8)
    }
}
