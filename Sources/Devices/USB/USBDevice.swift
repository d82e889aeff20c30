// A device in a port: its address and configuration, and the standard requests of the control endpoint (USB 2.0 section 9.4,
// USB 3.0 section 9.4). What it is good for is its `USBFunction`'s.

import Core
import Host

/// The eight bytes that a control transfer begins with.
public struct USBSetup: Sendable, Equatable {
    public var requestType: UInt8
    public var request: UInt8
    public var value: UInt16
    public var index: UInt16
    public var length: UInt16

    /// From the bytes as they lie in memory, little-endian.
    init(_ bytes: UInt64) {
        requestType = UInt8(truncatingIfNeeded: bytes)
        request = UInt8(truncatingIfNeeded: bytes >> 8)
        value = UInt16(truncatingIfNeeded: bytes >> 16)
        index = UInt16(truncatingIfNeeded: bytes >> 32)
        length = UInt16(truncatingIfNeeded: bytes >> 48)
    }
    var isIn: Bool { requestType & 0x80 != 0 }
}

/// What a kind of device implements. All methods run under the lock of the bus's controller.
public protocol USBFunction: AnyObject {
    /// As monitors call it.
    var productName: String { get }
    /// Speeds it can have.
    var speeds: [USBSpeed] { get }
    func description(serial: (_ prefix: String) -> String) -> USBDescription
    func endpoints(_ speed: USBSpeed) -> [USBEndpoint]
    /// Called once, when the device is in its port.
    func connect(_ device: USBDevice)
    /// It is out of its port.
    func disconnect()
    /// The configuration was chosen (again): its endpoints begin anew.
    func configured(_ isOn: Bool)
    /// A request that is not a standard one of the device: class, vendor, descriptors of the interface. `data` is what the host
    /// sent. - Returns: what the host gets; nil: stall.
    func control(_ setup: USBSetup, _ data: [UInt8]) -> [UInt8]?
    /// A transfer over an endpoint of `endpoints`.
    func transfer(_ endpoint: UInt8, _ data: GuestPieces) -> USBResult
    /// Waits for what is pending, and completes it.
    func settle()
    /// Waits for what is pending, and forgets it.
    func abandon()
    func reset()
    func transfer(_ state: inout StateTransfer) throws(StateError)
}

public final class USBDevice {
    let function: any USBFunction
    let bus: USBBus
    let port: Int
    let speed: USBSpeed
    let name: String
    let hasIdentifier: Bool
    /// 0: none yet.
    var address: UInt8 = 0
    private(set) var configuration: UInt8 = 0
    private var halted: Set<UInt8> = []
    private var wakesHost = false
    private lazy var description = function.description { "\($0)-\(bus.path())-\(port)" }
    private let endpoints: [USBEndpoint]

    init(_ function: any USBFunction, bus: USBBus, port: Int, speed: USBSpeed, name: String, hasIdentifier: Bool) {
        self.function = function
        self.bus = bus
        self.port = port
        self.speed = speed
        self.name = name
        self.hasIdentifier = hasIdentifier
        endpoints = function.endpoints(speed)
    }

    // MARK: for functions

    var host: DeviceHost? { bus.host }
    var isConfigured: Bool { configuration != 0 }
    func wake(_ endpoint: UInt8) { bus.controller?.wake(self, endpoint) }
    func complete(_ endpoint: UInt8, _ result: USBResult) { bus.controller?.complete(self, endpoint, result) }

    // MARK: for controllers

    /// A transfer over an endpoint that is not the control endpoint.
    func transfer(_ endpoint: UInt8, _ data: GuestPieces) -> USBResult {
        guard isConfigured, endpoints.contains(where: { $0.address == endpoint }) else { return .failed }
        return halted.contains(endpoint) ? .stall : function.transfer(endpoint, data)
    }

    /// A control transfer; `data` is the memory of its data stage.
    func control(_ setup: USBSetup, _ data: GuestPieces) -> USBResult {
        let room = min(Int(setup.length), data.count)
        let sent = setup.isIn ? [] : data.bytes(0, room)
        guard let answer = answer(setup, sent) else { return .stall }
        guard setup.isIn else { return .done(room) }
        return .done(data.fill(0, bytes: Array(answer.prefix(room))))
    }

    func settle() { function.settle() }
    func abandon() { function.abandon() }

    /// The port was reset.
    func reset() {
        function.abandon()
        address = 0
        leaveConfiguration()
        wakesHost = false
        function.reset()
    }

    private func leaveConfiguration() {
        halted = []
        guard configuration != 0 else { return }
        configuration = 0
        function.configured(false)
    }

    // MARK: standard requests

    private enum Request {
        static let getStatus: UInt8 = 0, clearFeature: UInt8 = 1, setFeature: UInt8 = 3, setAddress: UInt8 = 5, getDescriptor: UInt8 = 6
        static let getConfiguration: UInt8 = 8, setConfiguration: UInt8 = 9, getInterface: UInt8 = 10, setInterface: UInt8 = 11
        static let setExitLatencies: UInt8 = 48, setIsochronousDelay: UInt8 = 49
    }

    private func answer(_ setup: USBSetup, _ data: [UInt8]) -> [UInt8]? {
        guard setup.requestType & 0x60 == 0 else { return function.control(setup, data) }
        switch (setup.requestType & 0x9f, setup.request) {
        case (0x80, Request.getDescriptor): return descriptor(setup)
        case (0x80, Request.getStatus): return [(description.attributes & 0x40 != 0 ? 1 : 0) | (wakesHost ? 2 : 0), 0]
        case (0x80, Request.getConfiguration): return [configuration]
        case (0, Request.setConfiguration): return configure(setup.value)
        // A controller of xHCI's kind gives the address itself.
        case (0, Request.setAddress): return nil
        case (0, Request.clearFeature), (0, Request.setFeature): return feature(setup)
        case (0, Request.setExitLatencies), (0, Request.setIsochronousDelay): return speed == .superSpeed ? [] : nil
        case (0x81, Request.getStatus): return isConfigured ? [0, 0] : nil
        case (0x81, Request.getInterface): return isConfigured && setup.index == 0 ? [0] : nil
        case (1, Request.setInterface):
            guard isConfigured, setup.index == 0, setup.value == 0 else { return nil }
            halted = []
            return []
        // Suspending a function, at super speed.
        case (1, Request.setFeature), (1, Request.clearFeature): return speed == .superSpeed && setup.value == 0 ? [] : nil
        case (0x82, Request.getStatus): return hasEndpoint(setup.index) ? [halted.contains(UInt8(truncatingIfNeeded: setup.index)) ? 1 : 0, 0] : nil
        case (2, Request.clearFeature), (2, Request.setFeature): return haltFeature(setup)
        default: return function.control(setup, data)
        }
    }

    private func hasEndpoint(_ index: UInt16) -> Bool { index & 0x7f == 0 || isConfigured && endpoints.contains { UInt16($0.address) == index } }

    private func descriptor(_ setup: USBSetup) -> [UInt8]? {
        let number = UInt8(truncatingIfNeeded: setup.value), other: USBSpeed = speed == .high ? .full : .high
        let hasOther = speed != .superSpeed && function.speeds.contains(other)
        switch setup.value >> 8 {
        case 1 where number == 0: return description.device(speed)
        case 2 where number == 0: return description.configuration(speed, endpoints)
        case 3: return description.string(number)
        case 6 where hasOther: return description.qualifier(other)
        case 7 where hasOther: return description.configuration(other, function.endpoints(other), type: 7)
        case 15 where speed == .superSpeed: return USBDescription.objectStore
        default: return nil
        }
    }

    private func configure(_ value: UInt16) -> [UInt8]? {
        guard value <= 1 else { return nil }
        function.abandon()
        leaveConfiguration()
        guard value == 1 else { return [] }
        configuration = 1
        function.configured(true)
        return []
    }

    private func feature(_ setup: USBSetup) -> [UInt8]? {
        switch setup.value {
        case 1 where description.attributes & 0x20 != 0: wakesHost = setup.request == Request.setFeature
        // U1, U2 and latency tolerance of super speed links: nothing follows from them.
        case 48, 49, 50: guard speed == .superSpeed else { return nil }
        default: return nil
        }
        return []
    }

    private func haltFeature(_ setup: USBSetup) -> [UInt8]? {
        guard setup.value == 0, hasEndpoint(setup.index) else { return nil }
        let endpoint = UInt8(truncatingIfNeeded: setup.index)
        if setup.request == Request.setFeature, endpoint & 0x7f != 0 { halted.insert(endpoint) } else { halted.remove(endpoint) }
        return []
    }

    // MARK: state

    func transfer(_ state: inout StateTransfer) throws(StateError) {
        var stopped = halted.sorted()
        try state.field("address", &address)
        try state.field("configuration", &configuration)
        try state.field("wakes", &wakesHost)
        try state.field("halted", &stopped, maximum: 31)
        if state.isLoading {
            guard configuration <= 1 else { throw .badValue("configuration") }
            halted = Set(stopped)
            function.configured(isConfigured)
        }
        try state.part("function") { (part) throws(StateError) in try function.transfer(&part) }
    }
}
