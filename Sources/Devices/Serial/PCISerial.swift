// A 16550A serial port on PCI (QEMU's docs/specs/pci-serial): eight I/O ports and a pin.

import Core

public final class PCISerial: PCIFunction {
    public static let model = DeviceModel(name: "pci-serial", summary: "NS16550A serial port on PCI", bus: "pci", category: "input", properties: [
        Property("chardev", .reference("chardev"), "the character device"),
        Property("prog_if", .integer, "programming interface: 2 is a 16550", default: "2"),
    ])

    public let identity: PCIIdentity
    public let windows = [PCIBar(0, "serial", size: 8, .io, .registers(widths: 1 ... 1))]
    public let interrupts = PCIInterrupts(pin: 1)
    private let stream: (any CharacterStream)?
    private var serial: Serial16550?

    /// Invariant: the wire is driven under the lock of the function's slot, as all of it is.
    private struct Pin: @unchecked Sendable { weak var port: PCIPort? }

    public init(_ properties: Properties, stream: (any CharacterStream)?) throws(ConfigurationError) {
        let interface = properties.integer("prog_if") ?? 2
        guard interface <= 6 else { throw ConfigurationError("\(properties.owner): property 'prog_if' is \(interface), expected 0 to 6") }
        identity = PCIIdentity(vendor: 0x1b36, device: 0x0002, revision: 1, classCode: 0x070000 | UInt32(interface))
        self.stream = stream
    }

    public func connect(_ port: PCIPort) {
        let pin = Pin(port: port)
        let serial = Serial16550(port.host, stream: stream, interrupt: InterruptLine { pin.port?.setPin($0) })
        self.serial = serial
        serial.connect()
    }

    deinit { stream?.attach(nil) }

    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 { serial?.read(0, offset, width) ?? 0 }
    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) { serial?.write(0, offset, value, width) }
    public func reset() { serial?.reset() }
    public func transfer(_ state: inout StateTransfer) throws(StateError) { try serial?.transfer(&state) }
}
