// A machine that runs: its harts, board and disks, and what happens when the guest asks for a reset or for its end.

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

final class RunningMachine: @unchecked Sendable {
    let board: Virt
    private let parts: BoardParts
    private let processors: ProcessorSet
    private let nodes: [Node]
    private let reboots: Bool
    private let pidFile: String?
    let displays: DisplaySet
    let servers: [VNCServer]
    private let isEnding = Locked(false)

    init(board: Virt, parts: BoardParts, processors: ProcessorSet, nodes: [Node], reboots: Bool, pidFile: String?, displays: DisplaySet, servers: [VNCServer]) {
        self.board = board
        self.parts = parts
        self.processors = processors
        self.nodes = nodes
        self.reboots = reboots
        self.pidFile = pidFile
        self.displays = displays
        self.servers = servers
    }

    /// Runs until the guest or a person ends it; does not return.
    func run() throws(ConfigurationError) -> Never {
        processors.reset()
        for number in 0 ..< processors.count { processors[number].vcpu.pc = board.resetVector }
        parts.clock.start()
        guard processors.start() else { throw ConfigurationError("-smp: the host has no threads left for \(processors.count) processors") }
        while true { pause() }
    }

    /// A device's wish; from any thread.
    func take(_ request: MachineRequest) {
        switch request {
        case .powerOff(let status): end(status ?? 0)
        case .reset, .watchdog:
            if reboots { parts.loop.submit { [self] in reset() } } else { end(0) }
        case .panicked: break
        }
    }

    private func reset() {
        processors.pause()
        parts.resetDevices()
        board.reset()
        board.reload()
        processors.reset()
        let start = board.resetVector
        for number in 0 ..< processors.count { processors[number].perform { $0.pc = start } }
        processors.resume()
    }

    /// Ends the process: disks are flushed and closed first.
    func end(_ status: Int32) {
        guard isEnding.withLock({ isEnding in
            defer { isEnding = true }
            return !isEnding
        }) else { return }
        // The vCPU that asked goes on until it is stopped: by another thread than its own.
        parts.loop.submit { [self] in
            processors.stop()
            for server in servers { server.stop() }
            for node in nodes {
                do throws(BlockError) {
                    try node.flush()
                    try node.close()
                } catch { complain("apus system: \(error)") }
            }
            if let pidFile { unlink(pidFile) }
            Terminal.restore()
            exit(status)
        }
    }
}
