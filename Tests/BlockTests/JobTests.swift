import Block
import Formats
import Foundation
import Host
import Testing

/// Jobs while a guest writes.
@Suite struct JobTests {
    private static let size: UInt64 = 8 << 20

    private func pair(_ scratch: Scratch) throws -> (Node, Node, [UInt8]) {
        let source = try scratch.graph.open(try scratch.create(VDIFormat.self, "", size: JobTests.size), format: "vdi", Access(writable: true, cache: .unsafe))
        let target = try scratch.graph.open(try scratch.create(RawFormat.self, "", size: JobTests.size), format: "raw", Access(writable: true, cache: .unsafe))
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 / 777) }
        try source.write(500_000, bytes: bytes)
        var whole = [UInt8](repeating: 0, count: Int(JobTests.size))
        whole.replaceSubrange(500_000..<3_500_000, with: bytes)
        return (source, target, whole)
    }

    private func contents(_ node: Node) throws -> [UInt8] { try node.bytes(0, Int(JobTests.size)) }

    /// Writes at random places until told to stop.
    private func guest(_ node: Node, _ stop: Locked<Bool>, seed: UInt64) -> Thread {
        let thread = Thread {
            var random = Seeded(seed)
            while !stop.withLock({ $0 }) {
                let start = random.below(JobTests.size - 70_000)
                try? node.write(start, bytes: [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: Int(random.below(70_000)) + 1))
                usleep(300)
            }
        }
        thread.start()
        return thread
    }

    @Test func aMirrorBecomesEqualWhileItsSourceIsWritten() throws {
        let scratch = Scratch()
        let (source, target, _) = try pair(scratch)
        let job = try MirrorJob(source: source, target: target, control: JobControl())
        let stop = Locked(false)
        let writer = guest(source, stop, seed: 3)
        let ending = Thread { while !job.isReady { usleep(1000) }; usleep(50_000); job.complete() }
        ending.start()
        var equal = false
        try job.run { () throws(BlockError) in
            // Writes are held back here.
            equal = try Comparison(source, target).run() == .equal
        }
        #expect(equal)
        stop.withLock { $0 = true }
        while !writer.isFinished { usleep(1000) }
        try source.close()
        try target.close()
    }

    @Test func aBackupIsTheMomentItBegan() throws {
        let scratch = Scratch()
        let (source, target, before) = try pair(scratch)
        let job = try BackupJob(source: source, target: target, control: JobControl(rate: 30 << 20))
        source.attach(job)
        let stop = Locked(false)
        let writer = guest(source, stop, seed: 4)
        try job.run()
        stop.withLock { $0 = true }
        while !writer.isFinished { usleep(1000) }
        source.detach(job)
        #expect(try contents(target) == before)
        #expect(try contents(source) != before)
        try source.close()
        try target.close()
    }

    @Test func anIncrementalBackupCopiesWhatWasWritten() throws {
        let scratch = Scratch()
        let (source, target, _) = try pair(scratch)
        try BackupJob(source: source, target: target, control: JobControl()).run()
        let changes = try DirtyTracker(length: JobTests.size)
        source.attach(changes)
        try source.write(6_000_000, bytes: [UInt8](repeating: 9, count: 100_000))
        try source.writeZeroes(1 << 20, 4096)
        source.detach(changes)
        let control = JobControl()
        try BackupJob(source: source, target: target, changes: changes, control: control).run()
        #expect(try contents(target) == contents(source))
        #expect(control.progress.done <= 4 * 65536)
        try source.close()
        try target.close()
    }

    @Test func jobsStopWhenCancelled() throws {
        let scratch = Scratch()
        let (source, target, _) = try pair(scratch)
        let control = JobControl()
        control.cancel()
        let job = try BackupJob(source: source, target: target, control: control)
        #expect(throws: BlockError.self) { try job.run() }
        try source.close()
        try target.close()
    }

    @Test func trackersKnowWhatWasWritten() throws {
        let tracker = try DirtyTracker(length: 1 << 20, granularity: 4096)
        #expect(tracker.next(from: 0, limit: .max) == nil)
        tracker.mark(5000, 1)
        tracker.mark(300_000, 9000)
        #expect(tracker.next(from: 0, limit: .max) == 4096..<8192)
        #expect(tracker.next(from: 8192, limit: .max) == 299_008..<311_296)
        tracker.clear(0, 1 << 20)
        #expect(tracker.dirtyBytes == 0)
        #expect(throws: BlockError.self) { try DirtyTracker(length: 1, granularity: 1000) }
    }
}
