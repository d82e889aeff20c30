// Monitors of a machine, and the block nodes and objects that its command line describes.

import Block
import BlockMonitor
import Char
import Core
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
