// The registers as gdb's RISC-V target features name them ("RISC-V Features" in gdb's manual).

import Translation

extension RISCV64: DebuggableGuest {
    public var debugArchitecture: String { "riscv:rv64" }

    public var registerFeatures: [RegisterFeature] {
        var features = [RegisterFeature("org.gnu.gdb.riscv.cpu", integerRegisters)]
        if model.extensions.contains(.f) { features.append(floatFeature) }
        if model.extensions.contains(.zicntr) { features.append(RegisterFeature("org.gnu.gdb.riscv.csr", counters)) }
        return features
    }

    private var integerRegisters: [DebugRegister] {
        (0 ..< 32).map { number in
            let name = number == 8 ? "fp" : RegisterNames.integer[number]
            let type = switch number { case 1: "code_ptr"; case 2, 3, 4, 8: "data_ptr"; default: "int" }
            return DebugRegister(name, bits: 64, type: type, number == 0 ? .zero : .state(RISCVState.integer(number)))
        } + [DebugRegister("pc", bits: 64, type: "code_ptr", .programCounter)]
    }

    private var floatFeature: RegisterFeature {
        let union = "<union id=\"riscv_double\"><field name=\"float\" type=\"ieee_single\"/>"
            + "<field name=\"double\" type=\"ieee_double\"/></union>"
        let registers = (0 ..< 32).map { number in
            DebugRegister(RegisterNames.float[number], bits: 64, type: "riscv_double", .state(RISCVState.float(number)))
        }
        func control(_ name: String, _ shift: UInt32, _ mask: UInt32) -> DebugRegister {
            DebugRegister(name, bits: 32, .computed(read: { vcpu in
                UInt64(RISCVState.floatControl(of: vcpu) &>> shift & mask)
            }, write: { vcpu, value in
                let old = RISCVState.floatControl(of: vcpu) & ~(mask &<< shift)
                RISCVState.setFloatControl(old | (UInt32(truncatingIfNeeded: value) & mask) &<< shift, of: vcpu)
            }))
        }
        return RegisterFeature("org.gnu.gdb.riscv.fpu", types: union,
                               registers + [control("fflags", 0, 31), control("frm", 5, 7), control("fcsr", 0, 255)])
    }

    private var counters: [DebugRegister] {
        ["cycle", "time", "instret"].map { name in
            DebugRegister(name, bits: 64, .computed(read: { _ in Clock.now }, write: { _, _ in }))
        }
    }
}
