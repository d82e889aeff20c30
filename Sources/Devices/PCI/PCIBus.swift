// Buses, the wires INTA to INTD, and bridges as the bus sees them.

import Core
import Host

/// The four interrupt wires of a host bridge, each shared by many pins.
final class PinWires: Sendable {
    private let lines: [InterruptLine]
    private let counts: Locked<[Int]>

    init(_ lines: [InterruptLine]) {
        self.lines = lines
        counts = Locked([Int](repeating: 0, count: lines.count))
    }

    /// One pin more or less holds the wire up.
    func change(_ wire: Int, by step: Int) {
        counts.withLock { counts in
            guard counts.indices.contains(wire) else { return }
            let before = counts[wire] > 0
            counts[wire] += step
            if (counts[wire] > 0) != before { lines[wire].set(!before) }
        }
    }
}

/// A function with a bus behind it.
protocol PCIBridge: PCIFunction {
    var secondary: PCIBus { get }
    /// Bus numbers that it passes on; empty: not set up.
    var busNumbers: ClosedRange<UInt8>? { get }
}

/// A bus. Guarded by the lock of its host bridge.
public final class PCIBus: @unchecked Sendable {
    /// As `-device …,bus=NAME` calls it.
    public let name: String
    /// What memory and port addresses mean on the bus.
    public let memory: Region
    public let ports: Region
    public let isRoot: Bool
    /// Slots (devices) it has: 32, or one behind a root port.
    let deviceCount: Int
    private let wires: PinWires
    /// How pins of devices here reach the host bridge's wires: what the bridges on the way add.
    private var rotation = 0
    private(set) var functions: [UInt8: DeviceSlot] = [:]

    init(name: String, isRoot: Bool, deviceCount: Int, wires: PinWires) {
        self.name = name
        self.isRoot = isRoot
        self.deviceCount = deviceCount
        self.wires = wires
        memory = Region(container: name + ".memory")
        ports = Region(container: name + ".io", size: 1 << 32)
    }

    /// The bus is behind a bridge that is itself device `device` of a bus with `rotation`.
    func hang(behind device: Int, of parent: PCIBus) { rotation = parent.rotation + device }

    /// Puts a function on the bus. - Parameter number: device number times 8 plus function number; nil: the first free device.
    func plug(_ slot: DeviceSlot, at number: UInt8?, isMultifunction: Bool, pin: UInt8) throws(ConfigurationError) -> UInt8 {
        guard let place = number ?? freePlace else { throw ConfigurationError("bus '\(name)': there is no free slot") }
        guard Int(place >> 3) < deviceCount else { throw ConfigurationError("bus '\(name)': slot \(place >> 3) does not exist, expected less than \(deviceCount)") }
        guard functions[place] == nil else {
            throw ConfigurationError("bus '\(name)': slot \(place >> 3) function \(place & 7) is in use by '\(functions[place]?.name ?? "")'")
        }
        let wire = (Int(max(1, pin)) - 1 + Int(place >> 3) + rotation) & 3
        functions[place] = slot
        slot.withDevice { device in
            guard let endpoint = device as? PCIEndpoint else { return }
            if let bridge = endpoint.function as? any PCIBridge { bridge.secondary.hang(behind: Int(place >> 3), of: self) }
            endpoint.attach(.init(bus: self, number: place, isMultifunction: isMultifunction, wires: wires, wire: wire))
        }
        return place
    }

    private var freePlace: UInt8? {
        (0 ..< UInt8(deviceCount)).first { device in !functions.keys.contains { $0 >> 3 == device } }.map { $0 << 3 }
    }

    /// Takes a function off the bus.
    func unplug(_ number: UInt8) -> DeviceSlot? {
        guard let slot = functions.removeValue(forKey: number) else { return nil }
        slot.withDevice { ($0 as? PCIEndpoint)?.detach() }
        return slot
    }

    /// The function that answers to a bus number and device number, seen from bus `own`.
    func find(_ bus: UInt8, _ number: UInt8, own: UInt8) -> DeviceSlot? {
        if bus == own { return functions[number] }
        for slot in functions.values {
            let found = slot.withDevice { device -> (PCIBus, UInt8)? in
                guard let bridge = (device as? PCIEndpoint)?.function as? any PCIBridge, let numbers = bridge.busNumbers, numbers.contains(bus) else { return nil }
                return (bridge.secondary, numbers.lowerBound)
            }
            if let (secondary, first) = found { return secondary.find(bus, number, own: first) }
        }
        return nil
    }

    /// Resets all that is on the bus and behind it.
    func resetAll() { for slot in functions.values { slot.reset() } }
}
