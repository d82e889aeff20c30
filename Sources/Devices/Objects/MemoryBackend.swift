// memory-backend-ram, -file and -memfd: memory for a machine, made beforehand and taken by `-M memory-backend=ID`.

import Block
import CHost
import Core
import Glibc
import Host

public final class MemoryBackend: ChangeableObject, NeededObject {
    public let typeName: String
    public let id: String
    public let memory: RAMBlock
    public let isShared: Bool
    public let isPreallocated: Bool
    private struct Advice: Sendable { var merge: Bool, dump: Bool }
    private let advice: Locked<Advice>
    private let path: String?
    private let users = UseCount()

    fileprivate init(id: String, type: String, memory: RAMBlock, isShared: Bool, isPreallocated: Bool, merge: Bool, dump: Bool, path: String?) {
        (self.id, typeName, self.memory, self.isShared, self.isPreallocated, self.path) = (id, type, memory, isShared, isPreallocated, path)
        advice = Locked(Advice(merge: merge, dump: dump))
        advise()
    }

    public var merges: Bool { advice.withLock { $0.merge } }
    public var dumps: Bool { advice.withLock { $0.dump } }
    public var isInUse: Bool { users.isInUse }
    /// The machine's use, or any other; it ends with the value.
    public func use() -> UseCount.Use { users.use() }

    /// Merging is a wish: hosts without it go on without it.
    private func advise() {
        madvise(memory.host, Int(memory.size), Int32(merges ? MADV_MERGEABLE : MADV_UNMERGEABLE))
        madvise(memory.host, Int(memory.size), Int32(dumps ? MADV_DODUMP : MADV_DONTDUMP))
    }

    public var properties: [ObjectProperty] {
        [ObjectProperty(name: "size", type: "int", value: .number(memory.size)), ObjectProperty(name: "share", type: "bool", value: .flag(isShared)),
         ObjectProperty(name: "prealloc", type: "bool", value: .flag(isPreallocated)), ObjectProperty(name: "merge", type: "bool", value: .flag(merges)),
         ObjectProperty(name: "dump", type: "bool", value: .flag(dumps))] + (path.map { [ObjectProperty(name: "mem-path", type: "string", value: .text($0))] } ?? [])
    }

    public func set(_ name: String, _ value: JSONValue) throws(BlockError) {
        guard name == "merge" || name == "dump" else { throw .invalid("Property '\(typeName).\(name)' cannot be set") }
        guard case .flag(let flag) = value else { throw .invalid("Invalid parameter type for '\(name)', expected: boolean") }
        advice.withLock { if name == "merge" { $0.merge = flag } else { $0.dump = flag } }
        advise()
    }
}

public enum MemoryBackendKind: GraphObjectKind {
    public static let typeNames = ["memory-backend-ram", "memory-backend-file", "memory-backend-memfd"]
    public static let options = [
        OptionDeclaration("size", .size, "bytes"), OptionDeclaration("share", .flag, "others that map it see what the guest writes"),
        OptionDeclaration("prealloc", .flag, default: "off", "the host's memory is there from the beginning"),
        OptionDeclaration("merge", .flag, default: "on", "the host may share equal pages"), OptionDeclaration("dump", .flag, default: "on", "core files have it"),
        OptionDeclaration("mem-path", .text, "the file, or a folder for one without a name"), OptionDeclaration("seal", .flag, "a memfd keeps its size"),
    ]

    public static func make(id: String, type: String, _ options: OptionValues, _ graph: BlockGraph) throws(BlockError) -> any GraphObject {
        if type != "memory-backend-file", options.has("mem-path") { throw .invalid("\(type): Invalid parameter 'mem-path'") }
        if type != "memory-backend-memfd", options.has("seal") { throw .invalid("\(type): Invalid parameter 'seal'") }
        let size = options.number("size") ?? 0
        guard size > 0 else { throw .invalid("\(type): property 'size' is not given") }
        guard size & 4095 == 0, size < 1 << 46 else { throw .invalid("\(type): property 'size' is \(size), expected a multiple of 4096") }
        // Memory without a name is its process's own, unless it is a memfd.
        let isShared = options.has("share") ? options.flag("share") : type == "memory-backend-memfd"
        let path = options.text("mem-path")
        var backing = RAMBlock.Backing.anonymous
        switch type {
        case "memory-backend-file":
            guard let path else { throw .invalid("\(type): property 'mem-path' is not given") }
            backing = .file(descriptor: try file(path, size), isShared: isShared)
        case "memory-backend-memfd":
            backing = .file(descriptor: try anonymous(id, size, isSealed: options.has("seal") ? options.flag("seal") : true), isShared: isShared)
        default: if isShared { backing = .file(descriptor: try anonymous(id, size, isSealed: false), isShared: true) }
        }
        let memory: RAMBlock
        do throws(MemoryError) { memory = try RAMBlock(name: id, size: size, backing: backing) } catch { throw .invalid(error.description) }
        let isPreallocated = options.flag("prealloc")
        if isPreallocated { try fill(memory, backing) }
        return MemoryBackend(id: id, type: type, memory: memory, isShared: isShared, isPreallocated: isPreallocated, merge: options.flag("merge"), dump: options.flag("dump"), path: path)
    }

    private static func file(_ path: String, _ size: UInt64) throws(BlockError) -> Int32 {
        var status = stat(), descriptor: Int32
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            var name = Array((path + "/apus-memory.XXXXXX").utf8CString)
            descriptor = mkstemp(&name)
            if descriptor >= 0 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
            if descriptor >= 0 { unlink(String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)) }
        } else {
            descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        }
        guard descriptor >= 0 else { throw .host(errno, "can't open backing store '\(path)'") }
        guard fstat(descriptor, &status) == 0, UInt64(max(0, status.st_size)) >= size || ftruncate(descriptor, Int(size)) == 0 else {
            let error = errno
            close(descriptor)
            throw .host(error, "backing store '\(path)' cannot have \(size) bytes")
        }
        return descriptor
    }

    private static func anonymous(_ id: String, _ size: UInt64, isSealed: Bool) throws(BlockError) -> Int32 {
        let closeOnExec = 1, allowSealing = 2, sealShrink = 2, sealGrow = 4, addSeals: Int32 = 1033
        let descriptor = id.withCString { Int32(truncatingIfNeeded: apus_syscall(Int(SYS_memfd_create), Int(bitPattern: $0), closeOnExec | (isSealed ? allowSealing : 0), 0, 0, 0, 0)) }
        guard descriptor >= 0 else { throw .host(-descriptor, "memory '\(id)'") }
        guard ftruncate(descriptor, Int(size)) == 0, !isSealed || fcntl(descriptor, addSeals, Int32(sealShrink | sealGrow)) == 0 else {
            let error = errno
            close(descriptor)
            throw .host(error, "memory '\(id)' cannot have \(size) bytes")
        }
        return descriptor
    }

    /// Has the host provide every page.
    private static func fill(_ memory: RAMBlock, _ backing: RAMBlock.Backing) throws(BlockError) {
        // A file's blocks first: pages without one would end the process when they are written.
        if case .file(let descriptor, true) = backing {
            let error = posix_fallocate(descriptor, 0, Int(memory.size))
            if error != 0, error != EOPNOTSUPP, error != EINVAL { throw .host(error, "preallocating memory '\(memory.name)'") }
        }
        let populate: Int32 = 23 // MADV_POPULATE_WRITE
        guard madvise(memory.host, Int(memory.size), populate) != 0 else { return }
        guard errno == EINVAL else { throw .host(errno, "preallocating memory '\(memory.name)'") }
        for offset in stride(from: 0, to: Int(memory.size), by: 4096) {
            memory.host.storeBytes(of: memory.host.load(fromByteOffset: offset, as: UInt8.self), toByteOffset: offset, as: UInt8.self)
        }
    }
}

/// Objects that only machines have.
public enum MachineObjects {
    public static let all: [any GraphObjectKind.Type] = [RandomKind.self, IOThreadKind.self, MemoryBackendKind.self]
}
