// A USB bus: the ports of a controller's root hub, and what is plugged into them. A port takes a device at the fastest speed
// that both have; hubs are left out, so a bus has as many places as its controller has ports.

import Core
import Host

/// Speeds, by the numbers that xHCI's port registers give them (xHCI 1.0 section 5.4.8).
public enum USBSpeed: UInt8, Sendable, CaseIterable {
    case full = 1, low = 2, high = 3, superSpeed = 4

    /// As monitors print it.
    public var megabits: String {
        switch self {
        case .low: "1.5"
        case .full: "12"
        case .high: "480"
        case .superSpeed: "5000"
        }
    }
}

/// How a transfer to an endpoint went.
public enum USBResult: Sendable, Equatable {
    /// Bytes that went over the bus; fewer than there was room for end the transfer as a short packet does.
    case done(Int)
    /// The device has nothing to say yet: it wakes its endpoint once it has.
    case nak
    /// `USBDevice.complete` will tell.
    case pending
    case stall
    /// Nobody answers: there is no such endpoint.
    case failed
}

/// What a bus needs of its controller. All methods run under the controller's lock.
protocol USBController: AnyObject {
    /// A device has come into a port, counted from 1, or has left it.
    func attached(_ device: USBDevice)
    func detached(_ device: USBDevice)
    /// An endpoint (its address with the direction bit) that answered NAK may have something now.
    func wake(_ device: USBDevice, _ endpoint: UInt8)
    /// A transfer that was pending is over.
    func complete(_ device: USBDevice, _ endpoint: UInt8, _ result: USBResult)
}

/// What monitors show of a device on a bus.
public struct USBDeviceInfo: Sendable {
    public var name: String
    public var hasIdentifier: Bool
    public var address: UInt8
    public var port: Int
    public var speed: USBSpeed
    public var product: String
}

/// Invariant: devices are touched under the controller's lock only; what it is made with never changes.
public final class USBBus: ChildBus, @unchecked Sendable {
    public static let placeProperties = [Property("port", .text, "port of the bus, from 1; the standard is the first free one")]

    public let kind = "usb-bus"
    public let isHotPluggable = true
    /// Ports that take devices of speeds up to high, and those that take super speed: both begin with port 1.
    let slowPorts: Int
    let fastPorts: Int
    weak var controller: (any USBController)?
    /// Whose lock guards the bus; set when the controller is connected, before anything else is called.
    var host: DeviceHost?
    /// The controller's place, for serial numbers.
    var path: () -> String = { "" }
    private(set) var devices: [Int: USBDevice] = [:]

    init(slowPorts: Int, fastPorts: Int) {
        self.slowPorts = slowPorts
        self.fastPorts = fastPorts
    }

    var ports: Int { max(slowPorts, fastPorts) }

    private func speed(_ port: Int, _ able: [USBSpeed]) -> USBSpeed? {
        able.filter { $0 == .superSpeed ? port <= fastPorts : port <= slowPorts }.max { $0.rawValue < $1.rawValue }
    }

    /// Plugs a device in. Called without locks, from any thread.
    public func attach(_ function: any USBFunction, _ properties: Properties, id: String, hasIdentifier: Bool, disks: [BlockDevice] = []) throws(ConfigurationError) -> AttachedChild {
        let wanted = properties.text("port"), owner = properties.owner
        guard let host else { throw ConfigurationError("\(owner): the bus is not there yet") }
        let answer = host.request { [self] () -> Result<Int, ConfigurationError> in
            do throws(ConfigurationError) { return .success(try place(function, wanted, owner, id, hasIdentifier)) } catch { return .failure(error) }
        }()
        guard let answer else { throw ConfigurationError("\(owner): the bus is gone") }
        let port = try answer.get()
        return AttachedChild(disks: disks, detach: host.callback { [weak self] in self?.remove(port) })
    }

    private func place(_ function: any USBFunction, _ wanted: String?, _ owner: String, _ id: String, _ hasIdentifier: Bool) throws(ConfigurationError) -> Int {
        let able = function.speeds
        var port: Int?
        if let wanted {
            guard let number = Int(wanted), (1 ... ports).contains(number), devices[number] == nil else {
                throw ConfigurationError("\(owner): usb port \(wanted) not found (in use?)")
            }
            port = number
        } else {
            port = (1 ... ports).first { devices[$0] == nil && speed($0, able) != nil }
        }
        guard let port else { throw ConfigurationError("\(owner): the USB bus has no free port") }
        guard let speed = speed(port, able) else { throw ConfigurationError("\(owner): usb port \(port) is too slow or too fast for the device") }
        let device = USBDevice(function, bus: self, port: port, speed: speed, name: id, hasIdentifier: hasIdentifier)
        devices[port] = device
        function.connect(device)
        controller?.attached(device)
        return port
    }

    private func remove(_ port: Int) {
        guard let device = devices.removeValue(forKey: port) else { return }
        device.abandon()
        controller?.detached(device)
        device.function.disconnect()
    }

    /// Under the controller's lock.
    public var contents: [USBDeviceInfo] {
        devices.sorted { $0.key < $1.key }.map { port, device in
            USBDeviceInfo(name: device.name, hasIdentifier: device.hasIdentifier, address: device.address, port: port, speed: device.speed, product: device.function.productName)
        }
    }

    /// The same from any thread, without locks.
    public func list() -> [USBDeviceInfo] { host?.request { [self] in contents }() ?? [] }
}
