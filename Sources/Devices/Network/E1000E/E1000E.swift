// Intel's 82574L gigabit Ethernet controller (data sheet 82574 GbE Controller Family, chapters 7 and 10): registers, link, and
// what a reset does. Interrupts, transmission, reception, and the PHY with the NVM are in the files beside.
//
// Left out: RSS and the second receive queue, interrupt throttling and delays (causes are told at once), time stamps of frames,
// wake-up, manageability, flash. Frames have no checksum of their own on the wire: who wants to see it gets zeros.

import Core
import Glibc
import Host

public final class E1000E: PCIFunction, PCIStateObserver {
    public static let model = DeviceModel(name: "e1000e", summary: "Intel 82574L gigabit Ethernet controller", bus: "pci", category: "network", properties: [
        Property("netdev", .reference("netdev"), "the network back end"),
        Property("mac", .mac, "the card's address"),
    ])

    public let identity = PCIIdentity(vendor: 0x8086, device: 0x10d3, classCode: 0x020000, subsystemVendor: 0x8086, subsystem: 0)
    public let windows = [
        PCIBar(0, "e1000e-mmio", size: 0x20000, .memory32, .registers(widths: 4 ... 4)), PCIBar(1, "e1000e-flash", size: 0x20000, .memory32),
        PCIBar(2, "e1000e-io", size: 32, .io, .registers(widths: 4 ... 4)), PCIBar(3, "e1000e-msix", size: 0x4000, .memory32),
    ]
    public let interrupts = PCIInterrupts(pin: 1, messages: 1, vectors: 5, vectorBar: 3, tableOffset: 0, pendingOffset: 0x2000)

    /// Offsets, by the data sheet's names.
    enum Register {
        static let control = 0x0000, status = 0x0008, eeprom = 0x0010, eepromRead = 0x0014, controlExtended = 0x0018, phy = 0x0020, vlanType = 0x0038
        static let cause = 0x00c0, causeSet = 0x00c8, mask = 0x00d0, maskClear = 0x00d8, autoClear = 0x00dc, autoMask = 0x00e0, vectors = 0x00e4
        static let receiveControl = 0x0100, transmitControl = 0x0400, managementControl = 0x1010, eepromWrite = 0x102c, splitControl = 0x2170
        static let receiveRing = 0x2800, transmitRing = 0x3800, ringStep = 0x100
        static let checksumControl = 0x5000, filterControl = 0x5008, multicast = 0x5200, addresses = 0x5400, vlans = 0x5600, semaphore = 0x5b50
        static let timeLow = 0xb600, timeHigh = 0xb604, timeIncrement = 0xb608
    }
    /// Of a ring: its registers' places behind its base.
    enum Ring { static let low = 0x00, high = 0x04, length = 0x08, head = 0x10, tail = 0x18 }
    enum Control { static let masterDisable: UInt32 = 1 << 2, reset: UInt32 = 1 << 26, vlans: UInt32 = 1 << 30, phyReset: UInt32 = 1 << 31 }
    enum Extended { static let reload: UInt32 = 1 << 13, autoMaskVectors: UInt32 = 1 << 24, autoMask: UInt32 = 1 << 27 }

    var registers = [UInt32](repeating: 0, count: 0x20000 / 4)
    var phy: PHY
    var nvm: [UInt16]
    var isLinkUp = false
    var port: PCIPort?
    let network: any NetworkPort
    /// The port's frames have right checksums.
    let isVerified: Bool
    private var ioAddress: UInt32 = 0

    // Transmission.
    static let queues = 2, largestFrame = 65536 + 18
    var transmitter = [Transmitter](repeating: Transmitter(), count: E1000E.queues)
    var frame = [UInt8](repeating: 0, count: E1000E.largestFrame)
    var scratch = [UInt8](repeating: 0, count: E1000E.largestFrame)
    /// Queues that a job of the event loop is emptying.
    var sending: Set<Int> = []
    var send: (@Sendable (Int) -> Void)?

    public init(network: any NetworkPort, mac: [UInt8]) {
        self.network = network
        isVerified = network is any VerifiedNetworkPort
        nvm = NVM.image(mac)
        phy = PHY()
        reset()
    }

    deinit { network.attach(nil) }

    public func connect(_ port: PCIPort) {
        self.port = port
        send = port.host.callback { [unowned self] (queue: Int) in transmit(queue) }
        let receive = port.host.request { [unowned self] (frame: Frame) in self.receive(frame.bytes) }
        let link = port.host.callback { [unowned self] (isUp: Bool) in setLink(isUp) }
        network.attach(NetworkHandlers(receive: { receive(Frame(bytes: $0)) ?? true }, linkChanged: link))
        isLinkUp = network.isLinkUp
    }

    /// Invariant: used during the call that brings it only.
    private struct Frame: @unchecked Sendable { let bytes: UnsafeRawBufferPointer }

    public func busMasteringChanged(_ isEnabled: Bool) {
        guard isEnabled else { return }
        for queue in 0 ..< Self.queues { kick(queue) }
        network.resume()
    }

    subscript(offset: Int) -> UInt32 {
        get { registers.indices.contains(offset >> 2) ? registers[offset >> 2] : 0 }
        set { if registers.indices.contains(offset >> 2) { registers[offset >> 2] = newValue } }
    }

    // MARK: access

    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        switch bar {
        case 0: return UInt64(load(Int(offset & ~3)))
        case 2: return offset == 0 ? UInt64(ioAddress) : offset == 4 && ioAddress < 0x20000 ? UInt64(load(Int(ioAddress & ~3))) : 0
        // No flash: what an erased one holds.
        case 1: return .max
        default: return 0
        }
    }

    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        switch bar {
        case 0: store(Int(offset & ~3), value.low)
        case 2 where offset == 0: ioAddress = value.low
        case 2 where offset == 4 && ioAddress < 0x20000: store(Int(ioAddress & ~3), value.low)
        default: break
        }
    }

    private func load(_ offset: Int) -> UInt32 {
        switch offset {
        case Register.status: return status
        case Register.cause: return readCause()
        case Register.maskClear: return self[Register.mask]
        case Register.causeSet: return self[Register.cause]
        case Register.semaphore:
            // Whoever finds it clear has it.
            let value = self[offset]
            self[offset] |= 1
            return value
        case Statistics.range:
            let value = self[offset]
            clearStatistic(offset)
            return value
        case Register.timeLow: return time.low
        case Register.timeHigh: return time.high
        default: return self[offset]
        }
    }

    /// Full duplex, link up, 1 Gb/s (asked for and found), PHY reset done, mastering allowed.
    private var status: UInt32 {
        0x0000_0681 | (isLinkUp ? 2 : 0) | (self[Register.control] & Control.masterDisable == 0 ? 1 << 19 : 0)
    }

    /// The clock of 25 MHz, by what it is to count.
    private var time: UInt64 {
        let increment = UInt64(self[Register.timeIncrement] & 0xff_ffff), period = UInt64(self[Register.timeIncrement] >> 24)
        guard period > 0, let now = port?.host.clock.now else { return 0 }
        return now / 40 / period &* increment
    }

    private func store(_ offset: Int, _ value: UInt32) {
        switch offset {
        case Register.control: writeControl(value)
        case Register.status, Statistics.range, Register.timeLow, Register.timeHigh: break
        // Presence and the end of automatic reading stay.
        case Register.eeprom: self[offset] = value & ~0x7b00 | 0x300
        case Register.eepromRead: readNVM(value)
        case Register.eepromWrite: writeNVM(value)
        case Register.controlExtended:
            self[offset] = value & ~Extended.reload & ~(1 << 31)
            if value & Extended.reload != 0 { loadAddress() }
        case Register.phy: writePHY(value)
        case Register.cause: clear(value)
        case Register.causeSet: raise(value)
        case Register.mask: setMask(self[offset] | value)
        case Register.maskClear: setMask(self[Register.mask] & ~value)
        case Register.receiveControl:
            self[offset] = value
            if value & 2 != 0 { network.resume() }
        case Register.transmitControl:
            self[offset] = value
            for queue in 0 ..< Self.queues { kick(queue) }
        case Register.receiveRing + Ring.tail, Register.receiveRing + Register.ringStep + Ring.tail:
            self[offset] = value & 0xffff
            network.resume()
        case Register.transmitRing + Ring.tail, Register.transmitRing + Register.ringStep + Ring.tail:
            self[offset] = value & 0xffff
            kick((offset - Register.transmitRing) / Register.ringStep)
        default: storeRing(offset, value)
        }
    }

    private func storeRing(_ offset: Int, _ value: UInt32) {
        let isRing = [Register.receiveRing, Register.transmitRing].contains { ($0 ..< $0 + 2 * Register.ringStep).contains(offset) }
        switch offset & 0xff {
        case Ring.low where isRing: self[offset] = value & ~15
        case Ring.length where isRing: self[offset] = value & 0xf_ff80
        case Ring.head where isRing: self[offset] = value & 0xffff
        default: self[offset] = value
        }
    }

    private func writeControl(_ value: UInt32) {
        if value & Control.reset != 0 { return resetRegisters() }
        self[Register.control] = value & ~Control.phyReset
        if value & Control.phyReset != 0 { phy = PHY() }
    }

    // MARK: link

    private func setLink(_ isUp: Bool) {
        guard isUp != isLinkUp else { return }
        isLinkUp = isUp
        raise(Cause.link)
        if isUp { network.resume() }
    }

    // MARK: life

    private func resetRegisters() {
        for index in registers.indices { registers[index] = 0 }
        self[Register.control] = 0x0018_0241
        self[Register.eeprom] = 0x300
        self[Register.managementControl] = 0x4_0000
        self[Register.vlanType] = 0x8100
        // The packet buffer: 20 KiB to receive, 20 to send; lights.
        self[0x1000] = 0x0014_0014
        self[0x0e00] = 0x0706_8302
        self[Register.checksumControl] = 0x300
        for queue in 0 ..< Self.queues { self[0x3840 + queue * Register.ringStep] = 0x403 }
        transmitter = [Transmitter](repeating: Transmitter(), count: Self.queues)
        loadAddress()
        updateInterrupt()
    }

    /// The first receive address is the NVM's.
    private func loadAddress() {
        self[Register.addresses] = UInt32(nvm[0]) | UInt32(nvm[1]) << 16
        self[Register.addresses + 4] = UInt32(nvm[2]) | 1 << 31
    }

    public func reset() {
        phy = PHY()
        ioAddress = 0
        resetRegisters()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("registers", &registers)
        try state.field("nvm", &nvm)
        try state.field("phy", &phy.registers)
        try state.field("ioAddress", &ioAddress)
        for queue in 0 ..< Self.queues { try state.part("transmitter\(queue)") { (part) throws(StateError) in try transmitter[queue].transfer(&part) } }
        guard state.isLoading else { return }
        updateInterrupt()
        busMasteringChanged(true)
    }
}
