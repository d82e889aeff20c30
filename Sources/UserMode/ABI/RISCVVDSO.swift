import RISCV

/// A vDSO ready to be mapped.
struct VDSOImage: Sendable {
    var bytes: [UInt8]
    /// Offset of the code that calls `rt_sigreturn`.
    var signalReturn: UInt64
}

/// The vDSO of riscv64 and riscv32: the functions of Linux's (`vdso(7)`, "riscv functions"), each a plain system call, which Apus
/// answers from the host's own vDSO. C libraries look them up with version LINUX_4.15.
enum RISCVVDSO {
    /// Symbol, and the number of the system call it makes. Linux's own for riscv32 has nothing that tells the time.
    private static let narrowCalls: [(name: String, number: UInt32)] = [
        ("__vdso_getcpu", 168), ("__vdso_flush_icache", 259), ("__vdso_riscv_hwprobe", 258),
    ]
    private static let calls: [(name: String, number: UInt32)] = [
        ("__vdso_clock_gettime", 113), ("__vdso_gettimeofday", 169), ("__vdso_clock_getres", 114), ("__vdso_getcpu", 168),
        ("__vdso_flush_icache", 259), ("__vdso_riscv_hwprobe", 258),
    ]

    static func image(_ xlen: XLEN) -> VDSOImage {
        var code = ByteWriter()
        var symbols: [SharedObjectWriter.Symbol] = []
        func loadImmediateA7(_ value: UInt32) -> UInt32 { value &<< 20 | 17 &<< 7 | 0x13 }
        let ecall: UInt32 = 0x73, ret: UInt32 = 0x8067, nop: UInt32 = 0x13

        // Unwinders recognise a signal frame by exactly these two words at the return address. The nop before keeps
        // "return address - 1" inside the same unwinding range.
        code.u32(nop)
        symbols.append(.init(name: "__vdso_rt_sigreturn", offset: code.bytes.count, size: 8))
        code.u32(loadImmediateA7(139))
        code.u32(ecall)
        code.align(16)
        for call in xlen == .rv64 ? calls : narrowCalls {
            symbols.append(.init(name: call.name, offset: code.bytes.count, size: 12))
            code.u32(loadImmediateA7(call.number))
            code.u32(ecall)
            code.u32(ret)
            code.align(16)
        }
        let writer = SharedObjectWriter(
            model: DataModel(wordSize: xlen.bytes, bigEndian: false), machine: 243, flags: 5 /* RVC, double-float ABI */,
            name: "linux-vdso.so.1", version: "LINUX_4.15", code: code.bytes, symbols: symbols)
        let (bytes, codeOffset) = writer.write()
        return VDSOImage(bytes: bytes, signalReturn: UInt64(codeOffset &+ 4))
    }
}
