// Objects that options name by an id (`--object`, QMP's object-add): passwords (Secrets.swift), and what other modules make
// known in the catalogue, such as TLS credentials.

import Core
import Host

/// An object that drivers can be given by its id.
public protocol GraphObject: AnyObject, Sendable {}

/// An object whose properties monitors show.
public protocol VisibleObject: GraphObject {
    var typeName: String { get }
    var properties: [ObjectProperty] { get }
}

/// An object of which a property can be changed while it is used.
public protocol ChangeableObject: VisibleObject {
    func set(_ name: String, _ value: JSONValue) throws(BlockError)
}

/// An object that cannot go while somebody needs it.
public protocol NeededObject: GraphObject { var isInUse: Bool { get } }

/// One property of an object, by QEMU's names of types.
public struct ObjectProperty: Sendable {
    public var name: String, type: String, value: JSONValue
    public init(name: String, type: String, value: JSONValue) {
        self.name = name
        self.type = type
        self.value = value
    }
}

/// A kind of objects.
public protocol GraphObjectKind: Sendable {
    /// The types by which objects of this kind are asked for.
    static var typeNames: [String] { get }
    /// The options that they take, beside `id`.
    static var options: [OptionDeclaration] { get }
    static func make(id: String, type: String, _ options: OptionValues, _ graph: BlockGraph) throws(BlockError) -> any GraphObject
}

/// A protocol whose options name objects.
public protocol ObjectUsingDriver: StorageDriver {
    static func open(_ options: OptionValues, _ access: Access, _ graph: BlockGraph) throws(BlockError) -> any Storage
}

/// A filter whose options name objects.
public protocol ObjectUsingFilter: FilterDriver {
    static func open(_ file: Node, _ options: OptionValues, _ access: Access, _ graph: BlockGraph) throws(BlockError) -> any Storage
}

/// The objects of one graph, without its secrets.
final class ObjectTable: Sendable {
    private let known = Locked<[String: any GraphObject]>([:])
    func find(_ id: String) -> (any GraphObject)? { known.withLock { $0[id] } }
    var all: [(id: String, object: any GraphObject)] { known.withLock { $0.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } } }
    func add(_ id: String, _ object: any GraphObject) -> Bool {
        known.withLock { known in
            if known[id] != nil { return false }
            known[id] = object
            return true
        }
    }
    func remove(_ id: String) -> Bool { known.withLock { $0.removeValue(forKey: id) != nil } }
}

extension BlockGraph {
    /// An object that is no secret.
    public func object(_ id: String) -> (any GraphObject)? { objects.find(id) }

    /// All objects that are no secrets, in the order of their names.
    public var allObjects: [(id: String, object: any GraphObject)] { objects.all }

    /// Takes an object as a command line describes it: `TYPE,id=ID,…`, or as an object in JSON.
    public func add(object text: String) throws(BlockError) {
        if text.hasPrefix("{") {
            let tree: JSONValue
            do { tree = try JSONValue(parsing: text) } catch { throw .invalid("\(error)") }
            return try add(object: tree)
        }
        var options = OptionValues.split(text)
        guard !options.isEmpty else { throw .invalid("an object needs a type") }
        let first = options.removeFirst()
        let type = first.name == "qom-type" ? first.value : first.name
        guard let kind = catalogue.objects.first(where: { $0.typeNames.contains(type) }) else { return try secrets.add(object: text) }
        try add(kind, type, options)
    }

    /// Takes an object as QMP describes it.
    public func add(object tree: JSONValue) throws(BlockError) {
        guard let type = tree["qom-type"]?.string else { throw .invalid("Parameter 'qom-type' is missing") }
        var options: [(name: String, value: String)] = []
        for member in OptionTree.flattened(tree.members ?? []) where member.name != "qom-type" { options.append((member.name, try OptionTree.text(member.value))) }
        if let kind = catalogue.objects.first(where: { $0.typeNames.contains(type) }) { return try add(kind, type, options) }
        // As text, with commas written twice.
        func quoted(_ text: String) -> String { text.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,") }
        try secrets.add(object: ([type] + options.map { $0.name + "=" + quoted($0.value) }).joined(separator: ","))
    }

    private func add(_ kind: any GraphObjectKind.Type, _ type: String, _ options: [(name: String, value: String)]) throws(BlockError) {
        var values = OptionValues(kind.options)
        var id: String?
        for option in options {
            if option.name == "id" { id = option.value; continue }
            do { try values.set(option.name, option.value) } catch { throw .invalid("\(type): \(error.text)") }
        }
        guard let id else { throw .invalid("Parameter 'id' is missing") }
        guard id.first?.isLetter == true, id.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }) else {
            throw .invalid("Parameter 'id' expects an identifier")
        }
        let object = try kind.make(id: id, type: type, values, self)
        guard !secrets.has(id), objects.add(id, object) else { throw .invalid("attempt to add duplicate object '\(id)'") }
    }

    /// Forgets an object; who uses it keeps it.
    public func removeObject(_ id: String) throws(BlockError) {
        if let object = objects.find(id) as? any NeededObject, object.isInUse { throw .invalid("object '\(id)' is in use, can not be deleted") }
        guard objects.remove(id) || secrets.remove(id) else { throw .invalid("object '\(id)' not found") }
    }
}
