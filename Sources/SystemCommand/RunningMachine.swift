// A machine that runs: what is kept while it does, and what is put in order when it ends.

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
import Translated

final class RunningMachine: @unchecked Sendable {
    let board: any MachineBoard
    let control: RunControl
    let parts: BoardParts
    let processors: ProcessorSet
    /// Set before it runs.
    var debugger: (machine: MachineDebugger, place: DebuggerPlace)?
    /// Paths that devices have made on the host, removed at the end. Set before it runs.
    var leftovers = Locked<[String]>([])
    /// Keeps the object that is the machine's memory. Set before it runs.
    var memoryUse = Locked<UseCount.Use?>(nil)
    /// The monitor for people, for a debugger's `monitor`.
    let human = Locked<MachineMonitor?>(nil)
    let network: NetworkSet
    let displays: DisplaySet
    let servers: [VNCServer]
    private let blocks: BlockService
    private let monitor: Monitor
    private let characters: CharacterTable
    private let startsPaused: Bool
    private let pidFile: String?

    init(board: any MachineBoard, parts: BoardParts, processors: ProcessorSet, blocks: BlockService, network: NetworkSet, displays: DisplaySet, servers: [VNCServer],
         monitor: Monitor, characters: CharacterTable, configuration: Configuration) {
        self.board = board
        self.parts = parts
        self.processors = processors
        self.blocks = blocks
        self.network = network
        self.displays = displays
        self.servers = servers
        self.monitor = monitor
        self.characters = characters
        startsPaused = configuration.control.startsPaused
        pidFile = configuration.pidFile
        var policy = configuration.control.policy
        if !configuration.reboots { policy.reboot = .shutdown }
        let ending = Locked<(@Sendable (Int32) -> Void)?>(nil)
        control = RunControl(.init(loop: parts.loop, clock: parts.clock, gate: parts.gate, processors: processors, start: board.resetVector, resetDevices: {
            parts.resetDevices()
            board.reset()
            for problem in board.reload() { complain("apus system: \(problem)") }
        }, flush: { for error in blocks.flushAll() { complain("apus system: \(error)") } }, end: { code in ending.withLock { $0 }?(code) }), policy: policy)
        ending.withLock { $0 = { [weak self] code in self?.end(code) } }
    }

    /// Runs until the guest or a person ends it; does not return.
    func run(ready: (@Sendable () -> Void)?) throws(ConfigurationError) -> Never {
        try control.start(paused: startsPaused)
        if let debugger, !DebuggerService.start(debugger.machine, at: debugger.place) { throw ConfigurationError("-gdb: the host has no threads left") }
        Daemon.onSignal { [control] in control.shutDown(.hostSignal) }
        ready?()
        while true { pause() }
    }

    /// Ends the process: disks are flushed and closed, monitors told.
    private func end(_ status: Int32) {
        processors.stop()
        for server in servers { server.stop() }
        network.close()
        for error in blocks.flushAll() { complain("apus system: \(error)") }
        blocks.shutDown()
        blocks.closeDrives()
        monitor.settle()
        characters.removeSockets()
        if let pidFile { unlink(pidFile) }
        for path in leftovers.withLock({ $0 }) { unlink(path) }
        Terminal.restore()
        exit(status)
    }
}
