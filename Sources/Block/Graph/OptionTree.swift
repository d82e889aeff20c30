// Nodes described by options: `driver=qcow2,file.driver=file,file.filename=disk.qcow2` on a command line, the same as
// an object in `json:` names and in QMP's blockdev-add.

import Core

/// Works on trees of options.
public enum OptionTree {
    /// Makes objects of dotted names: `file.filename` becomes a member of the member `file`.
    public static func expanded(_ members: [JSONValue.Member]) -> [JSONValue.Member] {
        var result: [JSONValue.Member] = []
        func add(_ member: JSONValue.Member) {
            if let index = result.firstIndex(where: { $0.name == member.name }) {
                if case .object(let old) = result[index].value, case .object(let new) = member.value {
                    result[index].value = .object(old + new)
                } else { result[index] = member }
            } else { result.append(member) }
        }
        for member in members {
            if let dot = member.name.firstIndex(of: "."), dot != member.name.startIndex {
                add(.init(String(member.name[..<dot]), .object([.init(String(member.name[member.name.index(after: dot)...]), member.value)])))
            } else { add(member) }
        }
        return result.map { member in
            if case .object(let inner) = member.value { return .init(member.name, .object(expanded(inner))) }
            return member
        }
    }

    /// A value as option text.
    public static func text(_ value: JSONValue) throws(BlockError) -> String {
        switch value {
        case .text(let text): return text
        case .flag(let flag): return flag ? "on" : "off"
        case .integer(let number): return String(number)
        case .unsigned(let number): return String(number)
        default: throw .invalid("an option's value is text, a number or a flag")
        }
    }

    /// An object's members with dotted names: the inverse of `expanded`.
    static func flattened(_ members: [JSONValue.Member], prefix: String = "") -> [JSONValue.Member] {
        members.flatMap { member -> [JSONValue.Member] in
            switch member.value {
            case .object(let inner): return flattened(inner, prefix: prefix + member.name + ".")
            case .array(let values):
                return flattened(values.enumerated().map { .init(String($0.offset), $0.element) }, prefix: prefix + member.name + ".")
            default: return [.init(prefix + member.name, member.value)]
            }
        }
    }
}

extension BlockGraph {
    /// Opens the node that an option tree describes.
    public func open(options tree: JSONValue, _ given: Access) throws(BlockError) -> Node {
        guard var members = tree.members else { throw .invalid("a node is described by an object") }
        members = OptionTree.expanded(members)
        var access = given
        func take(_ name: String) -> JSONValue? {
            guard let index = members.firstIndex(where: { $0.name == name }) else { return nil }
            return members.remove(at: index).value
        }
        func flag(_ value: JSONValue?) throws(BlockError) -> Bool? {
            guard let value else { return nil }
            switch try OptionTree.text(value) {
            case "on", "true", "yes": return true
            case "off", "false", "no": return false
            default: throw .invalid("expected 'on' or 'off'")
            }
        }
        if try flag(take("read-only")) == true { access.writable = false }
        if try flag(take("force-share")) == true { access.forceShare = true }
        if let discard = take("discard") { access.discards = ["unmap", "on"].contains(try OptionTree.text(discard)) }
        if let word = try take("detect-zeroes").map({ (value) throws(BlockError) in try OptionTree.text(value) }) {
            guard let detection = ZeroDetection(rawValue: word) else { throw .invalid("Invalid parameter '\(word)' for 'detect-zeroes': expected off, on or unmap") }
            access.zeroDetection = detection
        }
        // Read-only, if that is the only way to open it.
        if try flag(take("auto-read-only")) == true, access.writable {
            do throws(BlockError) { return try open(options: .object(members), access) } catch {
                guard error.kind == .readOnly || error.kind == .cannotOpen else { throw error }
                access.writable = false
            }
        }
        if let cache = take("cache") {
            if let direct = try flag(cache["direct"]) { access.cache.direct = direct }
            if let ignore = try flag(cache["no-flush"]) { access.cache.ignoresFlush = ignore }
        }
        let nodeName = try take("node-name").map { (value) throws(BlockError) in try OptionTree.text(value) }
        let driverName = try take("driver").map { (value) throws(BlockError) in try OptionTree.text(value) }

        if let driverName, let driver = catalogue.protocolDriver(driverName) {
            return try openProtocol(driver, members, access, nodeName)
        }
        if let driverName, catalogue.format(driverName) == nil, catalogue.filter(driverName) == nil {
            throw .invalid("Unknown driver '\(driverName)'")
        }
        // What stands below: a description, a node's name, or a file name of our own.
        let below: Node, role = driverName.flatMap { catalogue.filter($0) }?.child ?? "file"
        if let file = take(role) {
            below = try openChild(file, access.forFile)
        } else if let filename = take("filename") {
            below = try openFile(try OptionTree.text(filename), access.forFile)
        } else { throw .invalid("A block device must be specified for \"\(role)\"") }
        do {
            if let driverName, let filter = catalogue.filter(driverName) {
                var values = OptionValues(filter.options)
                for member in OptionTree.flattened(members) { try values.set(member.name, try OptionTree.text(member.value)) }
                let storage: any Storage
                if let filter = filter as? any ObjectUsingFilter.Type { storage = try filter.open(below, values, access, self) } else { storage = try filter.open(below, values, access) }
                return Node(name: nodeName ?? automaticName(), driver: filter.name, filename: below.filename, storage: storage, access: access, children: [Child(role, below)])
            }
            let backing = take("backing")
            let identity = FileIdentity(below.filename).map { [$0] } ?? []
            let node = try openImage(on: below, format: driverName, access, options: OptionTree.flattened(members), node: nodeName,
                                     trail: identity, opensBacking: backing == nil)
            if let backing, backing != .null {
                let lower = try openChild(backing, backingAccess(access), asImage: true)
                (node.storage as? ImageStorage)?.setBacking(lower)
            }
            return node
        } catch {
            try? below.close()
            throw error
        }
    }

    private func openChild(_ value: JSONValue, _ access: Access, asImage: Bool = false) throws(BlockError) -> Node {
        if case .text(let name) = value {
            if let known = node(name) { known.retain(); return known }
            return asImage ? try open(name, access) : try openFile(name, access)
        }
        // Without a driver, `file` is a protocol node.
        if !asImage, value["driver"] == nil, let filename = value["filename"]?.string {
            guard let members = value.members, members.count > 1 else { return try openFile(filename, access) }
            return try open(options: .object([.init("driver", .text(try driver(forName: filename).name))] + members), access)
        }
        return try open(options: value, access)
    }

    private func openProtocol(_ driver: any StorageDriver.Type, _ members: [JSONValue.Member], _ access: Access, _ nodeName: String?) throws(BlockError) -> Node {
        var values = OptionValues(driver.options)
        for member in OptionTree.flattened(members) {
            let text = try OptionTree.text(member.value)
            if member.name == "filename", !values.declares("filename") { try driver.parse(text, into: &values) } else { try values.set(member.name, text) }
        }
        let node = try openFile(driver, values, access, name: nodeName)
        do { try node.lock(holdsMetadata: false) } catch { try? node.close(); throw error }
        return node
    }
}
