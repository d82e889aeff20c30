// Puts a machine together from its configuration.

import Block
import BlockMonitor
import Char
import Core
import Devices
import Display
import Glibc
import Host
import MachineDebugger
import MachineMonitor
import Machines
import Monitor
import Net
import RISCV
import Translated
import Translation

/// Makes an engine for machines; the name is a person's choice, nil the best there is.
public typealias MakeMachineEngine = @Sendable (_ name: String?, _ guest: any SystemGuest, _ options: EngineOptions) throws(ConfigurationError) -> any Engine

/// Makes what steps vCPUs of any engine for a debugger.
public typealias MakeMachineStepper = @Sendable (any SystemGuest) -> any SingleStepper

struct MachineAssembler {
    let configuration: Configuration
    let xlen: XLEN
    let blockDrivers: Catalogue
    let makeEngine: MakeMachineEngine
    let makeStepper: MakeMachineStepper
    let displays = DisplaySet()
    /// The machine's claim to an object with its memory.
    let memoryUse = Locked<UseCount.Use?>(nil)

    private final class Late: Sendable { let machine = Locked<RunningMachine?>(nil) }

    func assemble() throws(ConfigurationError) -> RunningMachine {
        guard let kind = MachineKind.find(configuration.machine) else {
            throw ConfigurationError("-machine: '\(configuration.machine)' is not supported, expected one of \(MachineKind.all.map(\.name).joined(separator: ", ")) (-machine help)")
        }
        guard kind.name == "virt" || configuration.interrupts == .plic else { throw ConfigurationError("-machine: \(kind.name) has no property 'aia'") }
        // The empty machine has no processors.
        let processorCount = kind.name == "none" ? 0 : configuration.processors
        guard let loop = EventLoop(name: "main") else { throw ConfigurationError("the host has no descriptors or threads left") }
        let late = Late()
        let parts = BoardParts(loop: loop, requests: MachineRequests { request in late.machine.withLock { $0 }?.control.take(request) })
        let guest: RISCVMachineGuest
        do throws(CPUModelError) { guest = try RISCVMachineGuest(parsing: configuration.cpu ?? (xlen == .rv32 ? "rv32" : "rv64"), xlen: xlen, guestFiles: configuration.interrupts.guestFiles) } catch {
            throw ConfigurationError("-cpu: \(error.description)")
        }
        var engineOptions = EngineOptions()
        engineOptions.isMachine = true
        if let size = configuration.codeCacheBytes { engineOptions.codeCacheBytes = size }
        let log = try MachineLog(configuration.logItems, file: configuration.logFile)
        engineOptions.log = log.translation
        let debugging = configuration.debugger.map { _ in MachineDebugTools() }
        let engine = try makeEngine(configuration.engine, debugging?.instrument(guest) ?? guest, engineOptions)
        let processors = ProcessorSet(engine: engine, guest: guest, memory: parts.memory, count: processorCount, isThreaded: configuration.isThreaded)

        let graph = BlockGraph(blockDrivers.with(MachineObjects.all)), monitor = Monitor()
        let blocks = BlockService(graph, monitor)
        try addNodes(graph, blocks)
        let characters = CharacterTable()
        var streams = StreamMaker(loop: loop, actions: MultiplexerActions(quit: { late.machine.withLock { $0 }?.control.shutDown(.hostUI) }), table: characters)
        for (id, settings) in configuration.characters { try streams.add(id, settings) }
        let memory = try machineMemory(graph)
        var options = BoardOptions(processors: configuration.processors, memory: memory?.memory.size ?? configuration.memory)
        options.memoryBacking = memory?.memory
        options.hasACPI = configuration.hasACPI
        options.serials = try serials(&streams)
        let drives = DriveSet(graph, blocks, isSnapshot: configuration.control.isSnapshot)
        options.flashes = try flashes(graph, drives)
        options.interrupts = configuration.interrupts
        options.realTimeStart = configuration.control.realTimeStart.map { $0 &* 1_000_000_000 }
        let harts = Locked<[Hart]>([])
        let board = try makeBoard(kind, parts, options, guest.description, (0 ..< processorCount).map { wires(of: $0, harts) })
        try configuration.memoryUse.apply(to: board.mainMemory)
        for number in 0 ..< processorCount {
            let processor = processors[number]
            let hart = guest.makeHart(processor.vcpu, number: number, timebase: board.timebase, log: log.translation) { processor.requestInterrupt() }
            if let files = (board as? Virt)?.interruptFiles(ofHart: number) {
                hart.interruptFiles = HartInterruptFiles(machine: files.machine, supervisor: files.supervisor, guests: files.guests)
            }
            harts.withLock { $0.append(hart) }
        }
        for (index, drive) in configuration.drives.enumerated() where drive.interface != "pflash" { try drives.add(drive, id: drive.name(index)) }
        let network = NetworkSet(loop: loop, makeStream: { [streams] (text) throws(ConfigurationError) in try streams.service(text) })
        let cards = try configuration.network.build(network, models: DeviceCatalogue.cards)
        // QEMU gives the first address away to a network that nothing is connected to.
        if configuration.network.isEmpty, !configuration.hasNoDefaults { _ = network.nextMAC() }
        let shares = try configuration.shares.open(), leftovers = Locked<[String]>([])
        let devices = deviceTable(board, parts, graph, blocks, network, streams.table, shares, leftovers)
        drives.watchFailures(devices, parts.requests, parts.gate)
        for global in configuration.control.globals where !DeviceTable.isKnown(type: global.driver) {
            complain("warning: global \(global.driver).\(global.property) has invalid class name")
        }
        for global in configuration.control.globals { try devices.setGlobal(global.driver, global.property, global.value) }
        try plugDevices(devices, cards)
        let servers = try DisplayOptions.start(configuration.displays, displays, graph)
        let boot = configuration.boot, order = try devices.bootOrder(boot.order ?? "", isStrict: boot.isStrict)
        if let firmware = board.firmware {
            try firmware.add(configuration, order: try devices.bootOrder(boot.once ?? boot.order ?? "", isStrict: boot.isStrict))
            if boot.once != nil { firmware.replaceAtReset(file: "bootorder", order) }
        } else if let file = configuration.firmwareFiles.first {
            throw ConfigurationError("-fw_cfg: '\(file.name)': machine \(kind.name) has no fw_cfg")
        }
        try board.finish(try bootFiles())
        if let path = configuration.pidFile { try writePidFile(path) }
        let machine = RunningMachine(board: board, parts: parts, processors: processors, blocks: blocks, network: network, displays: displays, servers: servers,
                                     monitor: monitor, characters: characters, configuration: configuration)
        late.machine.withLock { $0 = machine }
        if let debugging, let text = configuration.debugger { try machine.listen(text, debugging, guest, makeStepper(debugging.instrumentSteps(guest)), &streams) }
        machine.leftovers = leftovers
        machine.memoryUse = memoryUse
        let maker = streams
        var watched = MachineMonitor.Machine(
            name: configuration.name, uuid: configuration.control.uuid, type: configuration.machine, target: guest.name, cpuType: "\(configuration.cpu ?? (xlen == .rv32 ? "rv32" : "rv64"))-riscv-cpu",
            cpuModels: CPUModel.models(xlen).map(\.name), control: machine.control, parts: parts, processors: processors, guest: guest, pci: board.pci,
            ramName: board.mainMemory?.name ?? "", ramSize: board.mainMemory?.size ?? 0, devices: devices, characters: characters) { (id, settings) throws(ConfigurationError) in
            var maker = maker
            try maker.add(id, KeyValues(pairs: settings))
        }
        watched.loaded = board.contents
        let human = MachineMonitor(watched, monitor, blocks)
        BackEndCommands(network: network, displays: displays, servers: servers, loop: loop).register(monitor, human)
        log.register(human)
        drives.register(human, devices)
        machine.human.withLock { $0 = human }
        devices.onDeparture { network.removeCard($0) }
        try startMonitors(human, &streams)
        return machine
    }

    private func makeBoard(_ kind: MachineKind, _ parts: BoardParts, _ options: BoardOptions, _ harts: HartDescription, _ wires: [HartInterrupts]) throws(ConfigurationError) -> any MachineBoard {
        switch kind.name {
        case "none": return try EmptyBoard(parts, options, hasMemory: configuration.hasMemorySize)
        case "spike": return try Spike(parts, options, harts: harts, wires: wires)
        default: return try Virt(parts, options, harts: harts, wires: wires)
        }
    }

    private func wires(of number: Int, _ harts: Locked<[Hart]>) -> HartInterrupts {
        func wire(_ interrupt: HartInterrupt) -> InterruptLine {
            InterruptLine { level in harts.withLock { $0.indices.contains(number) ? $0[number] : nil }?.setInterrupt(interrupt, level) }
        }
        let guests = (0 ..< (configuration.interrupts.guestFiles ?? 0)).map { guest in
            InterruptLine { level in harts.withLock { $0.indices.contains(number) ? $0[number] : nil }?.setGuestInterrupt(guest + 1, level) }
        }
        return HartInterrupts(machineSoftware: wire(.machineSoftware), machineTimer: wire(.machineTimer), machineExternal: wire(.machineExternal),
                              supervisorSoftware: wire(.supervisorSoftware), supervisorExternal: wire(.supervisorExternal),
                              guestExternal: guests)
    }

    private func serials(_ streams: inout StreamMaker) throws(ConfigurationError) -> [(any CharacterStream)?] {
        if configuration.serials.isEmpty {
            return configuration.hasNoDefaults || !configuration.isNographic ? [] : [console(&streams)]
        }
        guard configuration.serials.count == 1 else { throw ConfigurationError("-serial: the machine has one serial port") }
        let stream = try streams.serial(configuration.serials[0])
        if let stream, !configuration.serials[0].hasPrefix("chardev:") { streams.table.add("serial0", stream, isUsed: true) }
        return [stream]
    }

    private func console(_ streams: inout StreamMaker) -> any CharacterStream {
        let stream = streams.sharedConsole()
        streams.table.add("serial0", stream, isUsed: true)
        return stream
    }

    // MARK: disks

    private func flashes(_ graph: BlockGraph, _ drives: DriveSet) throws(ConfigurationError) -> [FlashImage?] {
        var images: [FlashImage?] = []
        for drive in configuration.drives where drive.interface == "pflash" {
            let unit = drive.unit ?? images.count
            guard unit < 2 else { throw ConfigurationError("-drive: pflash unit \(unit): virt has two") }
            while images.count <= unit { images.append(nil) }
            let node = try drives.open(drive)
            images[unit] = try FlashFile.load(node, isReadOnly: drive.isReadOnly)
        }
        for (unit, name) in configuration.flashNodes.enumerated() {
            guard let name else { continue }
            guard images.count <= unit || images[unit] == nil else { throw ConfigurationError("-machine: pflash\(unit) is given by -drive as well") }
            guard let node = graph.node(name) else { throw ConfigurationError("-machine: pflash\(unit): there is no block node '\(name)'") }
            while images.count <= unit { images.append(nil) }
            images[unit] = try FlashFile.load(node, isReadOnly: !node.isWritable)
        }
        return images
    }

    // MARK: devices

    private func plugDevices(_ devices: DeviceTable, _ cards: [CardRequest]) throws(ConfigurationError) {
        for card in cards {
            try devices.plug([("driver", card.driver), ("netdev", card.backEnd)] + (card.mac.map { [("mac", $0)] } ?? []), isHot: false)
        }
        if let card = configuration.videoCard { try devices.plug([("driver", card)], isHot: false) }
        for device in configuration.shares.devices + configuration.devices { try devices.plug(device, isHot: false) }
        // As in QEMU, these come last.
        for (index, drive) in configuration.drives.enumerated() where drive.interface == "virtio" {
            try devices.plug([("driver", "virtio-blk-pci"), ("drive", drive.name(index))], isHot: false)
        }
    }

    private func deviceTable(_ board: any MachineBoard, _ parts: BoardParts, _ graph: BlockGraph, _ blocks: BlockService, _ network: NetworkSet, _ streams: CharacterTable,
                             _ shares: [String: SharedFolder], _ leftovers: Locked<[String]>) -> DeviceTable {
        let memory = board.mainMemory?.size ?? 0, count = configuration.processors, displays = displays, folders = configuration.folders
        return DeviceTable(parts, pci: board.pci, blocks: blocks, plugVirtio: { (name, function, host) throws(ConfigurationError) in
            try board.plug(name, function, host: host)
        }, makeContext: { (host, name, properties) throws(ConfigurationError) in
            if let bus = DeviceCatalogue.find(properties.owner)?.model.bus, ["pci", "virtio-bus", "sysbus"].contains(bus), !board.buses.contains(bus) {
                throw ConfigurationError("\(properties.owner): the machine has no bus of kind '\(bus)'")
            }
            let mac = try network.register(name, properties.owner, properties)
            var context = DeviceContext(host: host, memorySize: memory, processors: count, node: { blocks.node($0) }, network: { network.portsForCard($0) },
                                        characters: { streams.use($0) }, nextMAC: { mac })
            context.id = name
            context.displays = displays
            context.object = { graph.object($0) }
            context.firmware = board.firmware
            context.requests = parts.requests
            context.firmwareFile = { (file) throws(ConfigurationError) in
                guard let found = try StartFiles.find(file, properties.owner, folders) else { throw ConfigurationError("\(properties.owner): romfile '\(file)': there is no such file") }
                return found.bytes
            }
            context.folder = { shares[$0] }
            context.leaves = { path in leftovers.withLock { $0.append(path) } }
            return context
        })
    }

    // MARK: files

    private func bootFiles() throws(ConfigurationError) -> BootFiles {
        var files = BootFiles()
        guard configuration.machine != "none" || configuration.firmware == "default" else { throw ConfigurationError("-bios: machine none starts nothing") }
        files.firmware = configuration.machine == "none" ? nil : try StartFiles.firmware(configuration.firmware, bits: xlen.bits, configuration.folders)?.loadable
        if let path = configuration.kernel {
            files.kernel = try StartFiles.unpacked(try StartFiles.read(path, "-kernel"), "-kernel").loadable
        }
        if let path = configuration.initrd {
            guard configuration.kernel != nil else { throw ConfigurationError("-initrd: needs -kernel") }
            files.initrd = try StartFiles.read(path, "-initrd").loadable
        }
        if let path = configuration.deviceTree {
            files.deviceTree = try StartFiles.read(path, "-dtb").loadable
        }
        guard configuration.commandLine == nil || configuration.kernel != nil else { throw ConfigurationError("-append: needs -kernel") }
        files.commandLine = configuration.commandLine
        return files
    }

    private func writePidFile(_ path: String) throws(ConfigurationError) {
        guard let file = fopen(path, "w") else { throw ConfigurationError("-pidfile: '\(path)': \(String(cString: strerror(errno)))") }
        fputs("\(getpid())\n", file)
        fclose(file)
    }
}
