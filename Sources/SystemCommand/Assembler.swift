// Puts a machine together from its configuration.

import Block
import Char
import Core
import Devices
import Display
import Glibc
import Host
import Machines
import RISCV
import Translated
import Translation

/// Makes an engine for machines; the name is a person's choice, nil the best there is.
public typealias MakeMachineEngine = @Sendable (_ name: String?, _ guest: any SystemGuest, _ options: EngineOptions) throws(ConfigurationError) -> any Engine

struct MachineAssembler {
    let configuration: Configuration
    let xlen: XLEN
    let blockDrivers: Catalogue
    let makeEngine: MakeMachineEngine
    let displays = DisplaySet()

    private final class Late: Sendable { let machine = Locked<RunningMachine?>(nil) }

    func assemble() throws(ConfigurationError) -> RunningMachine {
        guard configuration.machine == "virt" else { throw ConfigurationError("-machine: '\(configuration.machine)' is not supported, expected virt (-machine help)") }
        guard let loop = EventLoop(name: "main") else { throw ConfigurationError("the host has no descriptors or threads left") }
        let late = Late()
        let parts = BoardParts(loop: loop, requests: MachineRequests { request in late.machine.withLock { $0 }?.take(request) })
        let guest: RISCVMachineGuest
        do throws(CPUModelError) { guest = try RISCVMachineGuest(parsing: configuration.cpu ?? (xlen == .rv32 ? "rv32" : "rv64"), xlen: xlen) } catch {
            throw ConfigurationError("-cpu: \(error.description)")
        }
        var engineOptions = EngineOptions()
        engineOptions.isMachine = true
        let engine = try makeEngine(configuration.engine, guest, engineOptions)
        let processors = ProcessorSet(engine: engine, guest: guest, memory: parts.memory, count: configuration.processors, isThreaded: configuration.isThreaded)

        let graph = BlockGraph(blockDrivers)
        try DisplayOptions.addObjects(configuration.objects, graph)
        var streams = StreamMaker(loop: loop, actions: MultiplexerActions(quit: { late.machine.withLock { $0 }?.end(0) }))
        for (id, settings) in configuration.characters { try streams.add(id, settings) }
        var options = BoardOptions(processors: configuration.processors, memory: configuration.memory)
        options.serials = try serials(&streams)
        options.flashes = try flashes(graph)
        let harts = Locked<[Hart]>([])
        let board = try Virt(parts, options, harts: guest.description, wires: (0 ..< configuration.processors).map { wires(of: $0, harts) })
        for number in 0 ..< configuration.processors {
            let processor = processors[number]
            let hart = guest.makeHart(processor.vcpu, number: number, timebase: board.timebase) { processor.requestInterrupt() }
            harts.withLock { $0.append(hart) }
        }
        let drives = try openDrives(graph)
        try plugDevices(board, parts, drives, streams)
        let servers = try DisplayOptions.start(configuration.displays, displays, graph)
        try board.finish(try bootFiles())
        if let path = configuration.pidFile { try writePidFile(path) }
        let machine = RunningMachine(board: board, parts: parts, processors: processors, nodes: Array(drives.values),
                                     reboots: configuration.reboots, pidFile: configuration.pidFile, displays: displays, servers: servers)
        late.machine.withLock { $0 = machine }
        return machine
    }

    private func wires(of number: Int, _ harts: Locked<[Hart]>) -> HartInterrupts {
        func wire(_ interrupt: HartInterrupt) -> InterruptLine {
            InterruptLine { level in harts.withLock { $0.indices.contains(number) ? $0[number] : nil }?.setInterrupt(interrupt, level) }
        }
        return HartInterrupts(machineSoftware: wire(.machineSoftware), machineTimer: wire(.machineTimer), machineExternal: wire(.machineExternal),
                              supervisorSoftware: wire(.supervisorSoftware), supervisorExternal: wire(.supervisorExternal))
    }

    private func serials(_ streams: inout StreamMaker) throws(ConfigurationError) -> [(any CharacterStream)?] {
        if configuration.serials.isEmpty {
            return configuration.hasNoDefaults || !configuration.isNographic ? [] : [streams.sharedConsole()]
        }
        guard configuration.serials.count == 1 else { throw ConfigurationError("-serial: virt has one serial port") }
        return [try streams.serial(configuration.serials[0])]
    }

    // MARK: disks

    private func flashes(_ graph: BlockGraph) throws(ConfigurationError) -> [FlashImage?] {
        var images: [FlashImage?] = []
        for drive in configuration.drives where drive.interface == "pflash" {
            let unit = drive.unit ?? images.count
            guard unit < 2 else { throw ConfigurationError("-drive: pflash unit \(unit): virt has two") }
            while images.count <= unit { images.append(nil) }
            let node = try open(drive, graph)
            images[unit] = try FlashFile.load(node, isReadOnly: drive.isReadOnly)
        }
        return images
    }

    private func open(_ drive: DriveOption, _ graph: BlockGraph) throws(ConfigurationError) -> Node {
        let file = drive.file ?? ""
        do throws(BlockError) { return try graph.open(file, format: drive.format, drive.isReadOnly ? .readOnly : .readWrite) } catch {
            throw ConfigurationError("-drive: '\(file)': \(error)")
        }
    }

    /// All disks but flash, by name.
    private func openDrives(_ graph: BlockGraph) throws(ConfigurationError) -> [String: Node] {
        var drives: [String: Node] = [:]
        for (index, drive) in configuration.drives.enumerated() where drive.interface != "pflash" {
            let id = name(of: drive, index)
            guard drives[id] == nil else { throw ConfigurationError("-drive: id '\(id)' is given twice") }
            drives[id] = try open(drive, graph)
        }
        return drives
    }

    private func name(of drive: DriveOption, _ index: Int) -> String { drive.id ?? "\(drive.interface)\(index)" }

    // MARK: devices

    private func plugDevices(_ board: Virt, _ parts: BoardParts, _ drives: [String: Node], _ streams: StreamMaker) throws(ConfigurationError) {
        // As in QEMU, a disk that says nothing else becomes a virtio disk in a slot of memory-mapped registers.
        for (index, drive) in configuration.drives.enumerated() where drive.interface == "virtio" {
            try plug([("driver", "virtio-blk-device"), ("drive", name(of: drive, index))], board, parts, drives, streams)
        }
        if let card = configuration.videoCard { try plug([("driver", card)], board, parts, drives, streams) }
        for device in configuration.devices { try plug(device, board, parts, drives, streams) }
    }

    private func plug(_ given: [(name: String, value: String)], _ board: Virt, _ parts: BoardParts, _ drives: [String: Node], _ streams: StreamMaker) throws(ConfigurationError) {
        guard let driver = given.first(where: { $0.name == "driver" })?.value else { throw ConfigurationError("-device: no driver is given") }
        guard let device = DeviceCatalogue.find(driver) else { throw ConfigurationError("-device: '\(driver)' is not a device that is supported (-device help)") }
        var rest = given.filter { $0.name != "driver" }
        func take(_ name: String) -> String? {
            defer { rest.removeAll { $0.name == name } }
            return rest.last { $0.name == name }?.value
        }
        let id = take("id") ?? "\(driver)-\(board.deviceCount)", bus = take("bus")
        let properties = try Properties(driver, device.model.properties, rest)
        let host = parts.host()
        var context = DeviceContext(host: host, memorySize: configuration.memory, processors: configuration.processors, node: { drives[$0] },
                                    network: { _ in [] }, characters: { streams.find($0) }, nextMAC: { [0x52, 0x54, 0, 0x12, 0x34, 0x56] })
        context.id = id
        context.displays = displays
        context.firmware = board.firmwareConfiguration
        switch device.maker {
        case .pci(let make):
            context.isBehindPort = bus != nil && bus != "pcie.0"
            try board.pci.plug(id, try make(properties, context), host: host, bus: bus, address: properties.text("addr"),
                               isMultifunction: properties.flag("multifunction"))
            board.deviceCount += 1
        case .virtio(let make): try board.plug(id, try make(properties, context), host: host)
        case .system(let make): parts.add(try make(properties, context))
        case .consolePort: throw ConfigurationError("-device: '\(driver)' is not supported on the command line")
        }
    }

    // MARK: files

    private func bootFiles() throws(ConfigurationError) -> BootFiles {
        var files = BootFiles()
        files.firmware = try StartFiles.firmware(configuration.firmware, bits: xlen.bits, configuration.folders).map { .init(name: $0.name, bytes: $0.bytes) }
        if let path = configuration.kernel {
            let file = try StartFiles.unpacked(try StartFiles.read(path, "-kernel"), "-kernel")
            files.kernel = .init(name: file.name, bytes: file.bytes)
        }
        if let path = configuration.initrd {
            guard configuration.kernel != nil else { throw ConfigurationError("-initrd: needs -kernel") }
            let file = try StartFiles.read(path, "-initrd")
            files.initrd = .init(name: file.name, bytes: file.bytes)
        }
        if let path = configuration.deviceTree {
            let file = try StartFiles.read(path, "-dtb")
            files.deviceTree = .init(name: file.name, bytes: file.bytes)
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
