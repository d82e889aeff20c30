// Buses that devices of the command line provide for others: `scsi0.0` of `virtio-scsi-pci,id=scsi0`.

import Core
import Devices
import Host

/// Buses by name, in the order they came.
final class ChildBuses: Sendable {
    /// Invariant: a bus is touched under its device's lock, or before the machine runs.
    private struct Named: @unchecked Sendable {
        var name: String
        var bus: any ChildBus
        /// The device that it hangs from.
        var owner: DeviceSlot
    }
    private let all = Locked<[Named]>([])

    /// Notes the buses of a device. As in QEMU, those of a device without an identifier are called by their kind and a number.
    func add(of device: AnyObject, id: String?, slot: DeviceSlot) {
        let owner = device as? any ChildBusOwner ?? (device as? VirtioPCI)?.function as? any ChildBusOwner
        for (number, bus) in (owner?.childBuses ?? []).enumerated() {
            all.withLock { all in
                let kind = bus.kind.lowercased()
                let name = id.map { "\($0).\(number)" } ?? (0 ... all.count).lazy.map { "\(kind).\($0)" }.first { name in !all.contains { $0.name == name } } ?? kind
                all.append(Named(name: name, bus: bus, owner: slot))
            }
        }
    }

    /// A device has left with its buses.
    func remove(of slot: DeviceSlot) { all.withLock { $0.removeAll { $0.owner === slot } } }

    /// All buses of a kind.
    func all(_ kind: String) -> [any ChildBus] { all.withLock { $0 }.filter { $0.bus.kind == kind }.map(\.bus) }

    /// The bus called `name`, with its name and the device it hangs from; nil: the newest of the kind that has room, as in QEMU.
    func find(_ name: String?, kind: String, for driver: String) throws(ConfigurationError) -> (name: String, bus: any ChildBus, owner: DeviceSlot) {
        let buses = all.withLock { $0 }
        let fitting = buses.filter { $0.bus.kind == kind }
        guard let name else {
            guard let last = fitting.last(where: { !$0.bus.isFull }) else {
                throw ConfigurationError("\(driver): there is no bus of kind '\(kind)'" + (fitting.isEmpty ? "" : " with room"))
            }
            return (last.name, last.bus, last.owner)
        }
        guard let found = buses.first(where: { $0.name == name }) else {
            throw ConfigurationError("\(driver): there is no bus '\(name)', expected one of \(fitting.map(\.name).joined(separator: ", "))")
        }
        guard found.bus.kind == kind else { throw ConfigurationError("\(driver): bus '\(name)' is of kind '\(found.bus.kind)', expected '\(kind)'") }
        return (found.name, found.bus, found.owner)
    }
}
