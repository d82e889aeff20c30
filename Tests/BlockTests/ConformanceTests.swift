// Every format passes the same suite. A new format adds a line to `subjects`.

import Block
import Formats
import Foundation
import Testing

/// A format under test, with the creation options to try it with.
struct Subject: Sendable, CustomStringConvertible {
    let format: any CreatableFormat.Type
    var options: [String] = [""]
    var size: UInt64 = 6 << 20
    /// Bytes from the start of the file in which mutations are made.
    var metadata: UInt64 = 4096
    /// Options that make images which cannot be told by their start.
    var unprobed: [String] = []
    var description: String { format.name }
}

let subjects = [
    Subject(format: RawFormat.self, options: ["", "preallocation=falloc"]),
    Subject(format: VDIFormat.self, options: ["", "static=on"]),
    Subject(format: QCOW2Format.self, options: [
        "", "compat=0.10", "cluster_size=512", "cluster_size=2M", "cluster_size=4k,refcount_bits=1", "cluster_size=1k,refcount_bits=64",
        "refcount_bits=4", "extended_l2=on", "extended_l2=on,cluster_size=16k", "lazy_refcounts=on", "preallocation=metadata",
        "preallocation=falloc", "extended_l2=on,preallocation=metadata", "data_file=data.raw", "data_file=data.raw,data_file_raw=on",
    ], metadata: 0x50000),
    Subject(format: VPCFormat.self, options: ["force_size=on", "force_size=on,subformat=fixed"], unprobed: ["force_size=on,subformat=fixed"]),
    Subject(format: VMDKFormat.self, options: ["", "zeroed_grain=on", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat"], metadata: 45000),
    Subject(format: VHDXFormat.self, options: ["block_size=1M", "subformat=fixed"], metadata: 0x310100),
    Subject(format: ParallelsFormat.self, options: ["", "cluster_size=64k", "cluster_size=96k"]),
    Subject(format: QEDFormat.self, options: ["", "cluster_size=4k,table_size=2"], metadata: 0x60000),
    Subject(format: QCOWFormat.self, metadata: 0x6000),
]

@Suite struct ConformanceTests {
    /// Requests a round, three rounds an option; `APUS_FULL=1` makes them more than ten thousand.
    private static let requests = ProcessInfo.processInfo.environment["APUS_FULL"] == nil ? 150 : 3500

    @Test(arguments: subjects) func createdImagesAreProbedAndEmpty(_ subject: Subject) throws {
        for options in subject.options {
            let scratch = Scratch()
            let path = try scratch.create(subject.format, options, size: subject.size)
            let node = try scratch.graph.open(path, format: subject.unprobed.contains(options) ? subject.format.name : nil)
            #expect(node.driver == subject.format.name, "\(options)")
            #expect(try node.length() == subject.size)
            var bytes = [UInt8](repeating: 1, count: Int(subject.size))
            try BlockBuffer.with(&bytes) { (buffer) throws(BlockError) in try node.read(0, buffer) }
            #expect(bytes.allSatisfy { $0 == 0 }, "a new image reads as zeros")
            try node.close()
        }
    }

    @Test(arguments: subjects) func randomRequestsAgreeWithAPlainModel(_ subject: Subject) throws {
        for (index, options) in subject.options.enumerated() {
            let scratch = Scratch()
            let path = try scratch.create(subject.format, options, size: subject.size)
            var random = Seeded(UInt64(index) + 7)
            var model = [UInt8](repeating: 0, count: Int(subject.size))
            for round in 0..<3 {
                let node = try scratch.graph.open(path, format: subject.format.name, Access(writable: true, cache: .unsafe, discards: true))
                try exercise(node, &model, &random, requests: ConformanceTests.requests)
                try expectClean(node, "\(subject) \(options) round \(round)")
                try node.close()
                let again = try scratch.graph.open(path, format: subject.format.name)
                var bytes = [UInt8](repeating: 0, count: model.count)
                try BlockBuffer.with(&bytes) { (buffer) throws(BlockError) in try again.read(0, buffer) }
                #expect(bytes == model, "\(subject) \(options): contents after reopening, round \(round)")
                try again.close()
            }
        }
    }

    @Test(arguments: subjects) func requestsOfManyThreadsAgree(_ subject: Subject) throws {
        let scratch = Scratch()
        let path = try scratch.create(subject.format, "", size: subject.size)
        let node = try scratch.graph.open(path, format: subject.format.name, Access(writable: true, cache: .unsafe))
        // Four threads write interleaved sectors: neighbours share allocation units.
        let sectors = Int(subject.size / 4096)
        let turn = Counter()
        let failures = Counter()
        Workers.run(4) {
            let own = turn.next()
            for sector in stride(from: own, to: sectors, by: 4) {
                do { try node.write(UInt64(sector) * 4096, bytes: [UInt8](repeating: UInt8(truncatingIfNeeded: sector % 251 + 1), count: 4096)) } catch { _ = failures.next() }
            }
        }
        #expect(failures.value == 0)
        try node.close()
        let again = try scratch.graph.open(path, format: subject.format.name)
        var wrong = 0
        for sector in 0..<sectors {
            let bytes = try again.bytes(UInt64(sector) * 4096, 4096)
            if !bytes.allSatisfy({ $0 == UInt8(truncatingIfNeeded: sector % 251 + 1) }) { wrong += 1 }
        }
        #expect(wrong == 0)
        try expectClean(again, "\(subject)")
        try again.close()
    }

    /// Damaged files are refused or read; nothing traps, hangs, or allocates without bound.
    @Test(arguments: subjects) func damagedFilesNeverTrap(_ subject: Subject) throws {
        let scratch = Scratch()
        let path = try scratch.create(subject.format, "", size: subject.size)
        let node = try scratch.graph.open(path, format: subject.format.name, Access(writable: true, cache: .unsafe))
        var random = Seeded(99)
        var model = [UInt8](repeating: 0, count: Int(subject.size))
        try exercise(node, &model, &random, requests: 20)
        try node.close()
        let whole = try scratch.contents(path)
        let area = min(subject.metadata, UInt64(whole.count))
        let meaningful = whole.indices.prefix(Int(area)).filter { whole[$0] != 0 }
        let interesting: [UInt8] = [0, 1, 0x7f, 0x80, 0xfe, 0xff]
        for round in 0..<300 {
            var damaged = whole
            if round % 10 == 0 { damaged.removeLast(Int(random.below(UInt64(damaged.count)))) }
            for _ in 0...random.below(4) where !damaged.isEmpty {
                var at = Int(random.below(min(area, UInt64(damaged.count))))
                if random.below(2) == 0, !meaningful.isEmpty { at = min(meaningful[Int(random.below(UInt64(meaningful.count)))], damaged.count - 1) }
                let width = Int([1, 2, 4, 8][Int(random.below(4))])
                for offset in at..<min(at + width, damaged.count) {
                    damaged[offset] = random.below(2) == 0 ? interesting[Int(random.below(6))] : UInt8(truncatingIfNeeded: random.next())
                }
            }
            let copy = try scratch.write("damaged", damaged)
            for writable in [false, true] {
                guard let node = try? scratch.graph.open(copy, format: subject.format.name, Access(writable: writable, cache: .unsafe)) else { continue }
                poke(node, writable)
                try? node.close()
            }
        }
    }

    private func poke(_ node: Node, _ writable: Bool) {
        guard let length = try? node.length(), length > 0 else { return }
        for position in [0, length / 2, length - min(length, 512)] {
            _ = try? node.bytes(position, 4096)
            _ = try? node.status(position, length - position)
            if writable { try? node.write(position, bytes: [UInt8](repeating: 7, count: Int(min(length - position, 700)))) }
        }
        if writable { try? node.writeZeroes(0, min(length, 3 << 20)); try? node.flush() }
        if let image = node.image as? any CheckableImage { _ = try? image.check(.nothing) }
        if let image = node.image as? any DescribedImage { _ = try? image.information() }
    }
}
