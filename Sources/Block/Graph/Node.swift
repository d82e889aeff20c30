// A node of the block graph: storage with a name. All requests of users and of formats come through here; the node
// checks what its storage may rely on: ranges, and that what is read-only is not written.

import Glibc
import Host

/// A child of a node: `file`, `backing`, `data-file`, an extent.
public struct Child: Sendable {
    public let role: String
    public let node: Node
    public init(_ role: String, _ node: Node) {
        self.role = role
        self.node = node
    }
}

/// Storage with a name, its children, and how it was opened.
public final class Node: Sendable {
    /// QEMU's node-name; unique in a graph.
    public let name: String
    /// The driver's name: `qcow2`, `file`, …
    public let driver: String
    /// As messages call it.
    public let filename: String
    public let storage: any Storage
    public let access: Access
    private let writer: (any WritableStorage)?
    private let vectored: (any VectoredStorage)?
    private let own: [Child]
    private struct State {
        var users = 1
        var isShut = false
        var observers: [any WriteObserver] = []
        /// Writes in flight, counted apart by the parity of the generation they began in: `attach` begins a new one and
        /// waits until the old one is empty.
        var generation = 0
        var writing = [0, 0]
    }
    private let attaching = Locked(())
    private let state = Locked(State())

    public init(name: String, driver: String, filename: String, storage: any Storage, access: Access, children: [Child] = []) {
        self.name = name
        self.driver = driver
        self.filename = filename
        self.storage = storage
        self.access = access
        own = children
        writer = access.writable ? storage as? any WritableStorage : nil
        vectored = storage as? any VectoredStorage
    }

    /// The image, if a format drives this node.
    public var image: (any Image)? { (storage as? ImageStorage)?.image }
    /// What is read where this node's image holds nothing.
    public var backing: Node? { (storage as? ImageStorage)?.backing ?? (storage as? any FilterStorage)?.file.backing }
    /// All children, a backing node last.
    public var children: [Child] { own + ((storage as? ImageStorage)?.backing.map { [Child("backing", $0)] } ?? []) }
    public func child(_ role: String) -> Node? { own.first { $0.role == role }?.node }
    public var isWritable: Bool { writer != nil }

    /// Bytes.
    public func length() throws(BlockError) -> UInt64 { try named { () throws(BlockError) in try storage.length() } }

    /// Fills `buffer` from `offset`.
    public func read(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        if buffer.count == 0 { return }
        try named { () throws(BlockError) in try storage.read(offset, buffer) }
    }

    /// Writes `buffer` at `offset`.
    public func write(_ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        if buffer.count == 0 { return }
        if access.zeroDetection != .off, buffer.isZero { return try writeZeroes(offset, UInt64(buffer.count), unmap: access.zeroDetection == .unmap) }
        try named { () throws(BlockError) in
            let writer = try self.writing(offset, UInt64(buffer.count))
            try observed(offset, UInt64(buffer.count)) { () throws(BlockError) in try writer.write(offset, buffer) }
            if access.cache.writeThrough { try flush() }
        }
    }

    /// Fills `buffers`, one after the other, from `offset`: without a copy where the storage can.
    public func read(_ offset: UInt64, scattered buffers: [BlockBuffer]) throws(BlockError) {
        if buffers.count == 1 { return try read(offset, buffers[0]) }
        let done = try named { () throws(BlockError) in try vectored?.read(offset, scattered: buffers) ?? false }
        if done { return }
        let bounce = try OwnedBuffer(buffers.reduce(0) { $0 + $1.count })
        try read(offset, bounce.buffer)
        var at = 0
        for buffer in buffers {
            buffer.copy(from: bounce.buffer.slice(at, buffer.count))
            at += buffer.count
        }
        withExtendedLifetime(bounce) {}
    }

    /// Writes `buffers`, one after the other, at `offset`.
    public func write(_ offset: UInt64, scattered buffers: [BlockBuffer]) throws(BlockError) {
        if buffers.count == 1 { return try write(offset, buffers[0]) }
        let count = buffers.reduce(0) { $0 + $1.count }
        if access.zeroDetection != .off, buffers.allSatisfy(\.isZero) { return try writeZeroes(offset, UInt64(count), unmap: access.zeroDetection == .unmap) }
        let done = try named { () throws(BlockError) -> Bool in
            _ = try self.writing(offset, UInt64(count))
            guard let vectored else { return false }
            var done = false
            try observed(offset, UInt64(count)) { () throws(BlockError) in done = try vectored.write(offset, scattered: buffers) }
            if done, access.cache.writeThrough { try flush() }
            return done
        }
        if done { return }
        let bounce = try OwnedBuffer(count)
        var at = 0
        for buffer in buffers {
            bounce.buffer.slice(at, buffer.count).copy(from: buffer)
            at += buffer.count
        }
        try write(offset, bounce.buffer)
        withExtendedLifetime(bounce) {}
    }

    /// Runs `body`, which writes to this node's storage past `write`.
    func observingWrite(_ offset: UInt64, _ count: UInt64, _ body: () throws(BlockError) -> Void) throws(BlockError) {
        if count == 0 { return }
        try named { () throws(BlockError) in
            _ = try self.writing(offset, count)
            try observed(offset, count, body)
            if access.cache.writeThrough { try flush() }
        }
    }

    /// Makes a range read as zeros. - Parameter unmap: its space may be given back.
    public func writeZeroes(_ offset: UInt64, _ count: UInt64, unmap: Bool = true) throws(BlockError) {
        if count == 0 { return }
        try named { () throws(BlockError) in
            let writer = try self.writing(offset, count)
            try observed(offset, count) { () throws(BlockError) in try writer.writeZeroes(offset, count, unmap: unmap) }
            if access.cache.writeThrough { try flush() }
        }
    }

    /// Says that nobody needs a range; does nothing unless the node was opened with discards.
    public func discard(_ offset: UInt64, _ count: UInt64) throws(BlockError) {
        if count == 0 { return }
        try named { () throws(BlockError) in
            let writer = try self.writing(offset, count)
            if access.discards { try observed(offset, count) { () throws(BlockError) in try writer.discard(offset, count) } }
        }
    }

    /// The barrier: returns when everything written before is safe.
    public func flush() throws(BlockError) {
        guard let writer else { return }
        try named { () throws(BlockError) in try writer.flush() }
    }

    /// What is known of a range, on this node alone. Covers at least one byte, at most `count`, up to the end.
    public func status(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> BlockStatus {
        try named { () throws(BlockError) in try storage.status(offset, max(1, count)) }
    }

    /// Sets the length, of files and images that can.
    public func setLength(_ length: UInt64, _ preallocation: Preallocation = .off) throws(BlockError) {
        guard access.writable else { throw BlockError(.readOnly, "opened read-only", file: filename) }
        guard let resizable = storage as? any ResizableStorage else {
            throw BlockError(.unsupported, "Image format driver does not support resize", file: filename)
        }
        try named { () throws(BlockError) in try resizable.setLength(length, preallocation) }
    }

    private func writing(_ offset: UInt64, _ count: UInt64) throws(BlockError) -> any WritableStorage {
        guard let writer else { throw BlockError(.readOnly, "opened read-only") }
        let (end, overflow) = offset.addingReportingOverflow(count)
        guard !overflow, end <= UInt64(Int64.max) else { throw BlockError(.invalid, "a write of \(count) bytes ends beyond 2^63", offset: offset) }
        if !writer.growsOnWrite {
            let length = try storage.length()
            guard end <= length else { throw BlockError(.invalid, "a write of \(count) bytes ends beyond the \(length) bytes there are", offset: offset) }
        }
        return writer
    }

    private func named<Result>(_ body: () throws(BlockError) -> Result) throws(BlockError) -> Result {
        do { return try body() } catch { throw error.naming(filename) }
    }

    // MARK: Lifetime

    /// Another user: it must call `close` too.
    public func retain() { state.withLock { $0.users += 1 } }

    /// Gives the node up. The last user's call writes everything back, closes it, and gives up its children.
    public func close() throws(BlockError) {
        let (last, isShut) = state.withLock { state in
            state.users -= 1
            return (state.users == 0, state.isShut)
        }
        guard last else { return }
        var failure: BlockError?
        let all = children
        if !isShut { do { try shut() } catch { failure = error } }
        for child in all {
            do { try child.node.close() } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    private func shut() throws(BlockError) {
        var failure: BlockError?
        do {
            if isWritable { try flush() }
        } catch { failure = error }
        do { try storage.close() } catch { failure = failure ?? error.naming(filename) }
        if let failure { throw failure }
    }

    /// Who uses the node: parents, roots, jobs, the one who opened it.
    public var userCount: Int { state.withLock { $0.users } }

    /// Writes everything back and gives the node's own storage up before its last user does, because it is to be opened
    /// anew in another way. Nobody may send requests to it any more; its children stay until `close`.
    public func closeEarly() throws(BlockError) {
        let isNew = state.withLock { state in
            defer { state.isShut = true }
            return !state.isShut
        }
        if isNew { try shut() }
    }

    // MARK: Observers

    /// From now on, `observer` learns of each write; those that began earlier are over when this returns. Jobs hold
    /// writes back and copy what is about to change by this.
    public func attach(_ observer: any WriteObserver) {
        attaching.withLock { _ in
            let before = state.withLock { state in
                state.observers.append(observer)
                state.generation += 1
                return (state.generation - 1) & 1
            }
            while state.withLock({ $0.writing[before] }) > 0 { usleep(200) }
        }
    }
    public func detach(_ observer: any WriteObserver) { state.withLock { $0.observers.removeAll { $0 === observer } } }

    private func observed(_ offset: UInt64, _ count: UInt64, _ body: () throws(BlockError) -> Void) throws(BlockError) {
        let (observers, parity) = state.withLock { state in
            let parity = state.generation & 1
            state.writing[parity] += 1
            return (state.observers, parity)
        }
        for observer in observers { observer.willWrite(offset, count) }
        defer {
            // In the opposite order: who was asked first, whether the write may begin, is told last that it is over.
            for observer in observers.reversed() { observer.didWrite(offset, count) }
            state.withLock { $0.writing[parity] -= 1 }
        }
        try body()
    }
}

extension Node {
    /// Metadata is read in pieces of at most this: the bound on what a header's numbers can make Apus allocate at once.
    public static let largestMetadata = 64 << 20

    /// `count` bytes of metadata at `offset`, zeros beyond the end. - Throws: `corrupt` if `count` is above the bound.
    public func metadata(_ offset: UInt64, _ count: Int, order: ByteOrder) throws(BlockError) -> Bytes {
        Bytes(try bytes(offset, count), at: offset, order: order)
    }

    /// As `metadata`, without an order.
    public func bytes(_ offset: UInt64, _ count: Int) throws(BlockError) -> [UInt8] {
        guard count >= 0, count <= Node.largestMetadata else {
            throw BlockError(.corrupt, "a table of \(count) bytes: expected at most \(Node.largestMetadata)", file: filename, offset: offset)
        }
        var array = [UInt8](repeating: 0, count: count)
        try BlockBuffer.with(&array) { (buffer) throws(BlockError) in try read(offset, buffer) }
        return array
    }

    /// Writes metadata.
    public func write(_ offset: UInt64, bytes: [UInt8]) throws(BlockError) {
        var copy = bytes
        try BlockBuffer.with(&copy) { (buffer) throws(BlockError) in try write(offset, buffer) }
    }
}
