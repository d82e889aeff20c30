// Buses that devices of the command line provide for others: `scsi0.0` of `virtio-scsi-pci,id=scsi0`.

import Core
import Devices

/// Buses by name, in the order they came. Used while a machine is put together.
final class ChildBuses {
    private var buses: [(name: String, bus: any ChildBus)] = []

    /// Notes the buses of a device.
    func add(of device: AnyObject, id: String, driver: String) {
        let owner = device as? any ChildBusOwner ?? (device as? VirtioPCI)?.function as? any ChildBusOwner
        for (number, bus) in (owner?.childBuses ?? []).enumerated() { buses.append(("\(id).\(number)", bus)) }
    }

    /// The bus called `name`; nil: the first of the kind.
    func find(_ name: String?, kind: String, for driver: String) throws(ConfigurationError) -> any ChildBus {
        let fitting = buses.filter { $0.bus.kind == kind }
        guard let name else {
            guard let first = fitting.first else { throw ConfigurationError("\(driver): there is no bus of kind '\(kind)'") }
            return first.bus
        }
        guard let found = buses.first(where: { $0.name == name }) else {
            throw ConfigurationError("\(driver): there is no bus '\(name)', expected one of \(fitting.map(\.name).joined(separator: ", "))")
        }
        guard found.bus.kind == kind else { throw ConfigurationError("\(driver): bus '\(name)' is of kind '\(found.bus.kind)', expected '\(kind)'") }
        return found.bus
    }
}
