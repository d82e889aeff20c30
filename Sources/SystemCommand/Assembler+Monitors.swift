// Monitors of a machine, and the block nodes and objects that its command line describes.

import Block
import BlockMonitor
import Char
import Core
import Devices
import Host
import MachineMonitor

extension MachineAssembler {
    /// `-object`, then `-blockdev`.
    func addNodes(_ graph: BlockGraph, _ blocks: BlockService) throws(ConfigurationError) {
        for object in configuration.control.objects {
            do throws(BlockError) { try graph.add(object: object) } catch { throw ConfigurationError("-object \(object): \(error)") }
        }
        for node in configuration.control.nodes {
            do throws(BlockError) { try blocks.addNode(node) } catch { throw ConfigurationError("-blockdev \(node["node-name"]?.string ?? ""): \(error)") }
        }
    }

    /// The memory that a person has made for the machine; nil: the machine makes its own.
    func machineMemory(_ graph: BlockGraph) throws(ConfigurationError) -> MemoryBackend? {
        let id: String
        if let given = configuration.memoryBackend {
            guard configuration.memoryPath == nil else { throw ConfigurationError("-mem-path: memory-backend names the machine's memory already") }
            id = given
        } else {
            guard configuration.memoryPath != nil || configuration.preallocatesMemory else { return nil }
            // As if there were an object of the name that the memory has by itself.
            id = "riscv_virt_board.ram"
            let path = configuration.memoryPath.map { [JSONValue.Member("mem-path", .text($0))] } ?? []
            let object = JSONValue.object([.init("qom-type", .text(path.isEmpty ? "memory-backend-ram" : "memory-backend-file")), .init("id", .text(id)),
                                           .init("size", .number(configuration.memory)), .init("prealloc", .flag(configuration.preallocatesMemory))] + path)
            do throws(BlockError) { try graph.add(object: object) } catch { throw ConfigurationError("-mem-path: \(error)") }
        }
        guard let backend = graph.object(id) as? MemoryBackend else { throw ConfigurationError("-machine: memory-backend: there is no memory '\(id)'") }
        guard !configuration.hasMemorySize || backend.memory.size == configuration.memory else {
            throw ConfigurationError("-machine: memory-backend '\(id)' has \(backend.memory.size) bytes, expected the \(configuration.memory) of -m")
        }
        memoryUse.withLock { $0 = backend.use() }
        return backend
    }

    func startMonitors(_ monitor: MachineMonitor, _ streams: inout StreamMaker) throws(ConfigurationError) {
        let control = configuration.control
        for (number, place) in control.monitors.enumerated() {
            guard let stream = try streams.serial(place.device) else { continue }
            if !place.device.hasPrefix("chardev:") { streams.table.add("compat_monitor\(number)", stream, isUsed: true) }
            monitor.serve(stream, isHuman: place.isHuman, isPretty: place.isPretty)
        }
        // The console's escape keys lead to a monitor.
        let isShared = configuration.serials.contains { $0.hasPrefix("mon:") } || configuration.isNographic && !configuration.hasNoDefaults
        if isShared, !control.hasNoHuman, !control.monitors.contains(where: \.isHuman), let console = streams.console {
            monitor.serve(console.addPort(), isHuman: true, isPretty: false)
        }
    }
}
