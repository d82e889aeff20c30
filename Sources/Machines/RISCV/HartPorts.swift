// The harts of a RISC-V board as the board sees them: wires in, and what the device tree says of them.

import Core

/// One hart's interrupt wires.
public struct HartInterrupts: Sendable {
    public var machineSoftware: InterruptLine
    public var machineTimer: InterruptLine
    public var machineExternal: InterruptLine
    public var supervisorSoftware: InterruptLine
    public var supervisorExternal: InterruptLine
    /// Those of guests 1, 2 …
    public var guestExternal: [InterruptLine]

    public init(machineSoftware: InterruptLine, machineTimer: InterruptLine, machineExternal: InterruptLine,
                supervisorSoftware: InterruptLine, supervisorExternal: InterruptLine,
                guestExternal: [InterruptLine] = []) {
        self.machineSoftware = machineSoftware
        self.machineTimer = machineTimer
        self.machineExternal = machineExternal
        self.supervisorSoftware = supervisorSoftware
        self.supervisorExternal = supervisorExternal
        self.guestExternal = guestExternal
    }
}

/// What firmware and kernels are told of all harts.
public struct HartDescription: Sendable {
    /// 32 or 64.
    public var registerBits: Int
    /// `riscv,isa`: the base and all extensions in canonical order.
    public var isaString: String
    /// `riscv,isa-extensions`
    public var extensions: [String]
    /// `mmu-type`: `riscv,sv57` …
    public var mmuType: String
    public var hasSupervisor: Bool
    /// Event counters: `mhpmcounter3` and up.
    public var eventCounters: Int

    public init(registerBits: Int, isaString: String, extensions: [String], mmuType: String, hasSupervisor: Bool = true, eventCounters: Int = 0) {
        self.registerBits = registerBits
        self.isaString = isaString
        self.extensions = extensions
        self.mmuType = mmuType
        self.hasSupervisor = hasSupervisor
        self.eventCounters = eventCounters
    }
}
