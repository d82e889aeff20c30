// pvpanic on PCI (QEMU's docs/specs/pvpanic): a register by which a kernel says that it has panicked, before nothing works any
// more, or that it shuts down.

import Core

public final class GuestPanic: PCIFunction {
    public static let model = DeviceModel(name: "pvpanic-pci", summary: "tells of panics of the guest's kernel", bus: "pci", category: "misc", properties: [
        Property("events", .integer, "what it takes: 1 panics, 2 crash kernels, 4 shutdowns", default: "7"),
    ])
    private enum Event { static let panicked: UInt8 = 1, crashLoaded: UInt8 = 2, shutdown: UInt8 = 4, all: UInt8 = 7 }

    public let identity = PCIIdentity(vendor: 0x1b36, device: 0x0011, revision: 1, classCode: 0x088000)
    public let windows = [PCIBar(0, "pvpanic", size: 16, .memory32, .registers(widths: 1 ... 1))]
    public let interrupts = PCIInterrupts(pin: 0)
    private let events: UInt8
    private let requests: MachineRequests

    public init(_ properties: Properties, requests: MachineRequests) throws(ConfigurationError) {
        let value = properties.integer("events") ?? 7
        guard value <= UInt64(Event.all) else { throw ConfigurationError("\(properties.owner): property 'events' is \(value), expected 0 to 7") }
        events = UInt8(value)
        self.requests = requests
    }

    public func connect(_ port: PCIPort) {}
    /// What it takes.
    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 { offset == 0 ? UInt64(events) : 0 }

    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        guard offset == 0 else { return }
        let told = UInt8(truncatingIfNeeded: value) & events
        // A panic outweighs what else is told with it.
        if told & Event.panicked != 0 {
            requests.post(.panicked(crashLoaded: false))
        } else if told & Event.crashLoaded != 0 {
            requests.post(.panicked(crashLoaded: true))
        } else if told & Event.shutdown != 0 {
            requests.post(.guestShutDown)
        }
    }

    public func reset() {}
    public func transfer(_ state: inout StateTransfer) throws(StateError) {}
}
