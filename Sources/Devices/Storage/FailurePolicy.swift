// What becomes of a disk's requests that fail: `werror` and `rerror`.

import Block
import CHost
import Core
import Host

/// What is done about failures of one direction.
public enum FailurePolicy: String, Sendable, CaseIterable {
    case report, ignore, stop
    /// Stop if the host has no space left, report all else.
    case enospc

    /// The values of the properties `werror` and `rerror`.
    static let choices = allCases.map(\.rawValue) + ["auto"]
}

/// The policies of a disk, and the machine that they concern.
public struct FailureHandling: Sendable {
    public var reads: FailurePolicy
    public var writes: FailurePolicy
    public var drive: String
    public var path: String
    public var requests: MachineRequests
    public var gate: RunGate

    public init(reads: FailurePolicy, writes: FailurePolicy, drive: String, path: String, requests: MachineRequests, gate: RunGate) {
        self.reads = reads
        self.writes = writes
        self.drive = drive
        self.path = path
        self.requests = requests
        self.gate = gate
    }

    func action(_ error: BlockError, isWrite: Bool) -> DiskFailure.Action {
        switch isWrite ? writes : reads {
        case .report: .report
        case .ignore: .ignore
        case .stop: .stop
        case .enospc: error.kind == .noSpace ? .stop : .report
        }
    }

    func tell(_ error: BlockError, _ action: DiskFailure.Action, isWrite: Bool, node: String) {
        requests.post(.diskFailure(DiskFailure(drive: drive, node: node, path: path, isWrite: isWrite, action: action, isNoSpace: error.kind == .noSpace, reason: error.text)))
    }
}

/// How the thread that does a request may wait for the machine to go on.
enum RequestThread: Int {
    private static let slot: Int32 = 6, dismissalSlot: Int32 = 7

    /// Not at all: it is a vCPU's, or has the device's lock.
    case other = 0
    /// It has nothing else to do.
    case worker
    /// Not at all; but the request can be given to a worker.
    case handingOver
    /// That is to be done.
    case handedOver

    static var current: RequestThread {
        get { RequestThread(rawValue: Int(bitPattern: apus_thread_get(slot))) ?? .other }
        set { apus_thread_set(slot, UnsafeMutableRawPointer(bitPattern: newValue.rawValue)) }
    }

    /// Runs a worker's requests. - Parameter dismissals: changes when nobody wants them any more.
    static func working<Result>(_ dismissals: AtomicInt, _ body: () -> Result) -> Result {
        apus_thread_set(dismissalSlot, Unmanaged.passUnretained(dismissals).toOpaque())
        current = .worker
        defer {
            current = .other
            apus_thread_set(dismissalSlot, nil)
        }
        return body()
    }

    /// How often the worker that this is has been told that nobody wants its requests.
    static var dismissals: Int { apus_thread_get(dismissalSlot).map { Unmanaged<AtomicInt>.fromOpaque($0).takeUnretainedValue().load() } ?? 0 }
}
