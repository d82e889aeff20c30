// Opens and makes nodes: from names, from options, with backing chains. Keeps the named ones.

import Core
import Glibc
import Host

/// The graph of block nodes of one process or one command.
public final class BlockGraph: Sendable {
    public let catalogue: Catalogue
    /// Which files the contents of images may name.
    public let namedFiles: NamedFilePolicy
    /// Passwords that options name.
    public let secrets = Secrets()
    let objects = ObjectTable()
    private struct State { var nodes: [String: Node] = [:]; var counter = 0 }
    private let state = Locked(State())

    /// More images than this below one another are an error.
    public static let deepestChain = 200

    public init(_ catalogue: Catalogue, namedFiles: NamedFilePolicy = .files) {
        self.catalogue = catalogue
        self.namedFiles = namedFiles
    }

    /// A named node.
    public func node(_ name: String) -> Node? { state.withLock { $0.nodes[name] } }
    /// Makes a node known by its name. - Throws: `invalid` if there is one already.
    public func add(_ node: Node) throws(BlockError) {
        let isNew = state.withLock { state in
            if state.nodes[node.name] != nil { return false }
            state.nodes[node.name] = node
            return true
        }
        if !isNew { throw .invalid("Duplicate nodes with node-name='\(node.name)'") }
    }
    public func remove(_ node: Node) { state.withLock { if $0.nodes[node.name] === node { $0.nodes[node.name] = nil } } }
    /// All named nodes.
    public var nodes: [Node] { state.withLock { Array($0.nodes.values) } }

    func automaticName() -> String {
        state.withLock { state in
            state.counter += 1
            let number = String(state.counter)
            return "#block" + String(repeating: "0", count: max(0, 3 - number.utf8.count)) + number
        }
    }

    // MARK: By name

    /// Opens the image called `name` with its backing chain.
    /// - Parameter format: the format's or protocol's name; nil probes.
    public func open(_ name: String, format: String? = nil, _ access: Access = .readOnly, options: [JSONValue.Member] = []) throws(BlockError) -> Node {
        try open(name, format: format, access, options: options, trail: [])
    }

    func open(_ name: String, format: String?, _ access: Access, options: [JSONValue.Member] = [], trail: [FileIdentity]) throws(BlockError) -> Node {
        if case .json(let text) = ImageName(name) {
            let tree: JSONValue
            do { tree = try JSONValue(parsing: text) } catch { throw .invalid("Could not parse the JSON options: \(error)") }
            return try open(options: .object(OptionTree.expanded((tree.members ?? []) + options)), access)
        }
        var trail = trail
        if let identity = FileIdentity(name) {
            if trail.contains(identity) { throw BlockError(.corrupt, "the chain of backing files comes back to this file", file: name) }
            trail.append(identity)
        }
        guard trail.count <= BlockGraph.deepestChain else {
            throw BlockError(.corrupt, "more than \(BlockGraph.deepestChain) images below one another", file: name)
        }
        if let format, catalogue.format(format) == nil {
            if let driver = catalogue.protocolDriver(format) { return try openFile(name, access, driver: driver) }
            throw .invalid("Unknown driver '\(format)'")
        }
        let file = try openFile(name, access.forFile)
        do {
            return try openImage(on: file, format: format, access, options: options, trail: trail)
        } catch {
            try? file.close()
            throw error
        }
    }

    /// Opens the bytes called `name` with their protocol, no format.
    public func openFile(_ name: String, _ access: Access) throws(BlockError) -> Node { try openFile(name, access, driver: nil) }

    func openFile(_ name: String, _ access: Access, driver given: (any StorageDriver.Type)?) throws(BlockError) -> Node {
        let driver: any StorageDriver.Type
        if let given { driver = given } else { driver = try self.driver(forName: name) }
        var values = OptionValues(driver.options)
        try driver.parse(name, into: &values)
        return try openFile(driver, values, access, name: nil)
    }

    func openFile(_ driver: any StorageDriver.Type, _ values: OptionValues, _ access: Access, name: String?) throws(BlockError) -> Node {
        let filename = driver.filename(values)
        do {
            let storage: any Storage
            if let driver = driver as? any ObjectUsingDriver.Type { storage = try driver.open(values, access, self) } else { storage = try driver.open(values, access) }
            let shown = (storage as? any NamedStorage)?.driverName ?? driver.name
            return Node(name: name ?? automaticName(), driver: shown, filename: filename, storage: storage, access: access)
        } catch { throw error.naming(filename) }
    }

    func driver(forName name: String) throws(BlockError) -> any StorageDriver.Type {
        switch ImageName(name) {
        case .path, .json:
            guard let file = catalogue.protocolDriver("file") else { throw .unsupported("no driver for files") }
            return file
        case .scheme(let scheme):
            if let driver = catalogue.scheme(scheme) { return driver }
            throw .invalid("Unknown protocol '\(scheme)'")
        }
    }

    // MARK: Images

    /// Opens the image in `file`, which the new node then owns.
    func openImage(on file: Node, format name: String?, _ access: Access, options: [JSONValue.Member], node nodeName: String? = nil,
                   trail: [FileIdentity], opensBacking: Bool = true, extra: [Child] = []) throws(BlockError) -> Node {
        let format: any ImageFormat.Type
        if let name {
            guard let known = catalogue.format(name) else { throw .invalid("Unknown driver '\(name)'") }
            format = known
        } else {
            let length = try file.length()
            format = catalogue.probe(try file.bytes(0, Int(min(length, UInt64(probeLength)))), name: file.filename)
        }
        try file.lock(holdsMetadata: format.holdsMetadata)
        var values = OptionValues(format.openOptions)
        for member in options { try values.set(member.name, OptionTree.text(member.value)) }
        let files = NamedFiles(graph: self, base: file.filename, trail: trail)
        let image: any Image
        do {
            image = try format.open(OpenContext(file: file, access: access, options: values, files: files))
        } catch { throw error.naming(file.filename) }
        if access.writable, !(image is any WritableImage) {
            throw BlockError(.readOnly, "\(format.name) images cannot be written", file: file.filename)
        }
        let further = (image as? any MultiFileImage)?.furtherFiles ?? []
        let storage = ImageStorage(image: image, files: [file] + further.map(\.node), writable: access.writable,
                                   admitsStart: name == nil && access.writable && format.name == catalogue.fallback.name ? guardOfStart(file.filename) : nil)
        if opensBacking, access.opensBacking, let reference = (image as? any BackedImage)?.backing {
            do { storage.setBacking(try files.openImage(reference, backingAccess(access))) } catch {
                for child in further { try? child.node.close() }
                throw BlockError(error.kind, "Could not open backing file: \(error)", file: file.filename)
            }
        }
        let node = Node(name: nodeName ?? automaticName(), driver: format.name, filename: file.filename, storage: storage, access: access,
                        children: [Child("file", file)] + further + extra)
        // Persistent dirty bitmaps follow every write.
        if access.writable, let observer = image as? any WriteObserver { node.attach(observer) }
        return node
    }

    /// A guessed raw image must not become something else by what a guest writes to it.
    private func guardOfStart(_ filename: String) -> @Sendable ([UInt8]) -> Bool {
        { [catalogue] start in catalogue.probe(start, name: filename).name == catalogue.fallback.name }
    }

    /// Opens the image in `file`, which stays the caller's if that fails.
    public func open(on file: Node, format: String?, _ access: Access, options: [JSONValue.Member] = []) throws(BlockError) -> Node {
        try openImage(on: file, format: format, access, options: options, trail: [])
    }

    /// Opens an image and those below it, each by itself, down to `base` (nil: the next one), which is opened for
    /// writing too: what a commit needs. Closing the first closes all.
    public func openChain(_ name: String, format: String?, _ access: Access, base: String?) throws(BlockError) -> [Node] {
        var above = access
        above.opensBacking = false
        var chain = [try open(name, format: format, above)]
        do throws(BlockError) {
            while let top = chain.last, chain.count <= BlockGraph.deepestChain {
                guard let storage = top.storage as? ImageStorage, let reference = (top.image as? any BackedImage)?.backing else {
                    throw .invalid(base.map { "Did not find '\($0)' in the backing chain of '\(name)'" } ?? "Image does not have a backing file")
                }
                let files = NamedFiles(graph: self, base: top.filename, trail: chain.compactMap { FileIdentity($0.filename) })
                let full = ImageName.resolve(reference.name, relativeTo: top.filename)
                let isBase = base == nil || base == reference.name || base == full
                var below = access
                below.writable = isBase
                below.opensBacking = isBase
                let node = try files.openImage(reference, below)
                storage.setBacking(node)
                chain.append(node)
                if isBase { break }
            }
        } catch {
            try? chain.first?.close()
            throw error
        }
        return chain
    }

    /// How the node below an image opened with `access` is opened: nobody writes to it.
    public func backingAccess(_ access: Access) -> Access {
        var below = access
        below.writable = false
        return below
    }

    // MARK: Making

    /// Makes the file `name` by its protocol, or empties it.
    public func createFile(_ name: String, size: UInt64, options: OptionValues? = nil) throws(BlockError) {
        let driver = try driver(forName: name)
        guard let creatable = driver as? any CreatableStorage.Type else {
            throw .unsupported("Protocol driver '\(driver.name)' does not support creating new images, so an existing image must be selected as the target")
        }
        do { try creatable.create(name, size: size, options ?? OptionValues(creatable.createOptions)) } catch { throw error.naming(name) }
    }

    /// Makes an image.
    /// - Parameter size: of the new disk.
    public func create(_ name: String, format: any CreatableFormat.Type, size: UInt64, options: OptionValues) throws(BlockError) {
        try createFile(name, size: 0)
        let file = try openFile(name, .readWrite)
        do {
            try file.lock(holdsMetadata: true)
            let files = NamedFiles(graph: self, base: file.filename, trail: [])
            try format.create(CreateContext(file: file, size: size, options: options, files: files))
            try file.flush()
        } catch {
            try? file.close()
            throw error.naming(name)
        }
        try file.close()
    }
}

/// Storage whose driver is called differently from what opened it (`host_device` opened as a file).
public protocol NamedStorage: Storage { var driverName: String { get } }

/// An image in more files than one.
public protocol MultiFileImage: Image {
    /// Beside `file`: with roles such as `data-file` or `extents.0`. Closed with the image's node.
    var furtherFiles: [Child] { get }
}

extension Node {
    /// Gives the locks up that keep others out, so that the same file can be opened anew in another way.
    public func giveLocksUp() throws(BlockError) {
        if let filter = storage as? any FilterStorage { return try filter.file.giveLocksUp() }
        try (storage as? any LockableStorage)?.lock(using: [], sharing: .all)
    }

    /// Takes the locks that the user of this file needs: what it does, and what it lets others do.
    /// - Parameter holdsMetadata: others must not write to a file whose structure is kept in memory here.
    public func lock(holdsMetadata: Bool) throws(BlockError) {
        if let filter = storage as? any FilterStorage { return try filter.file.lock(holdsMetadata: holdsMetadata) }
        guard let lockable = storage as? any LockableStorage else { return }
        var using: Permissions = .consistentRead
        if access.writable { using.formUnion(holdsMetadata ? [.write, .resize] : [.write]) }
        var sharing = Permissions.all
        if holdsMetadata || !access.sharesWrite { sharing.subtract([.write, .resize]) }
        if access.forceShare { sharing = .all }
        do { try lockable.lock(using: using, sharing: sharing) } catch { throw error.naming(filename) }
    }
}
