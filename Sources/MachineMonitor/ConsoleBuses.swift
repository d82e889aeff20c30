// Where `-device virtconsole` and `-device virtserialport` go: the virtio-serial devices of a machine.

import Core
import Devices
import Host

final class ConsoleBuses: Sendable {
    /// Invariant: the device is touched under its lock only.
    private struct Bus: @unchecked Sendable {
        var name: String
        var device: VirtioConsole
        var host: DeviceHost
    }
    private let buses = Locked<[Bus]>([])

    func add(_ id: String, _ device: VirtioConsole, _ host: DeviceHost) { buses.withLock { $0.append(Bus(name: id, device: device, host: host)) } }

    /// Adds a port to the bus of that name (`ID.0` as QEMU has it, or `ID`), or to the last one.
    func addPort(_ properties: Properties, bus name: String?, isConsole: Bool, find: (String) -> (any CharacterStream)?) throws(ConfigurationError) {
        let all = buses.withLock { $0 }
        guard let bus = name.map({ name in all.first { $0.name == name || $0.name + ".0" == name } }) ?? all.last else {
            throw ConfigurationError("\(properties.owner): " + (name.map { "there is no bus '\($0)'" } ?? "there is no virtio-serial device in front of it"))
        }
        var stream: (any CharacterStream)?
        if let id = properties.text("chardev") {
            guard let found = find(id) else { throw ConfigurationError("\(properties.owner): property 'chardev': there is no chardev '\(id)'") }
            stream = found
        }
        let failure = bus.host.request { () -> ConfigurationError? in
            do throws(ConfigurationError) {
                try bus.device.addPort(properties, isConsole: isConsole, stream: stream)
                return nil
            } catch { return error }
        }()
        if let failure, let failure { throw failure }
    }
}
