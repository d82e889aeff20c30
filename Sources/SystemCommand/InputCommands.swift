// input-send-event: what a person does, by QMP.

import Core
import Display
import Monitor

extension BackEndCommands {
    private static let buttons: [(name: String, button: PointerButton)] = [
        ("left", .left), ("middle", .middle), ("right", .right), ("wheel-up", .wheelUp), ("wheel-down", .wheelDown), ("side", .side), ("extra", .extra), ("wheel-left", .wheelLeft),
        ("wheel-right", .wheelRight),
    ]

    var inputCommands: [CommandDeclaration] {
        let event = ValueType.open("InputEvent", [Parameter("type", .enumeration("InputEventKind", ["key", "btn", "rel", "abs"])), Parameter("data", .any)])
        return [
            CommandDeclaration("input-send-event", [Parameter("device", .text, optional: true), Parameter("head", .integer, optional: true), Parameter("events", .array(event))]) { arguments throws(MonitorError) in
                if let device = arguments.text("device"), displays.find(device: device, head: Int(clamping: try arguments.size("head") ?? 0)) == nil {
                    throw MonitorError("Device '\(device)' has no console")
                }
                let sinks = displays.input.sinks
                var events: [InputEvent] = []
                for json in arguments.array("events") {
                    let event = try Self.event(json)
                    let kind: InputKinds = switch event {
                    case .key: .keys
                    case .button: .buttons
                    case .relative: .relative
                    case .absolute: .absolute
                    }
                    guard sinks.contains(where: { !$0.kinds.isDisjoint(with: kind) }) else { throw MonitorError("Input handler not found for event type \(json["type"]?.string ?? "")") }
                    events.append(event)
                }
                guard events.count <= 1024 else { throw MonitorError("too many events at once") }
                displays.input.send(events)
                return .nothing
            },
        ]
    }

    private static func event(_ json: JSONValue) throws(MonitorError) -> InputEvent {
        guard let data = json["data"] else { throw MonitorError("Parameter 'data' is missing") }
        func flag(_ name: String) throws(MonitorError) -> Bool {
            guard case .flag(let flag)? = data[name] else { throw MonitorError("Parameter 'events.data.\(name)' expects a boolean") }
            return flag
        }
        switch json["type"]?.string {
        case "key":
            let key = data["key"], word = key?["data"]?.string, number = key?["data"]?.compact
            guard let code = word.flatMap({ KeyMap.code(qcode: $0) }) ?? number.flatMap({ UInt32($0) }).flatMap({ KeyMap.code(scancode: $0) }) else {
                throw MonitorError("Parameter 'events.data.key' does not accept value '\(word ?? number ?? "")'")
            }
            return .key(code, isDown: try flag("down"))
        case "btn":
            let name = data["button"]?.string ?? ""
            guard let button = buttons.first(where: { $0.name == name })?.button else { throw MonitorError("Parameter 'events.data.button' does not accept value '\(name)'") }
            return .button(button, isDown: try flag("down"))
        case let kind:
            guard let axis: PointerAxis = data["axis"]?.string == "x" ? .x : data["axis"]?.string == "y" ? .y : nil else { throw MonitorError("Parameter 'events.data.axis' expects x or y") }
            guard case .integer(let value)? = data["value"], (-0x8000 ... 0x7fff).contains(value) else { throw MonitorError("Parameter 'events.data.value' expects -32768 to 32767") }
            return kind == "rel" ? .relative(axis, Int(value)) : .absolute(axis, max(0, Int(value)))
        }
    }
}
