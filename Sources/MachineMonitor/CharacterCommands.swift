// chardev-add, chardev-remove, ringbuf-read, ringbuf-write.

import Core
import Monitor

extension MachineMonitor {
    var characterCommands: [CommandDeclaration] {
        let machine = machine
        let backend = ValueType.object("ChardevBackend", [Parameter("type", .text), Parameter("data", .any, optional: true)])
        @Sendable func ring(_ arguments: Arguments) throws(MonitorError) -> any RingBuffer {
            let id = try arguments.required("device")
            guard let entry = machine.characters.entries.first(where: { $0.id == id }) else { throw MonitorError("Device '\(id)' not found") }
            guard let ring = entry.stream as? any RingBuffer else { throw MonitorError("\(id) is not a ringbuf device") }
            return ring
        }
        return [
            CommandDeclaration("chardev-add", [Parameter("id", .text), Parameter("backend", backend)],
                               returns: .object("ChardevReturn", [Parameter("pty", .text, optional: true)])) { arguments throws(MonitorError) in
                let id = try arguments.required("id")
                guard !machine.characters.has(id) else { throw MonitorError("Chardev with id '\(id)' already exists") }
                let settings = flattened(arguments.json["backend"])
                try Self.configuring { () throws(ConfigurationError) in try machine.addCharacter(id, settings) }
                return .nothing
            },
            CommandDeclaration("chardev-remove", [Parameter("id", .text)]) { arguments throws(MonitorError) in
                let id = try arguments.required("id")
                try Self.configuring { () throws(ConfigurationError) in try machine.characters.remove(id) }
                return .nothing
            },
            CommandDeclaration("chardev-send-break", [Parameter("id", .text)]) { arguments throws(MonitorError) in
                let id = try arguments.required("id")
                guard let entry = machine.characters.entries.first(where: { $0.id == id }) else { throw MonitorError("Chardev '\(id)' not found") }
                guard let stream = entry.stream as? any BreakableStream else { throw MonitorError("Chardev '\(id)' cannot have a break") }
                stream.comeBreak()
                return .nothing
            },
            CommandDeclaration("ringbuf-read", [Parameter("device", .text), Parameter("size", .size), Parameter("format", .enumeration("DataFormat", ["utf8", "base64"]), optional: true)], returns: .text) { arguments throws(MonitorError) in
                guard arguments.text("format") != "base64" else { throw MonitorError("format 'base64' is not supported") }
                let size = try arguments.size("size") ?? 0
                guard size > 0 else { throw MonitorError("size must be greater than zero") }
                return .text(String(decoding: try ring(arguments).take(Int(min(size, 1 << 30))), as: UTF8.self))
            },
            CommandDeclaration("ringbuf-write", [Parameter("device", .text), Parameter("data", .text), Parameter("format", .enumeration("DataFormat", ["utf8", "base64"]), optional: true)]) { arguments throws(MonitorError) in
                guard arguments.text("format") != "base64" else { throw MonitorError("format 'base64' is not supported") }
                try ring(arguments).put(Array((arguments.text("data") ?? "").utf8))
                return .nothing
            },
        ]
    }
}

/// QMP's nested description of a back end as the command line's names and values.
private func flattened(_ backend: JSONValue?) -> [(name: String, value: String)] {
    var result: [(name: String, value: String)] = [("backend", backend?["type"]?.string ?? "")]
    func add(_ value: JSONValue?) {
        for member in value?.members ?? [] {
            switch member.value {
            case .object where member.name == "addr" || member.name == "data": add(member.value)
            case .text(let text): if member.name != "type" { result.append((member.name == "out" ? "path" : member.name == "str" ? "fd" : member.name, text)) }
            case .flag(let flag): result.append((member.name, flag ? "on" : "off"))
            case .integer, .unsigned: result.append((member.name, member.value.compact))
            default: result.append((member.name, ""))
            }
        }
    }
    add(backend?["data"])
    return result
}
