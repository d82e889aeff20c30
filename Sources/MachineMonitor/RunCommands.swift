// stop, cont, system_reset, system_powerdown, quit, set-action, query-status.

import Core
import Monitor

extension MachineMonitor {
    var runCommands: [CommandDeclaration] {
        let control = machine.control
        func plain(_ name: String, _ body: @escaping @Sendable () throws(MonitorError) -> Void) -> CommandDeclaration {
            CommandDeclaration(name) { _ throws(MonitorError) in
                try body()
                return .nothing
            }
        }
        func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, _ type: String, _ cases: Choice.Type) -> Parameter where Choice.RawValue == String {
            Parameter(name, .enumeration(type, cases.allCases.map(\.rawValue)), optional: true)
        }
        return [
            plain("stop") { control.stop() },
            plain("cont") { () throws(MonitorError) in try Self.configuring { () throws(ConfigurationError) in try control.resume() } },
            plain("system_reset") { control.reset(.hostReset) },
            plain("system_powerdown") { control.powerDown() },
            plain("quit") { control.shutDown(.hostQuit) },
            CommandDeclaration("set-action", [
                choice("reboot", "RebootAction", RunPolicy.Reboot.self), choice("shutdown", "ShutdownAction", RunPolicy.Shutdown.self),
                choice("panic", "PanicAction", RunPolicy.Panic.self), choice("watchdog", "WatchdogAction", RunPolicy.Watchdog.self),
            ]) { arguments throws(MonitorError) in
                var policy = control.policy
                for member in arguments.json.members ?? [] { try Self.configuring { () throws(ConfigurationError) in try policy.set(member.name, member.value.string ?? "") } }
                control.policy = policy
                return .nothing
            },
            CommandDeclaration("query-status", returns: .object("StatusInfo", [Parameter("running", .flag), Parameter("status", .enumeration("RunState", RunState.allCases.map(\.rawValue)))])) { _ in
                let state = control.state
                return .object([.init("status", .text(state.rawValue)), .init("running", .flag(state == .running))])
            },
        ]
    }
}
