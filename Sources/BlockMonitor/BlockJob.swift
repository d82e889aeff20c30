// A job on block nodes: its states as QMP's clients see them (docs/interop/live-block-operations of QEMU), and the thread that
// does it. Left out: auto-finalize=false of jobs that take over, errors that stop a job instead of ending it.

import Block
import Core
import Host
import Monitor

final class BlockJob: Sendable {
    static let statusWords = ["undefined", "created", "running", "paused", "ready", "standby", "waiting", "pending", "aborting", "concluded", "null"]
    static let typeWords = ["commit", "stream", "mirror", "backup"]

    /// What a job is to do.
    struct Work: Sendable {
        /// On the job's thread: returns when the copying is done.
        var run: @Sendable (BlockJob) throws(BlockError) -> Void
        /// Then: changes the graph. With `changing` held.
        var finish: @Sendable () throws(BlockError) -> Void = {}
        /// At the very end, whatever became of it.
        var cleanUp: @Sendable (_ succeeded: Bool) -> Void = { _ in }
        /// What the copying is steered by.
        var control = JobControl()
        /// Copies until it is told to take over.
        var mirror: MirrorJob?
        /// Nodes in use: kept open.
        var nodes: [Node]
    }

    let id: String
    let type: String
    let control: JobControl
    private let work: Work
    private let service: BlockService
    private let finalizesItself: Bool
    private let dismissesItself: Bool
    private let limit: Locked<UInt64>
    private struct State {
        var status = "created"
        var error: String?
        var mayFinalize = false
        /// The copying of a mirror has ended.
        var hasCopied = false
        var isEnding = false
        /// A mirror that was cancelled when both were equal: nothing moves.
        var keepsSource = false
        var isOver = false
    }
    private let state = Waiting(State())

    init(_ service: BlockService, id: String, type: String, _ arguments: Arguments, speed: UInt64, _ work: Work) {
        self.service = service
        self.id = id
        self.type = type
        self.work = work
        control = work.control
        finalizesItself = arguments.flag("auto-finalize") ?? true
        dismissesItself = arguments.flag("auto-dismiss") ?? true
        limit = Locked(speed)
        control.limit.set(speed)
    }

    func uses(_ node: Node) -> Bool { work.nodes.contains { $0 === node } }
    var status: String { state.look { $0.status } }
    var hasEnded: Bool { state.look { $0.isOver } }
    func waitForEnd() { _ = state.wait { $0.isOver ? true : nil } }
    /// While a mirror takes over: whether it does.
    var keepsSource: Bool { state.look { $0.keepsSource } }

    private func enter(_ status: String) {
        state.change { $0.status = status }
        service.monitor.emit("JOB_STATUS_CHANGE", .object([.init("status", .text(status)), .init("id", .text(id))]))
    }

    // MARK: Running

    func start() -> Bool {
        for node in work.nodes { node.retain() }
        enter("created")
        enter("running")
        let started = BackgroundThread.start { [self] in live() }
        if !started { for node in work.nodes { try? node.close() } }
        return started
    }

    private func live() {
        var failure: BlockError?
        if let mirror = work.mirror { watch(mirror) }
        do throws(BlockError) { try work.run(self) } catch { failure = error }
        state.change { $0.hasCopied = true }
        // The end of a mirror holds the graph already.
        let isMirror = work.mirror != nil
        if failure == nil {
            enter("waiting")
            enter("pending")
            if !finalizesItself, !isMirror {
                service.monitor.emit("BLOCK_JOB_PENDING", .object([.init("type", .text(type)), .init("id", .text(id))]))
                _ = state.wait { [control] in $0.mayFinalize || control.isCancelled ? true : nil }
                if control.isCancelled { failure = BlockError(.cancelled, "the job was cancelled") }
            }
            if failure == nil, !isMirror {
                do throws(BlockError) { try service.changing.withLock { (_) throws(BlockError) in try work.finish() } } catch { failure = error }
            }
        }
        if failure != nil { enter("aborting") }
        work.cleanUp(failure == nil)
        for node in work.nodes { try? node.close() }
        conclude(failure)
    }

    private func conclude(_ failure: BlockError?) {
        let isCancelled = failure?.kind == .cancelled
        if let failure, !isCancelled { state.change { $0.error = failure.place } }
        var members = eventMembers
        if let failure, !isCancelled { members.append(.init("error", .text(failure.place))) }
        service.monitor.emit(isCancelled ? "BLOCK_JOB_CANCELLED" : "BLOCK_JOB_COMPLETED", .object(members))
        enter("concluded")
        state.change { $0.isOver = true }
        if dismissesItself { dismiss() }
    }

    func dismiss() {
        service.state.withLock { $0.jobs.removeAll { $0 === self } }
        enter("null")
    }

    private func watch(_ mirror: MirrorJob) {
        _ = BackgroundThread.start { [self] in
            while !mirror.isReady {
                if state.wait(seconds: 0.01, { $0.hasCopied ? true : nil }) == true { return }
            }
            enter("ready")
            service.monitor.emit("BLOCK_JOB_READY", .object(eventMembers))
        }
    }

    /// `len` is what is known of the work, `offset` what of it is done.
    private var eventMembers: [JSONValue.Member] {
        let progress = control.progress
        return [.init("type", .text(type)), .init("speed", .number(limit.withLock { $0 })), .init("len", .number(progress.total)),
                .init("offset", .number(min(progress.done, progress.total))), .init("device", .text(id))]
    }

    // MARK: Steering

    func setSpeed(_ speed: UInt64) {
        limit.withLock { $0 = speed }
        control.limit.set(speed)
    }

    func pause() throws(MonitorError) {
        let status = status
        guard status == "running" || status == "ready" else { throw MonitorError("Job '\(id)' in state '\(status)' cannot accept command verb 'pause'") }
        control.pause()
        enter(status == "ready" ? "standby" : "paused")
    }
    func resume() throws(MonitorError) {
        let status = status
        guard status == "paused" || status == "standby" else { throw MonitorError("Job '\(id)' in state '\(status)' cannot accept command verb 'resume'") }
        control.resume()
        enter(status == "standby" ? "ready" : "running")
    }

    func cancel(force: Bool = true) {
        // A mirror that is ready ends with both equal, and stays where it is.
        if !force, status == "ready", let mirror = work.mirror { return end(mirror, keepsSource: true) }
        control.cancel()
        state.change { _ in }
    }

    func complete() throws(MonitorError) {
        guard let mirror = work.mirror else { throw MonitorError("Job '\(id)' in state '\(status)' cannot accept command verb 'complete'") }
        guard status == "ready" else { throw MonitorError("The active block job '\(id)' cannot be completed") }
        end(mirror, keepsSource: false)
    }

    /// The last pass goes with all requests kept out.
    private func end(_ mirror: MirrorJob, keepsSource: Bool) {
        let isFirst = state.change { state in
            defer { state.isEnding = true; state.keepsSource = keepsSource }
            return !state.isEnding
        }
        guard isFirst else { return }
        _ = BackgroundThread.start { [self] in
            service.changing.withLock { _ in
                _ = try? service.quiesced { () throws(BlockError) in
                    mirror.complete()
                    _ = state.wait { $0.hasCopied ? true : nil }
                }
            }
        }
    }

    func finalize() throws(MonitorError) {
        guard status == "pending" else { throw MonitorError("Job '\(id)' in state '\(status)' cannot accept command verb 'finalize'") }
        state.change { $0.mayFinalize = true }
    }
    func dismissByUser() throws(MonitorError) {
        guard hasEnded else { throw MonitorError("Job '\(id)' in state '\(status)' cannot accept command verb 'dismiss'") }
        dismiss()
    }

    // MARK: Telling

    var asBlockJob: JSONValue {
        let status = status
        let error = state.look { $0.error }
        return .object([
            .init("auto-finalize", .flag(finalizesItself)), .init("io-status", .text("ok")), .init("auto-dismiss", .flag(dismissesItself)),
            .init("busy", .flag(status == "running")), .init("status", .text(status)), .init("paused", .flag(control.isPaused)),
            .init("ready", .flag(status == "ready" || status == "standby")),
        ] + eventMembers + (error.map { [.init("error", .text($0))] } ?? []))
    }
    var asJob: JSONValue {
        let progress = control.progress
        let error = state.look { $0.error }
        return .object([.init("current-progress", .number(min(progress.done, progress.total))), .init("status", .text(status)),
                        .init("total-progress", .number(progress.total)), .init("type", .text(type)), .init("id", .text(id))]
            + (error.map { [.init("error", .text($0))] } ?? []))
    }
}
