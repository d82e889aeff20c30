// The root hub's ports (xHCI 1.0 sections 4.15, 4.19 and 5.4.8): devices come and go, ports are reset, links suspended.

import Core

/// PORTSC, and the power management register beside it.
struct PortRegister {
    enum Bit {
        static let connected: UInt32 = 1, enabled: UInt32 = 2, reset: UInt32 = 0x10, power: UInt32 = 0x200, linkWrite: UInt32 = 0x10000
        static let connectChange: UInt32 = 1 << 17, warmChange: UInt32 = 1 << 19, resetChange: UInt32 = 1 << 21, linkChange: UInt32 = 1 << 22
        static let changes: UInt32 = 0x00fe_0000, wake: UInt32 = 0x0e00_0000, warmReset: UInt32 = 1 << 31
    }
    enum Link { static let active: UInt32 = 0, suspended: UInt32 = 3, detecting: UInt32 = 5, polling: UInt32 = 7, resuming: UInt32 = 15 }

    let isFast: Bool
    var value: UInt32 = Bit.power | Link.detecting << 5

    init(isFast: Bool) { self.isFast = isFast }

    var link: UInt32 {
        get { value >> 5 & 15 }
        set { value = value & ~0x1e0 | (newValue & 15) << 5 }
    }
    var isEnabled: Bool { value & Bit.enabled != 0 }
}

extension XHCIController {
    /// The register of a device's port.
    private func register(_ device: USBDevice) -> Int { device.port - 1 + (device.speed == .superSpeed ? bus.slowPorts : 0) }

    /// The device behind port register `index`.
    func device(behind index: Int) -> USBDevice? {
        let isFast = index >= bus.slowPorts
        guard let device = bus.devices[index + 1 - (isFast ? bus.slowPorts : 0)], (device.speed == .superSpeed) == isFast else { return nil }
        return device
    }

    func readPort(_ index: Int, _ offset: UInt64) -> UInt32 { offset == 0 ? ports[index].value : 0 }

    func writePort(_ index: Int, _ offset: UInt64, _ value: UInt32) {
        typealias Bit = PortRegister.Bit
        guard offset == 0 else { return }
        ports[index].value &= ~(value & Bit.changes)
        ports[index].value = ports[index].value & ~Bit.wake | value & Bit.wake
        if value & (ports[index].isFast ? Bit.reset | Bit.warmReset : Bit.reset) != 0 { return resetPort(index, isWarm: value & Bit.warmReset != 0) }
        if value & Bit.enabled != 0, ports[index].isEnabled {
            ports[index].value &= ~Bit.enabled
            if !ports[index].isFast { ports[index].link = PortRegister.Link.polling }
        }
        if value & Bit.linkWrite != 0 { changeLink(index, value >> 5 & 15) }
    }

    /// The driver suspends a link or has it resume.
    private func changeLink(_ index: Int, _ wanted: UInt32) {
        typealias Link = PortRegister.Link
        guard ports[index].isEnabled else { return }
        switch (ports[index].link, wanted) {
        case (Link.active, Link.suspended): ports[index].link = Link.suspended
        case (Link.suspended, Link.resuming) where !ports[index].isFast: ports[index].link = Link.resuming
        case (Link.suspended, Link.active), (Link.resuming, Link.active):
            ports[index].link = Link.active
            notify(index, PortRegister.Bit.linkChange)
        default: break
        }
    }

    private func resetPort(_ index: Int, isWarm: Bool) {
        typealias Bit = PortRegister.Bit
        guard let device = device(behind: index) else { return }
        dropTransfers(of: device)
        device.reset()
        ports[index].value |= Bit.enabled
        ports[index].link = PortRegister.Link.active
        notify(index, Bit.resetChange | (isWarm ? Bit.warmChange : 0))
    }

    /// Transfers that have begun are forgotten: the driver gives them again.
    private func dropTransfers(of device: USBDevice) {
        for slot in slots.values where slot.port == device.port { for endpoint in slot.endpoints.values { endpoint.drop() } }
    }

    /// Something of a port has changed.
    private func notify(_ index: Int, _ changes: UInt32) {
        guard ports[index].value & changes != changes else { return }
        ports[index].value |= changes
        status |= Status.portChange
        tell(index)
    }

    private func tell(_ index: Int) {
        guard isRunning else { return }
        postEvent(0, TransferRequest(parameter: UInt64(index + 1) << 24, status: XHCICode.success << 24, control: UInt32(TransferRequest.Kind.portEvent) << 10))
    }

    private func fill(_ index: Int, _ device: USBDevice) {
        typealias Bit = PortRegister.Bit
        let kept = ports[index].value & (Bit.changes | Bit.wake)
        // A super speed link comes up by itself, others wait for a reset.
        ports[index].value = kept | Bit.power | Bit.connected | UInt32(device.speed.rawValue) << 10 | (device.speed == .superSpeed ? Bit.enabled : PortRegister.Link.polling << 5)
    }

    func attached(_ device: USBDevice) {
        let index = register(device)
        guard ports.indices.contains(index) else { return }
        fill(index, device)
        notify(index, PortRegister.Bit.connectChange)
        work()
    }

    func detached(_ device: USBDevice) {
        let index = register(device)
        guard ports.indices.contains(index) else { return }
        for (number, slot) in slots where slot.port == device.port {
            slot.port = 0
            for (place, endpoint) in slot.endpoints {
                guard let transfer = endpoint.active else { continue }
                endpoint.isPending = false
                finish(number, place, endpoint, transfer, .failed)
            }
        }
        ports[index].value = ports[index].value & (PortRegister.Bit.changes | PortRegister.Bit.wake) | PortRegister.Bit.power
        ports[index].link = PortRegister.Link.detecting
        notify(index, PortRegister.Bit.connectChange)
    }

    /// The controller was reset: devices come anew.
    func resetPorts() {
        for index in ports.indices { ports[index] = PortRegister(isFast: ports[index].isFast) }
        for device in bus.devices.values where ports.indices.contains(register(device)) {
            fill(register(device), device)
            ports[register(device)].value |= PortRegister.Bit.connectChange
        }
    }

    /// The controller runs from now on: what has changed before is told.
    func portsStart() {
        for index in ports.indices where ports[index].value & PortRegister.Bit.changes != 0 {
            status |= Status.portChange
            tell(index)
        }
    }
}
