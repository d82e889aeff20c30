// `-gdb`: where a debugger connects, as QEMU spells it, and what it gets to see.

import Core
import Debugger
import MachineDebugger
import MachineMonitor
import RISCV
import Translation

extension RunningMachine {
    /// Opens the place that `text` names; debuggers are served when the machine runs.
    func listen(_ text: String, _ tools: MachineDebugTools, _ guest: RISCVMachineGuest, _ stepper: any SingleStepper,
                _ streams: inout StreamMaker) throws(ConfigurationError) {
        let place = try Self.place(text, &streams)
        let controls = MachineControls(quit: { [control] in control.shutDown(.hostSignal) },
                                       monitor: { [human] line in human.withLock { $0 }?.answer(line) },
                                       stopped: { [control] in control.debuggerStopped(atBreak: $0) }, continues: { [control] in control.debuggerContinues() })
        debugger = (MachineDebugger(processors: processors, guest: guest, memory: parts.memory, clock: parts.clock, tools: tools,
                                    stepper: stepper, controls: controls), place)
    }

    private static func place(_ text: String, _ streams: inout StreamMaker) throws(ConfigurationError) -> DebuggerPlace {
        let kind = text.prefix { $0 != ":" }
        switch kind {
        case "tcp", "unix":
            // It always listens, and never waits.
            var values = KeyValues(String(text.dropFirst(kind.count + 1)), implied: "address")
            let address = values.take("address") ?? ""
            for (name, only) in [("server", "on"), ("wait", "off"), ("nodelay", "on"), ("delay", "off")] {
                if let value = values.take(name), value != only { throw ConfigurationError("-gdb: '\(name)=\(value)' is not supported, expected \(only)") }
            }
            try values.finish("-gdb")
            let parsed: RemoteAddress? = kind == "unix" ? (address.isEmpty ? nil : .path(address)) : tcp(address)
            guard let parsed else { throw ConfigurationError("-gdb: '\(text)': expected tcp:[HOST]:PORT or unix:PATH") }
            return try .listen(parsed)
        default:
            guard kind == "chardev" || text == "stdio" else {
                throw ConfigurationError("-gdb: '\(text)' is not supported, expected tcp:[HOST]:PORT, unix:PATH, chardev:ID or stdio")
            }
            guard let stream = try streams.serial(text) else { throw ConfigurationError("-gdb: '\(text)' is no place for a debugger") }
            return .stream(stream)
        }
    }

    private static func tcp(_ address: String) -> RemoteAddress? {
        guard let colon = address.lastIndex(of: ":"), let port = UInt16(address[address.index(after: colon)...]) else { return nil }
        let host = String(address[..<colon])
        return .tcp(host: host.isEmpty ? "0.0.0.0" : host == "localhost" ? "127.0.0.1" : host, port: port)
    }
}
