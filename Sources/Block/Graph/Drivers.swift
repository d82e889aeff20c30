// Protocols and filters make themselves known as formats do: a type, and a line in the registry.

/// A protocol: storage that stands on no other node.
public protocol StorageDriver: Sendable {
    /// QEMU's name.
    static var name: String { get }
    /// What comes before the colon in names of this protocol: `nbd`, `http`. Empty: `name` itself.
    static var schemes: [String] { get }
    /// All options, also those that a name in text stands for.
    static var options: [OptionDeclaration] { get }
    /// Takes a name as the user wrote it (scheme included) apart.
    static func parse(_ name: String, into options: inout OptionValues) throws(BlockError)
    /// The name that messages and headers use.
    static func filename(_ options: OptionValues) -> String
    /// Opens it.
    static func open(_ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage
}

/// A protocol in which storage can be made.
public protocol CreatableStorage: StorageDriver {
    static var createOptions: [OptionDeclaration] { get }
    /// Makes it, empty or with `size` bytes of zeros, or empties what is there.
    static func create(_ filename: String, size: UInt64, _ options: OptionValues) throws(BlockError)
}

/// A filter: storage in front of one other node.
public protocol FilterDriver: Sendable {
    static var name: String { get }
    /// What descriptions call the node below; if nothing is said, `file`.
    static var child: String { get }
    static var options: [OptionDeclaration] { get }
    static func open(_ file: Node, _ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage
}

extension FilterDriver {
    public static var child: String { "file" }
}

/// Everything a graph can be built of. The executable's registry makes one; tests make their own.
public struct Catalogue: Sendable {
    public let formats: [any ImageFormat.Type]
    public let protocols: [any StorageDriver.Type]
    public let filters: [any FilterDriver.Type]
    /// Kinds of objects beside secrets.
    public let objects: [any GraphObjectKind.Type]
    /// The format of a file that no other claims.
    public let fallback: any ImageFormat.Type

    public init(formats: [any ImageFormat.Type], protocols: [any StorageDriver.Type], filters: [any FilterDriver.Type],
                objects: [any GraphObjectKind.Type] = [], fallback: any ImageFormat.Type) {
        self.formats = formats
        self.protocols = protocols
        self.filters = filters
        self.objects = objects
        self.fallback = fallback
    }

    /// The same with further kinds of objects.
    public func with(_ more: [any GraphObjectKind.Type]) -> Catalogue {
        Catalogue(formats: formats, protocols: protocols, filters: filters, objects: objects + more, fallback: fallback)
    }

    public func format(_ name: String) -> (any ImageFormat.Type)? { formats.first { $0.name == name } }
    public func protocolDriver(_ name: String) -> (any StorageDriver.Type)? { protocols.first { $0.name == name } }
    public func filter(_ name: String) -> (any FilterDriver.Type)? { filters.first { $0.name == name } }
    func scheme(_ scheme: String) -> (any StorageDriver.Type)? { protocols.first { $0.name == scheme || $0.schemes.contains(scheme) } }

    /// The format that claims a file most strongly; the first in the list among equals.
    public func probe(_ start: [UInt8], name: String) -> any ImageFormat.Type {
        var best: (any ImageFormat.Type, Int) = (fallback, 0)
        for format in formats {
            let score = format.probe(start, name: name)
            if score > best.1 { best = (format, score) }
        }
        return best.0
    }
}
