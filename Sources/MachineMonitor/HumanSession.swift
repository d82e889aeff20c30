// The monitor for people on one stream: prompt, lines, answers; and the same by QMP's human-monitor-command.

import Core
import Host
import Monitor
import Sockets

/// One client at a prompt.
final class HumanSession: Sendable {
    private let owner: MachineMonitor
    private let client: StreamClient
    private static let prompt = "(qemu) "

    init(_ owner: MachineMonitor, _ client: StreamClient) {
        self.owner = owner
        self.client = client
    }

    func run() {
        var state = HumanState()
        var editor = LineEditor { word in HumanMonitor.names.filter { $0.hasPrefix(word) } }
        var buffer = [UInt8](repeating: 0, count: 256)
        do throws(SocketError) {
            try say("Apus 10.0.0 monitor - type 'help' for more information\n" + Self.prompt)
            while true {
                let count = try buffer.withUnsafeMutableBufferPointer { (memory: inout UnsafeMutableBufferPointer<UInt8>) throws(SocketError) -> Int in
                    try client.receive(UnsafeMutableRawBufferPointer(memory))
                }
                if count == 0 { return }
                var echo: [UInt8] = []
                for byte in buffer[..<count] {
                    switch editor.take(byte, echo: &echo) {
                    case .more: break
                    case .abandoned: echo += Array(("\r\n" + Self.prompt).utf8)
                    case .line(let line):
                        try client.send(echo)
                        echo = []
                        let answer = owner.monitor.alone { HumanMonitor(owner).answer(line, &state) }
                        try say(answer + Self.prompt)
                    }
                }
                if !echo.isEmpty { try client.send(echo) }
            }
        } catch {}
    }

    private func say(_ text: String) throws(SocketError) {
        var bytes: [UInt8] = []
        for byte in text.utf8 { bytes += byte == 10 ? [13, 10] : [byte] }
        try client.send(bytes)
    }
}

/// What a person at a prompt has chosen.
struct HumanState: Sendable { var hart = 0 }

extension MachineMonitor {
    /// The answer to a line for a client that has no prompt of ours.
    public func answer(_ line: String) -> String {
        var state = HumanState()
        return monitor.alone { HumanMonitor(self).answer(line, &state) }
    }

    var humanCommands: [CommandDeclaration] {
        [CommandDeclaration("human-monitor-command", [Parameter("command-line", .text), Parameter("cpu-index", .integer, optional: true)], returns: .text) { [self] arguments throws(MonitorError) in
            var state = HumanState()
            let number = try arguments.size("cpu-index") ?? 0
            guard number == 0 || number < UInt64(machine.processors.count) else { throw MonitorError("Parameter 'cpu-index' expects a CPU number") }
            state.hart = Int(number)
            var text = HumanMonitor(self).answer(try arguments.required("command-line"), &state)
            text = text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n")
            return .text(text)
        }]
    }
}
