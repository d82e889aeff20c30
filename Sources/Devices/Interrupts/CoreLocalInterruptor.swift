// ACLINT, by "RISC-V Advanced Core Local Interruptor Specification" 1.0-rc4, and the SiFive CLINT that is the same registers in
// one window: software interrupts (MSWI, SSWI) and the machine timer (MTIMER) of each hart.

import Core
import Host

/// The wires of one hart that an interruptor drives.
public struct HartWires: Sendable {
    public var software: InterruptLine
    public var timer: InterruptLine
    public init(software: InterruptLine, timer: InterruptLine) {
        self.software = software
        self.timer = timer
    }
}

/// Software interrupts: one word a hart, bit 0 is the wire.
public final class SoftwareInterruptDevice: Device {
    public let banks: [Bank]
    private let wires: [InterruptLine]
    private var pending: [UInt32]
    /// SSWI sets the wire and reads as 0; MSWI holds it.
    private let isSupervisor: Bool

    public init(wires: [InterruptLine], isSupervisor: Bool = false, size: UInt64 = 0x4000) {
        self.wires = wires
        self.isSupervisor = isSupervisor
        pending = Array(repeating: 0, count: wires.count)
        banks = [Bank(isSupervisor ? "riscv.aclint.sswi" : "riscv.aclint.swi", size: size, widths: 4 ... 4)]
    }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        let hart = Int(offset / 4)
        return hart < pending.count && !isSupervisor ? UInt64(pending[hart]) : 0
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        let hart = Int(offset / 4)
        guard hart < pending.count else { return }
        if isSupervisor {
            if value & 1 != 0 { wires[hart].raise() }
        } else {
            pending[hart] = UInt32(value & 1)
            wires[hart].set(value & 1 != 0)
        }
    }

    public func reset() {
        guard !isSupervisor else { return }
        for hart in pending.indices {
            pending[hart] = 0
            wires[hart].lower()
        }
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("pending", &pending)
        if state.isLoading, !isSupervisor { for hart in pending.indices { wires[hart].set(pending[hart] & 1 != 0) } }
    }
}

/// The machine timer: `mtimecmp` of each hart from offset 0 on, `mtime` at `mtimeAt`.
public final class MachineTimerDevice: Device {
    public let banks: [Bank]
    private let timebase: Timebase
    private let wires: [InterruptLine]
    private let mtimeAt: UInt64
    private var compare: [UInt64]
    private var timers: [MachineTimer] = []

    public init(_ host: DeviceHost, timebase: Timebase, wires: [InterruptLine], size: UInt64 = 0x8000, mtimeAt: UInt64 = 0x7ff8) {
        self.timebase = timebase
        self.wires = wires
        self.mtimeAt = mtimeAt
        compare = Array(repeating: .max, count: wires.count)
        banks = [Bank("riscv.aclint.mtimer", size: size, widths: 4 ... 8)]
        timers = wires.indices.map { hart in host.timer { [unowned self] in update(hart) } }
    }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        let hart = Int(offset / 8)
        let value: UInt64
        if offset & ~7 == mtimeAt { value = timebase.ticks } else if hart < compare.count { value = compare[hart] } else { return 0 }
        return width == 8 ? value : value >> (offset & 4 == 0 ? 0 : 32) & 0xffff_ffff
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        let hart = Int(offset / 8)
        if offset & ~7 == mtimeAt {
            timebase.setTicks(Self.merged(timebase.ticks, offset, value, width))
            for hart in compare.indices { update(hart) }
        } else if hart < compare.count {
            compare[hart] = Self.merged(compare[hart], offset, value, width)
            update(hart)
        }
    }

    private static func merged(_ old: UInt64, _ offset: UInt64, _ value: UInt64, _ width: Int) -> UInt64 {
        guard width == 4 else { return value }
        return offset & 4 == 0 ? old & ~0xffff_ffff | value & 0xffff_ffff : old & 0xffff_ffff | value << 32
    }

    private func update(_ hart: Int) {
        let isDue = timebase.ticks >= compare[hart]
        wires[hart].set(isDue)
        if isDue { timers[hart].cancel() } else { timers[hart].arm(at: timebase.time(ofTicks: compare[hart])) }
    }

    public func reset() {
        for hart in compare.indices {
            compare[hart] = .max
            update(hart)
        }
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        var ticks = timebase.ticks
        try state.field("mtime", &ticks)
        try state.field("mtimecmp", &compare)
        if state.isLoading {
            timebase.setTicks(ticks)
            for hart in compare.indices { update(hart) }
        }
    }
}
