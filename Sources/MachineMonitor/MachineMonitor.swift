// The monitor of a machine: what its commands work on. The commands themselves are in the other files of this folder.

import Block
import BlockMonitor
import Core
import Devices
import Host
import Machines
import Monitor
import Translated
import Translation

public final class MachineMonitor: Sendable {
    /// All that commands reach.
    public struct Machine: Sendable {
        public var name: String?
        public var uuid: String?
        /// `virt`
        public var type: String
        /// `riscv64`
        public var target: String
        public var cpuType: String
        public var cpuModels: [String]
        public var control: RunControl
        public var parts: BoardParts
        public var processors: ProcessorSet
        public var guest: any SystemGuest
        public var pci: PCIHost
        public var ramName: String
        public var ramSize: UInt64
        public var devices: DeviceTable
        public var characters: CharacterTable
        public var addCharacter: @Sendable (_ id: String, _ settings: [(name: String, value: String)]) throws(ConfigurationError) -> Void
        /// Files that were loaded, for `info roms`: name, address, bytes.
        public var loaded: [(name: String, address: UInt64, size: UInt64)] = []

        public init(name: String?, uuid: String?, type: String, target: String, cpuType: String, cpuModels: [String], control: RunControl, parts: BoardParts,
                    processors: ProcessorSet, guest: any SystemGuest, pci: PCIHost, ramName: String, ramSize: UInt64, devices: DeviceTable, characters: CharacterTable,
                    addCharacter: @escaping @Sendable (_ id: String, _ settings: [(name: String, value: String)]) throws(ConfigurationError) -> Void) {
            self.name = name
            self.uuid = uuid
            self.type = type
            self.target = target
            self.cpuType = cpuType
            self.cpuModels = cpuModels
            self.control = control
            self.parts = parts
            self.processors = processors
            self.guest = guest
            self.pci = pci
            self.ramName = ramName
            self.ramSize = ramSize
            self.devices = devices
            self.characters = characters
            self.addCharacter = addCharacter
        }
    }

    let machine: Machine
    let monitor: Monitor
    let blocks: BlockService
    /// Commands for people that other parts of the machine bring: by name, `info NAME` among them.
    private let further = Locked<[(name: String, parameters: String, summary: String, body: FurtherCommand)]>([])
    private let frontEnds = Locked<[StreamFrontEnd]>([])

    public init(_ machine: Machine, _ monitor: Monitor, _ blocks: BlockService) {
        self.machine = machine
        self.monitor = monitor
        self.blocks = blocks
        machine.control.onEvent { [monitor] in monitor.emit($0, $1) }
        monitor.register(runCommands + queryCommands + deviceCommands + typeCommands + diskCommands + mediaCommands + memoryCommands + characterCommands + objectCommands + humanCommands,
                         events: Self.events)
        machine.devices.onRemoval { [monitor] entry in
            let path = JSONValue.Member("path", .text(entry.path))
            monitor.emit("DEVICE_DELETED", .object((entry.hasIdentifier ? [.init("device", .text(entry.name))] : []) + [path]))
        }
        machine.devices.onArrival { [monitor] entry in Self.watch(entry, monitor) }
        for entry in machine.devices.entries { Self.watch(entry, monitor) }
        blocks.onResize { node in
            for entry in machine.devices.entries where entry.disks.contains(where: { $0.node === node }) {
                guard let virtio = entry.virtio else { continue }
                entry.slot.withDevice { _ in (virtio.function as? any DiskOwner)?.sizeChanged() }
            }
        }
    }

    private static func watch(_ entry: DeviceTable.Entry, _ monitor: Monitor) {
        watchBalloon(entry, monitor)
        watchTray(entry, monitor)
    }

    private static func watchBalloon(_ entry: DeviceTable.Entry, _ monitor: Monitor) {
        guard let virtio = entry.virtio else { return }
        entry.slot.withDevice { _ in
            (virtio.function as? VirtioBalloon)?.onChange { size in monitor.emit("BALLOON_CHANGE", .object([.init("actual", .number(size))])) }
        }
    }

    /// What stands behind the command's name on the line comes in, what is printed goes out.
    public typealias FurtherCommand = @Sendable (_ words: [String]) throws(MonitorError) -> String

    /// A further command of the monitor for people (`sendkey`, `info network` …); QMP's are made known by `Monitor.register`.
    public func add(_ name: String, _ parameters: String, _ summary: String, _ body: @escaping FurtherCommand) {
        further.withLock { $0.append((name, parameters, summary, body)) }
    }
    var furtherCommands: [(name: String, parameters: String, summary: String, body: FurtherCommand)] { further.withLock { $0 } }

    /// Serves a stream: QMP, or the monitor for people.
    public func serve(_ stream: any CharacterStream, isHuman: Bool, isPretty: Bool) {
        let front = StreamFrontEnd(stream) { [self] client in
            if isHuman { HumanSession(self, client).run() } else { MonitorSession(monitor, client, pretty: isPretty).run() }
        }
        frontEnds.withLock { $0.append(front) }
    }

    static let events: [EventDeclaration] = {
        let cause = [Parameter("guest", .flag), Parameter("reason", .enumeration("ShutdownCause", RunCause.allCases.map(\.rawValue)))]
        return [
            EventDeclaration("STOP", []), EventDeclaration("RESUME", []), EventDeclaration("POWERDOWN", []), EventDeclaration("RESET", cause), EventDeclaration("SHUTDOWN", cause),
            EventDeclaration("GUEST_PANICKED", [Parameter("action", .enumeration("GuestPanicAction", ["pause", "poweroff", "run"]))]),
            EventDeclaration("GUEST_CRASHLOADED", [Parameter("action", .enumeration("GuestPanicAction", ["pause", "poweroff", "run"]))]),
            EventDeclaration("GUEST_PVSHUTDOWN", []),
            EventDeclaration("WATCHDOG", [Parameter("action", .enumeration("WatchdogAction", RunPolicy.Watchdog.allCases.map(\.rawValue)))]),
            EventDeclaration("BLOCK_IO_ERROR", [
                Parameter("qom-path", .text), Parameter("device", .text), Parameter("node-name", .text, optional: true), Parameter("operation", .enumeration("IoOperationType", ["read", "write"])),
                Parameter("action", .enumeration("BlockErrorAction", DiskFailure.Action.allCases.map(\.rawValue))), Parameter("nospace", .flag, optional: true), Parameter("reason", .text),
            ]),
            EventDeclaration("DEVICE_DELETED", [Parameter("device", .text, optional: true), Parameter("path", .text)]),
            EventDeclaration("BALLOON_CHANGE", [Parameter("actual", .integer)]),
            trayEvent,
        ]
    }()

    /// Runs what can fail by configuration.
    static func configuring<Result>(_ body: () throws(ConfigurationError) -> Result) throws(MonitorError) -> Result {
        do { return try body() } catch { throw MonitorError(error.description) }
    }
}
