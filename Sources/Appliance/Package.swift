// The package an appliance comes in: a tar archive (OVA), or a descriptor with its files beside it (OVF).

import Block
import Core
import Cryptography

/// An opened package.
public final class AppliancePackage {
    /// What it was opened by.
    public let filename: String
    public let envelope: OVFEnvelope
    private let graph: BlockGraph
    /// Nil: the files stand beside the descriptor.
    private let archive: TarIndex?
    /// The descriptor's name in the package.
    private let descriptorName: String
    private let descriptor: [UInt8]

    /// Opens `filename`. `graph` opens every file; what images in the package name is up to its policy.
    /// - Throws: `corrupt`: it is neither an archive with a descriptor in it, nor a descriptor.
    public init(_ filename: String, _ graph: BlockGraph) throws(BlockError) {
        self.filename = filename
        self.graph = graph
        let file = try graph.openFile(filename, .readOnly)
        defer { try? file.close() }
        do throws(BlockError) {
            let start = try file.bytes(0, 512)
            if TarIndex.isArchive(start) {
                let index = try TarIndex(file)
                guard let member = index.members.first(where: { $0.name.lowercased().hasSuffix(".ovf") }) else { throw .corrupt("the archive has no OVF descriptor (*.ovf)") }
                guard member.size <= UInt64(XMLTree.largest) else { throw .corrupt(at: member.offset, "a descriptor of \(member.size) bytes: expected at most \(XMLTree.largest)") }
                archive = index
                descriptorName = member.name
                descriptor = try file.bytes(member.offset, Int(member.size))
            } else {
                let length = try file.length()
                guard length <= UInt64(XMLTree.largest) else { throw .corrupt("neither a tar archive (OVA) nor an OVF descriptor: \(length) bytes") }
                archive = nil
                descriptorName = filename.lastIndex(of: "/").map { String(filename[filename.index(after: $0)...]) } ?? filename
                descriptor = try file.bytes(0, Int(length))
            }
            envelope = try OVFEnvelope(descriptor)
        } catch { throw error.naming(filename) }
    }

    /// The bytes of a file of the package. The caller closes the node.
    /// - Throws: `cannotOpen`: there is none of that name; `invalid`: the name leads elsewhere.
    public func open(file name: String) throws(BlockError) -> Node {
        guard !name.isEmpty, !name.hasPrefix("/"), case .path = ImageName(name), !name.split(separator: "/").contains("..") else {
            throw BlockError(.invalid, "names the file '\(name)': only files of the package are opened", file: filename)
        }
        guard let archive else {
            let full = ImageName.resolve(name, relativeTo: filename)
            guard FileIdentity.isInside(full, folderOf: filename), FileIdentity.isRegular(full) else {
                throw BlockError(.cannotOpen, "names the file '\(name)': there is no such regular file beside it", file: filename)
            }
            return try graph.openFile(full, .readOnly)
        }
        guard let member = archive.members.first(where: { $0.name == name || $0.name == "./" + name }) else {
            throw BlockError(.cannotOpen, "names the file '\(name)', which is not in the archive", file: filename)
        }
        let file = try graph.openFile(filename, .readOnly)
        do { return try graph.open(on: file, format: "raw", .readOnly, options: [.init("offset", .number(member.offset)), .init("size", .number(member.size))]) } catch {
            try? file.close()
            throw error
        }
    }

    /// Opens a disk as the guest sees it. - Returns: nil: an empty disk of its capacity.
    public func open(_ disk: OVFEnvelope.Disk) throws(BlockError) -> Node? {
        func refuse(_ why: String) -> BlockError { BlockError(.unsupported, "disk '\(disk.id)': \(why)", file: filename) }
        if disk.hasParent { throw refuse("it stands on another disk, which is not done") }
        guard let reference = disk.file else { return nil }
        guard let file = envelope.files.first(where: { $0.id == reference }) else { throw BlockError(.corrupt, "disk '\(disk.id)': there is no file '\(reference)'", file: filename) }
        if let compression = file.compression, compression != "identity" { throw refuse("'\(file.href)' is compressed with \(compression): expand it first") }
        if file.isChunked { throw refuse("'\(file.href)' is cut into chunks: join them first") }
        guard let format = Self.format(disk.format, file.href) else { throw refuse("the format '\(disk.format)' is not known") }
        let node = try open(file: file.href)
        do { return try graph.open(on: node, format: format, .readOnly) } catch {
            try? node.close()
            throw error
        }
    }

    /// Opens what a drive holds, if it is a file (a CD's image).
    public func openFile(id: String) throws(BlockError) -> Node {
        guard let file = envelope.files.first(where: { $0.id == id }) else { throw BlockError(.corrupt, "there is no file '\(id)'", file: filename) }
        return try open(file: file.href)
    }

    /// The format that a URI names (DSP0243, 5.2, and what tools write), or else the file's name. It is never guessed from the
    /// contents, which somebody else has written.
    private static func format(_ uri: String, _ name: String) -> String? {
        let uri = uri.lowercased(), name = name.lowercased()
        func names(_ word: String) -> Bool { uri.isEmpty ? name.hasSuffix("." + word) : uri.contains(word) }
        if names("vmdk") { return "vmdk" }
        if names("vhdx") { return "vhdx" }
        if names("vhd") { return "vpc" }
        if names("vdi") || uri.contains("virtualbox") { return "vdi" }
        if names("qcow2") || uri.contains("qcow") { return "qcow2" }
        if names("iso9660") || names("iso") || names("raw") || names("img") { return "raw" }
        return nil
    }

    // MARK: the manifest

    /// Compares the digests of the package's manifest with its files.
    /// - Returns: how many files were compared; nil: there is no manifest.
    /// - Throws: `corrupt`: one differs, or the manifest cannot be read.
    public func verify() throws(BlockError) -> Int? {
        let name = (descriptorName.lowercased().hasSuffix(".ovf") ? String(descriptorName.dropLast(4)) : descriptorName) + ".mf"
        if let archive {
            guard archive.members.contains(where: { $0.name == name }) else { return nil }
        } else if !FileIdentity.isRegular(ImageName.resolve(name, relativeTo: filename)) { return nil }
        let file = try open(file: name)
        defer { try? file.close() }
        let length = try file.length()
        guard length <= 1 << 20 else { throw BlockError(.corrupt, "the manifest has \(length) bytes: expected at most 1 MiB", file: name) }
        var count = 0
        for line in String(decoding: try file.bytes(0, Int(length)), as: UTF8.self).split(whereSeparator: { $0.isNewline || $0 == "\0" }) {
            let text = String(line).trimmed
            if text.isEmpty { continue }
            // SHA256(name)= digest
            guard let opening = text.firstIndex(of: "("), let equals = text.lastIndex(of: "="), let closing = text[..<equals].lastIndex(of: ")"), opening < closing,
                  let hash = HashFunction(named: String(text[..<opening]).lowercased().filter { $0 != "-" && $0 != " " }) else {
                throw BlockError(.corrupt, "'\(text.prefix(80))': expected HASH(FILE)= DIGEST with sha1, sha256 or sha512", file: name)
            }
            let member = String(text[text.index(after: opening)..<closing])
            let expected = String(text[text.index(after: equals)...]).trimmed.lowercased()
            guard try digest(member, hash) == expected else { throw BlockError(.corrupt, "'\(member)' is not the file that the manifest \(name) describes: its \(hash.name) differs", file: filename) }
            count += 1
        }
        return count
    }

    private func digest(_ name: String, _ hash: HashFunction) throws(BlockError) -> String {
        let file = try open(file: name)
        defer { try? file.close() }
        let running = hash.begin(), length = try file.length()
        let piece = try OwnedBuffer(1 << 20)
        var position: UInt64 = 0
        while position < length {
            let part = piece.buffer.slice(0, length - position)
            try file.read(position, part)
            running.add(UnsafeRawBufferPointer(start: part.base, count: part.count))
            position += UInt64(part.count)
        }
        withExtendedLifetime(piece) {}
        return running.digest().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
