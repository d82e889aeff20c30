// Names of images as users write them and headers hold them, and the policy for the latter.

/// The pieces of a name, by QEMU's rules.
public enum ImageName: Sendable {
    /// `json:{…}`
    case json(String)
    /// `scheme:…`: what stands before the first colon, if no slash comes earlier.
    case scheme(String)
    case path

    public init(_ text: String) {
        if text.hasPrefix("json:") { self = .json(String(text.dropFirst(5))); return }
        let end = text.firstIndex { $0 == ":" || $0 == "/" }
        if let end, text[end] == ":" { self = .scheme(String(text[..<end])) } else { self = .path }
    }

    /// `name`, if it is relative, taken to stand in the folder of `base`.
    public static func resolve(_ name: String, relativeTo base: String) -> String {
        guard case .path = ImageName(name), !name.hasPrefix("/") else { return name }
        guard case .path = ImageName(base), let slash = base.lastIndex(of: "/") else { return name }
        return String(base[...slash]) + name
    }
}

/// Which files named by the *contents* of an image are opened (backing, data and extent files). What the user names on
/// a command line is not subject to it.
public enum NamedFilePolicy: String, Sendable, CaseIterable {
    /// None: an image that names a file is an error.
    case none
    /// Regular files in the folder of the image that names them, or below.
    case folder
    /// Regular files anywhere; no `json:`, no protocol, no device. The default.
    case files
    /// Anything a user could name.
    case all
}

/// Opens, and makes, the files that an image names.
public struct NamedFiles: Sendable {
    let graph: BlockGraph
    /// The name of the image that names them.
    public let base: String
    /// The names opened on the way here, from the top: the guard against loops.
    let trail: [FileIdentity]

    /// Opens the file `name` as bytes: a data file or extent.
    public func open(_ name: String, _ access: Access) throws(BlockError) -> Node {
        let full = try check(name)
        let node = try graph.openFile(full, access)
        do { try node.lock(holdsMetadata: false) } catch { try? node.close(); throw error }
        return node
    }

    /// Opens the image `reference` names; probes if it does not say the format.
    public func openImage(_ reference: FileReference, _ access: Access) throws(BlockError) -> Node {
        let full = try check(reference.name)
        return try graph.open(full, format: reference.format, access, trail: trail)
    }

    /// The password that an option names by its id.
    public func secret(_ id: String) throws(BlockError) -> [UInt8] { try graph.secrets.bytes(id) }

    /// Makes a file beside the image and opens it for writing. For `create` only: the user named it in an option.
    public func create(_ name: String) throws(BlockError) -> Node {
        let full = ImageName.resolve(name, relativeTo: base)
        try graph.createFile(full, size: 0)
        return try graph.openFile(full, .readWrite)
    }

    /// The full name, if the policy lets it be opened.
    private func check(_ name: String) throws(BlockError) -> String {
        func refuse(_ why: String) -> BlockError {
            BlockError(.invalid, "names the file '\(name)': \(why) (policy for named files: \(graph.namedFiles.rawValue))", file: base)
        }
        let full = ImageName.resolve(name, relativeTo: base)
        if graph.namedFiles == .all { return full }
        if graph.namedFiles == .none { throw refuse("no such file may be opened") }
        switch ImageName(name) {
        case .json: throw refuse("a description in JSON is not opened")
        case .scheme(let scheme): throw refuse("the protocol '\(scheme)' is not opened")
        case .path: break
        }
        switch FileIdentity.kind(full) {
        case .regular, .missing: break
        case .device: throw refuse("it is a device")
        case .other: throw refuse("it is not a regular file")
        }
        if graph.namedFiles == .folder, !FileIdentity.isInside(full, folderOf: base) { throw refuse("it lies outside the image's folder") }
        return full
    }
}
