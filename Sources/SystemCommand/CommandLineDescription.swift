// query-command-line-options: the options of lists that a machine takes, with their parameters, by QEMU's names.

import Block
import Core
import Monitor

enum CommandLineDescription {
    private enum Kind: String { case string, boolean, number, size }
    private static let limits = ThrottleLimits.names.map { ("throttling." + $0, Kind.number) }

    /// Options whose further parameters depend on a driver have none.
    private static let options: [(name: String, parameters: [(String, Kind)])] = [
        ("machine", [("type", .string), ("accel", .string), ("dumpdtb", .string), ("memory-backend", .string), ("acpi", .string), ("firmware", .string), ("kernel", .string), ("initrd", .string), ("append", .string), ("dtb", .string),
                     ("dump-guest-core", .boolean), ("mem-merge", .boolean), ("usb", .boolean), ("graphics", .boolean), ("aia", .string), ("aia-guests", .string)]),
        ("smp-opts", ["cpus", "sockets", "clusters", "cores", "threads", "maxcpus"].map { ($0, .number) }),
        ("memory", [("size", .size)]), ("accel", []), ("overcommit", [("mem-lock", .string), ("cpu-pm", .boolean)]), ("audiodev", []), ("device", []), ("object", []), ("netdev", []), ("nic", []), ("net", []),
        ("drive", [("id", .string), ("file", .string), ("format", .string), ("if", .string), ("unit", .number), ("readonly", .boolean), ("cache", .string), ("discard", .string), ("media", .string),
                   ("throttling.group", .string)] + limits),
        ("chardev", [("backend", .string), ("path", .string), ("host", .string), ("port", .string), ("localaddr", .string), ("localport", .string), ("fd", .string), ("wait", .boolean), ("server", .boolean),
                     ("nodelay", .boolean), ("reconnect", .number), ("mux", .boolean), ("signal", .boolean), ("size", .size), ("append", .boolean)]),
        ("mon", [("mode", .string), ("chardev", .string), ("pretty", .boolean)]), ("global", [("driver", .string), ("property", .string), ("value", .string)]),
        ("rtc", [("base", .string), ("clock", .string)]), ("name", [("guest", .string), ("debug-threads", .boolean)]), ("msg", [("timestamp", .boolean), ("guest-name", .boolean)]),
        ("fw_cfg", [("name", .string), ("file", .string), ("string", .string)]),
        ("boot-opts", [("order", .string), ("once", .string), ("menu", .boolean), ("splash-time", .number), ("reboot-timeout", .number), ("strict", .boolean)]),
        ("action", ["reboot", "shutdown", "panic", "watchdog"].map { ($0, .string) }),
        ("vnc", [("vnc", .string), ("websocket", .string), ("tls-creds", .string), ("share", .string), ("display", .string), ("head", .number), ("to", .number), ("password", .boolean), ("password-secret", .string)]),
    ]

    static var command: CommandDeclaration {
        let parameter = ValueType.object("CommandLineParameterInfo", [Parameter("name", .text), Parameter("type", .enumeration("CommandLineParameterType", ["string", "boolean", "number", "size"]))])
        let information = ValueType.object("CommandLineOptionInfo", [Parameter("option", .text), Parameter("parameters", .array(parameter))])
        return CommandDeclaration("query-command-line-options", [Parameter("option", .text, optional: true)], returns: .array(information)) { arguments throws(MonitorError) in
            let name = arguments.text("option"), found = options.filter { name == nil || $0.name == name }
            if let name, found.isEmpty { throw MonitorError("Invalid parameter '\(name)'") }
            return .array(found.map { option in
                .object([.init("parameters", .array(option.parameters.map { .object([.init("name", .text($0.0)), .init("type", .text($0.1.rawValue))]) })), .init("option", .text(option.name))])
            })
        }
    }
}
