// Objects of `-object` as monitors see them: query-iothreads, query-memdev, qom-set, and `/objects` of the object tree.

import Block
import Core
import Devices
import Monitor

extension MachineMonitor {
    private func objects<Kind>(_ kind: Kind.Type) -> [(id: String, object: Kind)] {
        blocks.graph.allObjects.compactMap { entry in (entry.object as? Kind).map { (entry.id, $0) } }
    }
    var threads: [(id: String, object: IOThread)] { objects(IOThread.self) }
    var memoryBackends: [(id: String, object: MemoryBackend)] { objects(MemoryBackend.self) }

    var objectCommands: [CommandDeclaration] {
        [
            CommandDeclaration("query-iothreads", returns: .array(.object("IOThreadInfo", [
                Parameter("id", .text), Parameter("thread-id", .integer), Parameter("poll-max-ns", .integer), Parameter("poll-grow", .integer), Parameter("poll-shrink", .integer),
                Parameter("aio-max-batch", .integer),
            ]))) { [self] _ in
                .array(threads.map { entry in
                    .object([
                        .init("poll-shrink", .integer(0)), .init("thread-id", .integer(Int64(entry.object.thread))), .init("aio-max-batch", .integer(0)), .init("poll-grow", .integer(0)),
                        .init("poll-max-ns", .number(entry.object.pollNanoseconds)), .init("id", .text(entry.id)),
                    ])
                })
            },
            CommandDeclaration("query-memdev", returns: .array(.object("Memdev", [
                Parameter("id", .text, optional: true), Parameter("size", .size), Parameter("merge", .flag), Parameter("dump", .flag), Parameter("prealloc", .flag), Parameter("share", .flag),
                Parameter("reserve", .flag, optional: true), Parameter("host-nodes", .array(.integer)), Parameter("policy", .enumeration("HostMemPolicy", ["default", "preferred", "bind", "interleave"])),
            ]))) { [self] _ in
                .array(memoryBackends.map { entry in
                    .object([.init("prealloc", .flag(entry.object.isPreallocated)), .init("host-nodes", .array([])), .init("size", .number(entry.object.memory.size)),
                             .init("merge", .flag(entry.object.merges)), .init("dump", .flag(entry.object.dumps)), .init("share", .flag(entry.object.isShared)), .init("id", .text(entry.id)),
                             .init("policy", .text("default"))])
                })
            },
            CommandDeclaration("qom-set", [Parameter("path", .text), Parameter("property", .text), Parameter("value", .any)]) { [self] arguments throws(MonitorError) in
                try setProperty(try arguments.required("path"), try arguments.required("property"), arguments.json["value"] ?? .null)
                return .nothing
            },
        ]
    }

    func setProperty(_ path: String, _ name: String, _ value: JSONValue) throws(MonitorError) {
        guard let object = object(path) else { throw MonitorError("Device '\(path)' not found", .deviceNotFound) }
        guard object.contains(where: { $0.name == name }) else { throw MonitorError("Property '\(path).\(name)' not found") }
        if let changeable = graphObject(path) as? any ChangeableObject {
            do throws(BlockError) { return try changeable.set(name, value) } catch { throw MonitorError(error.place) }
        }
        if let entry = machine.devices.find(path) {
            if try setBalloonProperty(entry, name, value) { return }
            throw MonitorError("Attempt to set property '\(name)' on device '\(entry.hasIdentifier ? entry.name : "")' (type '\(entry.driver)') after it was realized")
        }
        throw MonitorError("Property '\(path).\(name)' is not writable")
    }

    private func graphObject(_ path: String) -> (any GraphObject)? {
        let prefix = "/objects/"
        return blocks.graph.object(path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path)
    }

    /// What is at `/objects` and below; nil: nothing.
    func objectTree(_ path: String) -> [ObjectProperty]? {
        if path == "/objects" {
            let secrets = blocks.graph.secrets.names.map { ($0, "secret") }
            let others = blocks.graph.allObjects.map { ($0.id, ($0.object as? any VisibleObject)?.typeName ?? "object") }
            return [ObjectProperty(name: "type", type: "string", value: .text("container"))]
                + (secrets + others).map { ObjectProperty(name: $0.0, type: "child<\($0.1)>", value: .text("/objects/" + $0.0)) }
        }
        guard let object = graphObject(path) as? any VisibleObject else { return nil }
        return [ObjectProperty(name: "type", type: "string", value: .text(object.typeName))] + object.properties
    }
}
