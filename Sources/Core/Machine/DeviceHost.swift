// All that a device can reach of the machine around it. Tests give a device one of their own.

import Host

/// The surroundings of one device.
public final class DeviceHost: @unchecked Sendable {
    /// Guest memory as this bus master sees it.
    public let memory: AddressSpace
    public let clock: MachineClock
    /// Where callbacks come from.
    public let loop: EventLoop
    private let slot = Locked<WeakSlot>(WeakSlot())

    private struct WeakSlot: Sendable { weak var slot: DeviceSlot? }

    public init(memory: AddressSpace, clock: MachineClock, loop: EventLoop) {
        self.memory = memory
        self.clock = clock
        self.loop = loop
    }

    /// Binds callbacks to the device's lock; called once by whoever makes the slot.
    public func bind(_ slot: DeviceSlot) { self.slot.withLock { $0.slot = slot } }

    /// `body` as something any thread may call: it runs under the device's lock, or not at all once the device is gone.
    public func callback<Argument: Sendable>(_ body: @escaping (Argument) -> Void) -> @Sendable (Argument) -> Void {
        let box = Unchecked(body)
        return { [slot] argument in
            guard let slot = slot.withLock({ $0.slot }) else { return }
            slot.withDevice { _ in box.value(argument) }
        }
    }

    /// The same without an argument.
    public func callback(_ body: @escaping () -> Void) -> @Sendable () -> Void {
        let box = Unchecked(body)
        return { [slot] in
            guard let slot = slot.withLock({ $0.slot }) else { return }
            slot.withDevice { _ in box.value() }
        }
    }

    /// The same, but not run at all while somebody else has the device.
    public func attempt(_ body: @escaping () -> Void) -> @Sendable () -> Void {
        let box = Unchecked(body)
        return { [slot] in
            guard let slot = slot.withLock({ $0.slot }) else { return }
            _ = slot.withDeviceIfFree { _ in box.value() }
        }
    }

    /// The same with a result; nil: the device is gone.
    public func request<Result>(_ body: @escaping () -> Result) -> @Sendable () -> Result? {
        let box = Unchecked(body)
        return { [weak self] in
            guard let slot = self?.slot.withLock({ $0.slot }) else { return nil }
            return slot.withDevice { _ in box.value() }
        }
    }

    /// The same with an argument and a result.
    public func request<Argument: Sendable, Result>(_ body: @escaping (Argument) -> Result) -> @Sendable (Argument) -> Result? {
        let box = Unchecked(body)
        return { [weak self] argument in
            guard let slot = self?.slot.withLock({ $0.slot }) else { return nil }
            return slot.withDevice { _ in box.value(argument) }
        }
    }

    /// A timer in the machine's virtual time.
    public func timer(_ body: @escaping () -> Void) -> MachineTimer { clock.timer(callback(body)) }
}

/// Invariant: the value is only used under the device's lock.
private struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
