// Jobs that copy: blockdev-mirror, blockdev-backup, block-commit, block-stream.

import Block
import Core
import Host
import Monitor

extension BlockService {
    private static let errorPolicy = ValueType.enumeration("BlockdevOnError", ["report"])
    private static let jobParameters = [
        Parameter("job-id", .text, optional: true), Parameter("device", .text), Parameter("speed", .size, optional: true),
        Parameter("auto-finalize", .flag, optional: true), Parameter("auto-dismiss", .flag, optional: true),
    ]
    static let backupParameters = jobParameters + [
        Parameter("target", .text), Parameter("sync", .enumeration("MirrorSyncMode", ["top", "full", "none", "incremental", "bitmap"])),
        Parameter("bitmap", .text, optional: true), Parameter("bitmap-mode", .enumeration("BitmapSyncMode", ["on-success", "never", "always"]), optional: true),
        Parameter("on-source-error", errorPolicy, optional: true), Parameter("on-target-error", errorPolicy, optional: true),
    ]

    var copyCommands: [CommandDeclaration] {
        func command(_ name: String, _ parameters: [Parameter], _ act: @escaping @Sendable (Arguments) throws(BlockError) -> Void) -> CommandDeclaration {
            CommandDeclaration(name, parameters) { [self] arguments throws(MonitorError) in
                try BlockService.reporting { () throws(BlockError) in
                    try changing.withLock { (_) throws(BlockError) in try act(arguments) }
                }
                return .nothing
            }
        }
        return [
            command("blockdev-mirror", BlockService.jobParameters + [
                Parameter("target", .text), Parameter("sync", .enumeration("MirrorSyncMode", ["top", "full", "none", "incremental", "bitmap"])),
                Parameter("granularity", .size, optional: true), Parameter("on-source-error", BlockService.errorPolicy, optional: true),
                Parameter("on-target-error", BlockService.errorPolicy, optional: true),
                Parameter("copy-mode", .enumeration("MirrorCopyMode", ["background"]), optional: true),
            ]) { [self] (arguments) throws(BlockError) in try mirror(arguments) },
            command("blockdev-backup", BlockService.backupParameters) { [self] (arguments) throws(BlockError) in _ = try backup(arguments) },
            command("block-commit", BlockService.jobParameters + [
                Parameter("base-node", .text, optional: true), Parameter("base", .text, optional: true), Parameter("top-node", .text, optional: true),
                Parameter("top", .text, optional: true), Parameter("backing-file", .text, optional: true), Parameter("on-error", BlockService.errorPolicy, optional: true),
            ]) { [self] (arguments) throws(BlockError) in try commit(arguments) },
            command("block-stream", BlockService.jobParameters + [
                Parameter("base-node", .text, optional: true), Parameter("base", .text, optional: true), Parameter("backing-file", .text, optional: true),
                Parameter("on-error", BlockService.errorPolicy, optional: true),
            ]) { [self] (arguments) throws(BlockError) in try stream(arguments) },
        ]
    }

    private func size(_ arguments: Arguments, _ name: String) throws(BlockError) -> UInt64? {
        do throws(MonitorError) { return try arguments.size(name) } catch { throw .invalid(error.text) }
    }

    /// Source and target of a copy.
    private func pair(_ arguments: Arguments) throws(BlockError) -> (Node, Node) {
        let source = try find(arguments.text("device") ?? ""), target = try find(arguments.text("target") ?? "")
        guard source !== target else { throw .invalid("Cannot mirror node into itself") }
        guard target.isWritable else { throw BlockError(.readOnly, "Block node is read-only: '\(target.name)'") }
        let lengths = (try source.length(), try target.length())
        guard lengths.0 == lengths.1 else { throw .invalid("Source and target image have different sizes") }
        return (source, target)
    }

    // MARK: Mirror and backup

    private func mirror(_ arguments: Arguments) throws(BlockError) {
        let (source, target) = try pair(arguments)
        let scope: MirrorJob.Scope
        switch arguments.text("sync") ?? "" {
        case "full": scope = .full
        case "top": scope = .top
        case "none": scope = .none
        case let word: throw .unsupported("blockdev-mirror: sync mode '\(word)' is not supported")
        }
        let mirror = try MirrorJob(source: source, target: target, scope: scope, granularity: try size(arguments, "granularity") ?? 65536, control: JobControl())
        try start("mirror", arguments, device: source, BlockJob.Work(run: { [self] (job) throws(BlockError) in
            try mirror.run { if !job.keepsSource { exchange(source, for: target) } }
        }, control: mirror.control, mirror: mirror, nodes: [source, target]))
    }

    /// Starts a backup; the moment it is of is now.
    func backup(_ arguments: Arguments) throws(BlockError) -> Undo {
        let (source, target) = try pair(arguments)
        let control = JobControl()
        var changes: DirtyTracker?
        var used: (name: String, mode: String)?
        let sync = arguments.text("sync") ?? ""
        switch sync {
        case "full": break
        case "top":
            let tracker = try DirtyTracker(length: try source.length())
            var position: UInt64 = 0
            let length = try source.length()
            while position < length {
                let status = try source.status(position, length - position)
                if status.isAllocated { tracker.mark(position, status.length) }
                position += status.length
            }
            changes = tracker
        case "incremental", "bitmap":
            guard let name = arguments.text("bitmap") else { throw .invalid("must provide a valid bitmap name for '\(sync)' sync mode") }
            let mode = arguments.text("bitmap-mode") ?? (sync == "incremental" ? "on-success" : "")
            guard !mode.isEmpty else { throw .invalid("Bitmap sync mode must be given when providing a bitmap") }
            let tracker = try DirtyTracker(length: try source.length(), granularity: try granularity(source, name))
            tracker.mark(try dirtyRanges(source, name))
            changes = tracker
            used = (name, mode)
        default: throw .unsupported("blockdev-backup: sync mode '\(sync)' is not supported")
        }
        if used == nil, arguments.has("bitmap") { throw .invalid("sync mode '\(sync)' takes no bitmap") }
        let job = try BackupJob(source: source, target: target, changes: changes, control: control)
        // What is copied is no longer dirty, from this moment on; a failure marks it again.
        let before = try used.map { (used) throws(BlockError) in try dirtyRanges(source, used.name) } ?? []
        if let used, used.mode != "never" { try clear(source, used.name) }
        job.begin()
        let chosen = used
        do throws(BlockError) {
            try start("backup", arguments, device: source, BlockJob.Work(run: { (_) throws(BlockError) in try job.run() }, cleanUp: { [self] succeeded in
                if let chosen, !succeeded, chosen.mode == "on-success" { try? mark(source, chosen.name, before) }
            }, control: control, nodes: [source, target]))
        } catch {
            job.abandon()
            if let used, used.mode != "never" { try? mark(source, used.name, before) }
            throw error
        }
        let id = arguments.text("job-id") ?? source.name
        return { [self] in state.withLock { $0.jobs.first { $0.id == id } }?.cancel() }
    }

    // MARK: Commit and stream

    /// A node of a chain by `NAME-node` (its name) or `NAME` (its file).
    private func member(_ arguments: Arguments, _ name: String, of chain: [Node]) throws(BlockError) -> Node? {
        if let word = arguments.text(name + "-node") {
            guard let node = chain.first(where: { $0.name == word }) else { throw .invalid("'\(word)' is not in this backing file chain") }
            return node
        }
        guard let word = arguments.text(name) else { return nil }
        guard let node = chain.first(where: { $0.filename == word }) else { throw .invalid("Can't find '\(word)' in the backing chain") }
        return node
    }

    private func commit(_ arguments: Arguments) throws(BlockError) {
        let device = try find(arguments.text("device") ?? "")
        let chain = device.chain
        let top = try member(arguments, "top", of: chain) ?? device
        guard let bottom = chain.last, let topIndex = chain.firstIndex(where: { $0 === top }) else { throw .invalid("the chain is empty") }
        let base = try member(arguments, "base", of: chain) ?? bottom
        guard let baseIndex = chain.firstIndex(where: { $0 === base }), baseIndex > topIndex else { throw .invalid("'\(base.name)' is not below '\(top.name)'") }
        for node in chain[...baseIndex] { try refuseIfBusy(node) }
        // From here on, nodes may be other objects of the same name.
        let names = chain.map(\.name)
        try quiesced { () throws(BlockError) in
            _ = try writable(base)
            if topIndex > 0 { _ = try writable(chain[topIndex - 1]) }
        }
        let now = try find(names[0]).chain
        guard now.count == chain.count else { throw .invalid("the chain of '\(names[0])' has changed") }
        let upper = now[topIndex], lower = now[baseIndex]
        if try lower.length() < upper.length() { try lower.setLength(try upper.length()) }
        if topIndex == 0 {
            if arguments.has("backing-file") { throw .invalid("backing-file is not to be specified for an active commit") }
            let mirror = try MirrorJob(source: upper, target: lower, scope: .above(lower), control: JobControl())
            return try start("commit", arguments, device: upper, BlockJob.Work(run: { [self] (job) throws(BlockError) in
                try mirror.run { if !job.keepsSource { exchange(upper, for: lower) } }
            }, control: mirror.control, mirror: mirror, nodes: [upper, lower]))
        }
        let above = now[topIndex - 1]
        guard let storage = above.storage as? ImageStorage, let image = above.image as? any RebasableImage else {
            throw .unsupported("the format '\(above.driver)' cannot be put on another backing file")
        }
        let reference = FileReference(name: arguments.text("backing-file") ?? lower.filename, format: lower.driver)
        try start("commit", arguments, device: now[0], BlockJob.Work(run: { (job) throws(BlockError) in
            try CommitJob(top: upper, base: lower, control: job.control).run()
        }, finish: { () throws(BlockError) in
            try storage.exclusively { () throws(BlockError) in try image.setBacking(reference) }
            lower.retain()
            storage.setBacking(lower)
            try upper.close()
            try above.flush()
        }, nodes: Array(now[...baseIndex])))
    }

    private func stream(_ arguments: Arguments) throws(BlockError) {
        let device = try find(arguments.text("device") ?? "")
        guard device.isWritable else { throw BlockError(.readOnly, "Block node is read-only: '\(device.name)'") }
        let chain = device.chain
        let base = try member(arguments, "base", of: Array(chain.dropFirst()))
        guard let old = device.backing else { return try start("stream", arguments, device: device, BlockJob.Work(run: { _ in }, nodes: [device])) }
        let reference = base.map { FileReference(name: arguments.text("backing-file") ?? $0.filename, format: $0.driver) }
        let end = base.flatMap { base in chain.firstIndex { $0 === base } } ?? chain.count - 1
        try start("stream", arguments, device: device, BlockJob.Work(run: { (job) throws(BlockError) in
            // The base is the device's own from now on; what stood between is given up below.
            base?.retain()
            do throws(BlockError) { try StreamJob(node: device, base: base, control: job.control).run(naming: reference) } catch {
                try? base?.close()
                throw error
            }
        }, finish: { () throws(BlockError) in try old.close() }, nodes: Array(chain[...end])))
    }
}
