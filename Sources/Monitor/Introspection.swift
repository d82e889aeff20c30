// `query-qmp-schema`, made from the declarations: QEMU's SchemaInfo. Types that are not built in have numbers for names, as
// there.

import Core

struct Introspection {
    private var entries: [JSONValue] = []
    private var numbers: [String: String] = [:]

    /// The whole answer.
    static func schema(_ commands: [CommandDeclaration], _ events: [EventDeclaration]) -> JSONValue {
        var work = Introspection()
        for command in commands {
            let argument = work.object("q_obj_\(command.name)-arg", command.parameters)
            let result = command.result.map { work.name($0) } ?? work.object("q_empty", [])
            work.add([.init("name", .text(command.name)), .init("ret-type", .text(result)), .init("meta-type", .text("command")),
                      .init("arg-type", .text(argument))])
        }
        for event in events {
            let argument = work.object("q_obj_\(event.name)-arg", event.parameters)
            work.add([.init("name", .text(event.name)), .init("meta-type", .text("event")), .init("arg-type", .text(argument))])
        }
        return .array(work.entries)
    }

    private mutating func add(_ members: [JSONValue.Member]) { entries.append(.object(members)) }

    private mutating func builtin(_ name: String, _ json: String) -> String {
        if numbers[name] == nil {
            numbers[name] = name
            add([.init("name", .text(name)), .init("json-type", .text(json)), .init("meta-type", .text("builtin"))])
        }
        return name
    }

    /// The type's name in the answer; adds it if it is new.
    private mutating func name(_ type: ValueType) -> String {
        switch type {
        case .text: return builtin("str", "string")
        case .flag: return builtin("bool", "boolean")
        case .integer: return builtin("int", "int")
        case .number: return builtin("number", "number")
        case .null: return builtin("null", "null")
        case .any: return builtin("any", "value")
        case .array(let element):
            let inner = name(element)
            let own = "[\(inner)]"
            if numbers[own] == nil {
                numbers[own] = own
                add([.init("name", .text(own)), .init("element-type", .text(inner)), .init("meta-type", .text("array"))])
            }
            return own
        case .enumeration(let known, let words):
            guard let number = new(known) else { return numbers[known] ?? known }
            add([.init("name", .text(number)), .init("members", .array(words.map { .object([.init("name", .text($0))]) })), .init("meta-type", .text("enum")),
                 .init("values", .array(words.map { .text($0) }))])
            return number
        case .object(let known, let parameters), .open(let known, let parameters): return object(known, parameters)
        case .alternate(let known, let types):
            guard let number = new(known) else { return numbers[known] ?? known }
            let members = types.map { JSONValue.object([.init("type", .text(name($0)))]) }
            add([.init("name", .text(number)), .init("members", .array(members)), .init("meta-type", .text("alternate"))])
            return number
        }
    }

    /// A number for a type that has none yet.
    private mutating func new(_ known: String) -> String? {
        guard numbers[known] == nil else { return nil }
        let number = String(numbers.count)
        numbers[known] = number
        return number
    }

    private mutating func object(_ known: String, _ parameters: [Parameter]) -> String {
        guard let number = new(known) else { return numbers[known] ?? known }
        let members = parameters.map { parameter in
            let base: [JSONValue.Member] = [.init("name", .text(parameter.name))]
            return JSONValue.object(base + (parameter.isOptional ? [.init("default", .null)] : []) + [.init("type", .text(name(parameter.type)))])
        }
        add([.init("name", .text(number)), .init("members", .array(members)), .init("meta-type", .text("object"))])
        return number
    }
}
