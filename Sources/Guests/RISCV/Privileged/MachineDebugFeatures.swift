// The registers of a hart as gdb's RISC-V target features name them: those of programs, all CSRs that the hart has, and the
// virtual register `priv`, the privilege mode.

import Core
import Translation

extension RISCVMachineGuest: DebuggableSystemGuest {
    public var debugArchitecture: String { model.xlen == .rv32 ? "riscv:rv32" : "riscv:rv64" }

    public var registerFeatures: [RegisterFeature] {
        let program = unprivilegedFeatures
        // The counters of programs are among the machine's own registers; those of the vector unit are not.
        let kept = program.filter { $0.name == "org.gnu.gdb.riscv.csr" }.flatMap(\.registers).filter { register in
            !ControlRegister.all.contains { $0.name == register.name }
        }
        let bits = model.xlen.bits
        let controls = anyHart.map { hart in
            ControlRegister.all.filter { $0.exists(hart) }.sorted { $0.number < $1.number }.map { register in
                DebugRegister(register.name, bits: bits, .computed(read: { vcpu in
                    Hart.of(vcpu.state).map { register.read($0) & $0.xlen.mask } ?? 0
                }, write: { vcpu, value in
                    guard let hart = Hart.of(vcpu.state), !register.isReadOnly else { return }
                    register.write?(hart, value & hart.xlen.mask)
                }))
            }
        } ?? []
        let privilege = DebugRegister("priv", bits: bits, .computed(read: { Hart.of($0.state)?.privilege.rawValue ?? 0 }, write: { vcpu, value in
            guard let hart = Hart.of(vcpu.state), let mode = PrivilegeMode(rawValue: value), hart.hasMode(mode) else { return }
            hart.privilege = mode
            if mode == .machine { hart.hypervisor.isVirtual = false }
            hart.updateContext()
        }))
        return program.filter { $0.name != "org.gnu.gdb.riscv.csr" }
            + [RegisterFeature("org.gnu.gdb.riscv.csr", kept + controls), RegisterFeature("org.gnu.gdb.riscv.virtual", [privilege])]
    }

    public func physicalAddress(_ address: UInt64, of vcpu: VCPU, memory: AddressSpace) -> UInt64? {
        Hart.of(vcpu.state)?.physicalAddress(address, memory: memory)
    }
}

extension Hart {
    fileprivate func hasMode(_ mode: PrivilegeMode) -> Bool {
        switch mode {
        case .machine: true
        case .supervisor: configuration.hasSupervisor
        case .user: configuration.hasUser
        }
    }
}
