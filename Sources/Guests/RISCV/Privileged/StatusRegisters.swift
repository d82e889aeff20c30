// The fields of mstatus, menvcfg and satp.

enum MStatus {
    static let sie: UInt64 = 1 << 1, mie: UInt64 = 1 << 3, spie: UInt64 = 1 << 5, ube: UInt64 = 1 << 6, mpie: UInt64 = 1 << 7
    static let spp: UInt64 = 1 << 8, mppShift: UInt64 = 11, mpp: UInt64 = 3 << 11
    static let vsShift: UInt64 = 9, vs: UInt64 = 3 << 9, fsShift: UInt64 = 13, fs: UInt64 = 3 << 13, xs: UInt64 = 3 << 15
    static let mprv: UInt64 = 1 << 17, sum: UInt64 = 1 << 18, mxr: UInt64 = 1 << 19
    static let tvm: UInt64 = 1 << 20, tw: UInt64 = 1 << 21, tsr: UInt64 = 1 << 22
    /// GVA and MPV of the hypervisor extension; RV32 shows them in `mstatush`.
    static let gva: UInt64 = 1 << 38, mpv: UInt64 = 1 << 39
    static let uxl: UInt64 = 3 << 32, sxl: UInt64 = 3 << 34

    /// What `sstatus` shows of it, but for SD.
    static let supervisorView: UInt64 = sie | spie | spp | vs | fs | xs | sum | mxr | ube | uxl
    /// What it lets be written.
    static let supervisorWritable: UInt64 = sie | spie | spp | vs | fs | sum | mxr

    /// UXL and SXL: 64 bits, where there are such modes.
    static func widths64(_ configuration: PrivilegedConfiguration) -> UInt64 {
        (configuration.hasUser ? 2 << 32 : 0) | (configuration.hasSupervisor ? 2 << 34 : 0)
    }
}

enum EnvironmentConfiguration {
    /// FIOM, CBIE, CBCFE, CBZE.
    static let cacheBits: UInt64 = 0xf1
    static let updates: UInt64 = 1 << 61, pageTypes: UInt64 = 1 << 62, supervisorTimer: UInt64 = 1 << 63
}

/// `satp`.
struct AddressTranslationRegister {
    let bits: UInt64
    let xlen: XLEN

    /// 0 bare, 1 Sv32, 8 Sv39, 9 Sv48, 10 Sv57.
    var mode: UInt64 { xlen == .rv32 ? bits >> 31 & 1 : bits >> 60 }
    /// ASID of `satp` and `vsatp`, VMID of `hgatp`.
    var addressSpace: UInt64 { xlen == .rv32 ? bits >> 22 & 0x1ff : bits >> 44 & 0xffff }
    var virtualMachine: UInt64 { xlen == .rv32 ? bits >> 22 & 0x7f : bits >> 44 & 0x3fff }
    /// The physical address of the root page table.
    var root: UInt64 { (xlen == .rv32 ? bits & 0x3f_ffff : bits & 0xfff_ffff_ffff) << 12 }
}
