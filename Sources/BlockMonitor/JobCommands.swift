// Steering jobs: block-job-*, job-*, query-block-jobs, query-jobs.

import Block
import Core
import Host
import Monitor

extension BlockService {
    static let jobType = ValueType.object("BlockJobInfo", [
        Parameter("type", .enumeration("JobType", BlockJob.typeWords)), Parameter("device", .text), Parameter("len", .integer), Parameter("offset", .integer),
        Parameter("busy", .flag), Parameter("paused", .flag), Parameter("speed", .integer), Parameter("io-status", .text), Parameter("ready", .flag),
        Parameter("status", .enumeration("JobStatus", BlockJob.statusWords)), Parameter("auto-finalize", .flag), Parameter("auto-dismiss", .flag),
        Parameter("error", .text, optional: true),
    ])

    var jobCommands: [CommandDeclaration] {
        var commands: [CommandDeclaration] = [
            CommandDeclaration("query-block-jobs", returns: .array(BlockService.jobType)) { [self] _ in
                .array(state.withLock { $0.jobs }.map(\.asBlockJob))
            },
            CommandDeclaration("query-jobs", returns: .array(.object("JobInfo", [
                Parameter("id", .text), Parameter("type", .enumeration("JobType", BlockJob.typeWords)), Parameter("status", .enumeration("JobStatus", BlockJob.statusWords)),
                Parameter("current-progress", .integer), Parameter("total-progress", .integer), Parameter("error", .text, optional: true),
            ]))) { [self] _ in .array(state.withLock { $0.jobs }.map(\.asJob)) },
            CommandDeclaration("block-job-set-speed", [Parameter("device", .text), Parameter("speed", .size)]) { [self] arguments throws(MonitorError) in
                try job(arguments, "device").setSpeed(try arguments.size("speed") ?? 0)
                return .nothing
            },
            CommandDeclaration("block-job-cancel", [Parameter("device", .text), Parameter("force", .flag, optional: true)]) { [self] arguments throws(MonitorError) in
                let job = try job(arguments, "device")
                if job.control.isPaused, arguments.flag("force") != true { throw MonitorError("The block job for device '\(job.id)' is currently paused") }
                job.cancel(force: arguments.flag("force") ?? false)
                return .nothing
            },
            CommandDeclaration("job-cancel", [Parameter("id", .text)]) { [self] arguments throws(MonitorError) in
                try job(arguments, "id").cancel()
                return .nothing
            },
        ]
        // The rest has two names each: by `device` for block jobs, by `id` for jobs.
        let verbs: [(String, @Sendable (BlockJob) throws(MonitorError) -> Void)] = [
            ("pause", { (job) throws(MonitorError) in try job.pause() }), ("resume", { (job) throws(MonitorError) in try job.resume() }),
            ("complete", { (job) throws(MonitorError) in try job.complete() }), ("dismiss", { (job) throws(MonitorError) in try job.dismissByUser() }),
            ("finalize", { (job) throws(MonitorError) in try job.finalize() }),
        ]
        for (verb, act) in verbs {
            for (prefix, key) in [("block-job-", verb == "dismiss" || verb == "finalize" ? "id" : "device"), ("job-", "id")] {
                commands.append(CommandDeclaration(prefix + verb, [Parameter(key, .text)]) { [self] arguments throws(MonitorError) in
                    try act(try job(arguments, key))
                    return .nothing
                })
            }
        }
        return commands + copyCommands
    }

    private func job(_ arguments: Arguments, _ key: String) throws(MonitorError) -> BlockJob {
        let id = try arguments.required(key)
        guard let job = state.withLock({ $0.jobs.first { $0.id == id } }) else {
            throw key == "device" ? MonitorError("Block job '\(id)' not found", .deviceNotActive) : MonitorError("Job not found")
        }
        return job
    }

    /// Makes a job known and starts it. With `changing` held.
    func start(_ type: String, _ arguments: Arguments, device: Node, _ work: BlockJob.Work) throws(BlockError) {
        let id = arguments.text("job-id") ?? device.name
        if arguments.flag("auto-finalize") == false, work.mirror != nil { throw .unsupported("auto-finalize=off is not supported for jobs that take over") }
        var speed: UInt64 = 0
        do throws(MonitorError) { speed = try arguments.size("speed") ?? 0 } catch { throw .invalid(error.text) }
        for node in work.nodes { try refuseIfBusy(node) }
        let job = BlockJob(self, id: id, type: type, arguments, speed: speed, work)
        let isNew = state.withLock { state in
            if state.jobs.contains(where: { $0.id == id }) { return false }
            state.jobs.append(job)
            return true
        }
        guard isNew else { throw .invalid("Job ID '\(id)' already in use") }
        guard job.start() else {
            state.withLock { $0.jobs.removeAll { $0 === job } }
            throw BlockError(.input, "the host gives no thread")
        }
    }
}
