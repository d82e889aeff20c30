// The registers as gdb's RISC-V target features name them ("RISC-V Features" in gdb's manual).

import Translation

extension RISCVGuest: DebuggableGuest {
    public var debugArchitecture: String { xlen == .rv32 ? "riscv:rv32" : "riscv:rv64" }

    public var registerFeatures: [RegisterFeature] {
        var features = [RegisterFeature("org.gnu.gdb.riscv.cpu", integerRegisters)]
        if model.extensions.contains(.f) { features.append(floatFeature) }
        let controls = (model.extensions.contains(.zicntr) ? counters : []) + (model.extensions.contains(.zve32x) ? vectorControls : [])
        if !controls.isEmpty { features.append(RegisterFeature("org.gnu.gdb.riscv.csr", controls)) }
        if model.extensions.contains(.zve32x) { features.append(vectorFeature) }
        return features
    }

    private var integerRegisters: [DebugRegister] {
        (0 ..< 32).map { number in
            let name = number == 8 ? "fp" : RegisterNames.integer[number]
            let type = switch number { case 1: "code_ptr"; case 2, 3, 4, 8: "data_ptr"; default: "int" }
            return DebugRegister(name, bits: xlen.bits, type: type, number == 0 ? .zero : .state(RISCVState.integer(number)))
        } + [DebugRegister("pc", bits: xlen.bits, type: "code_ptr", .programCounter)]
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

    // MARK: vectors

    private var vectorFeature: RegisterFeature {
        let bytes = model.vectorBits / 8
        var types = "", fields = ""
        for (field, name, bits) in [("b", "bytes", 8), ("s", "shorts", 16), ("w", "words", 32), ("l", "longs", 64)] {
            types += "<vector id=\"\(name)\" type=\"uint\(bits)\" count=\"\(bytes * 8 / bits)\"/>"
            fields += "<field name=\"\(field)\" type=\"\(name)\"/>"
        }
        return RegisterFeature("org.gnu.gdb.riscv.vector", types: types + "<union id=\"riscv_vector\">" + fields + "</union>", (0 ..< 32).map { number in
            DebugRegister("v\(number)", bits: bytes * 8, type: "riscv_vector", .state(RISCVState.vector(number, bytes.trailingZeroBitCount)))
        })
    }

    private var vectorControls: [DebugRegister] {
        let bytes = model.vectorBits / 8
        /// A register of the four that are set together.
        func control(_ name: String, _ slot: Int32, _ shift: UInt64 = 0, _ mask: UInt64 = .max) -> DebugRegister {
            DebugRegister(name, bits: 64, .computed(read: { $0[UInt64.self, slot] &>> shift & mask }, write: { vcpu, value in
                func new(_ candidate: Int32) -> UInt64 {
                    let old = vcpu[UInt64.self, candidate]
                    return candidate == slot ? old & ~(mask &<< shift) | (value & mask) &<< shift : old
                }
                RISCVState.setVectors(of: vcpu, length: new(RISCVState.vectorLength), type: new(RISCVState.vectorType),
                                      start: new(RISCVState.vectorStart), control: new(RISCVState.vectorControl), bytes: bytes)
            }))
        }
        return [
            control("vstart", RISCVState.vectorStart), control("vxsat", RISCVState.vectorControl, 0, 1),
            control("vxrm", RISCVState.vectorControl, 1, 3), control("vcsr", RISCVState.vectorControl),
            control("vl", RISCVState.vectorLength), control("vtype", RISCVState.vectorType),
            DebugRegister("vlenb", bits: 64, .computed(read: { _ in UInt64(bytes) }, write: { _, _ in })),
        ]
    }
}
