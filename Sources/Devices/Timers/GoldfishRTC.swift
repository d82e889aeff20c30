// Goldfish RTC, by Android's GOLDFISH-VIRTUAL-HARDWARE: nanoseconds since 1970, and an alarm.

import Core
import Glibc

public final class GoldfishRTC: Device {
    public let banks = [Bank("goldfish_rtc", size: 0x1000, widths: 4 ... 4)]
    private let host: DeviceHost
    private let interrupt: InterruptLine
    private var timer: MachineTimer?
    /// Wall-clock time minus virtual time, in nanoseconds.
    private var offset: UInt64
    private var alarm: UInt64 = 0
    private var isArmed = false
    private var isPending = false
    private var isEnabled = false
    /// The high word of the time whose low word was read last.
    private var latched: UInt64 = 0
    private var written: UInt64 = 0

    private enum Register {
        static let timeLow: UInt64 = 0x00, timeHigh: UInt64 = 0x04, alarmLow: UInt64 = 0x08, alarmHigh: UInt64 = 0x0c
        static let enable: UInt64 = 0x10, clearAlarm: UInt64 = 0x14, status: UInt64 = 0x18, clearInterrupt: UInt64 = 0x1c
    }

    /// - Parameter start: the time of the machine's start, in nanoseconds since 1970; nil: the host's.
    public init(_ host: DeviceHost, interrupt: InterruptLine, start: UInt64? = nil) {
        self.host = host
        self.interrupt = interrupt
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let wall = UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
        offset = (start ?? wall) &- host.clock.now
        timer = host.timer { [unowned self] in fire() }
    }

    private var now: UInt64 { host.clock.now &+ offset }

    public func read(_ bank: Int, _ at: UInt64, _ width: Int) -> UInt64 {
        switch at {
        case Register.timeLow:
            latched = now
            return latched & 0xffff_ffff
        case Register.timeHigh: return latched >> 32
        case Register.alarmLow: return alarm & 0xffff_ffff
        case Register.alarmHigh: return alarm >> 32
        case Register.enable: return isEnabled ? 1 : 0
        case Register.status: return isArmed ? 1 : 0
        default: return 0
        }
    }

    public func write(_ bank: Int, _ at: UInt64, _ value: UInt64, _ width: Int) {
        switch at {
        case Register.timeHigh: written = value << 32
        case Register.timeLow: offset = offset &+ ((written | value & 0xffff_ffff) &- now)
        case Register.alarmHigh: alarm = value << 32 | alarm & 0xffff_ffff
        case Register.alarmLow:
            alarm = alarm & ~0xffff_ffff | value & 0xffff_ffff
            isArmed = true
            rearm()
        case Register.clearAlarm:
            isArmed = false
            timer?.cancel()
        case Register.enable:
            isEnabled = value & 1 != 0
            update()
        case Register.clearInterrupt:
            isPending = false
            update()
        default: break
        }
    }

    private func rearm() {
        guard isArmed else { return }
        if alarm <= now { fire() } else { timer?.arm(at: alarm &- offset) }
    }

    private func fire() {
        isArmed = false
        isPending = true
        update()
    }

    private func update() { interrupt.set(isPending && isEnabled) }

    public func reset() {
        alarm = 0
        isArmed = false
        isPending = false
        isEnabled = false
        timer?.cancel()
        update()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        var time = now
        try state.field("time", &time)
        try state.field("alarm", &alarm)
        try state.field("armed", &isArmed)
        try state.field("pending", &isPending)
        try state.field("enabled", &isEnabled)
        if state.isLoading {
            offset = time &- host.clock.now
            rearm()
            update()
        }
    }
}
