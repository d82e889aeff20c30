// qcow2 beyond the common suite: snapshots, sizes, a machine's state and bitmaps against plain models; damage of every
// table; refcounts that were never written.

import Block
import Formats
import Foundation
import Testing

@Suite struct QCOW2Tests {
    private static let variants = ["cluster_size=4k", "cluster_size=512,refcount_bits=8", "compat=0.10,cluster_size=8k", "extended_l2=on,cluster_size=16k",
                                   "lazy_refcounts=on,cluster_size=4k", "cluster_size=1k,refcount_bits=64"]
    private static let rounds = ProcessInfo.processInfo.environment["APUS_FULL"] == nil ? 60 : 2000

    private func contents(_ node: Node) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 1, count: Int(try node.length()))
        try BlockBuffer.with(&bytes) { (buffer) throws(BlockError) in try node.read(0, buffer) }
        return bytes
    }

    /// Writes, snapshots, sizes: each snapshot keeps what the disk held then.
    @Test(arguments: variants) func snapshotsAndSizesAgreeWithAModel(_ options: String) throws {
        let scratch = Scratch()
        var random = Seeded(UInt64(options.utf8.count))
        let path = try scratch.create(QCOW2Format.self, options, size: 1 << 20)
        var model = [UInt8](repeating: 0, count: 1 << 20)
        var saved: [String: [UInt8]] = [:]
        var names = 0
        var node = try scratch.graph.open(path, format: "qcow2", Access(writable: true, cache: .unsafe, discards: true))
        for round in 0..<QCOW2Tests.rounds {
            guard let image = node.image as? any SnapshottingImage, let storage = node.storage as? ImageStorage else { Issue.record("no snapshots"); return }
            switch random.below(10) {
            case 0 where saved.count < 5:
                names += 1
                let name = "s\(names)"
                try storage.exclusively { () throws(BlockError) in try image.createSnapshot(SnapshotRecord(id: "", name: name, seconds: 1)) }
                saved[name] = model
            case 1:
                guard let name = saved.keys.sorted().first else { continue }
                try storage.exclusively { () throws(BlockError) in try image.deleteSnapshot(name) }
                saved[name] = nil
            case 2:
                guard let (name, old) = saved.sorted(by: { $0.key < $1.key }).last else { continue }
                try storage.exclusively { () throws(BlockError) in try image.applySnapshot(name) }
                model = old
            case 3 where !(options.contains("0.10") && !saved.isEmpty):
                let size = Int(random.below(4096) + 64) * 512
                try node.setLength(UInt64(size))
                model = Array(model.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - model.count))
            case 4:
                try node.close()
                node = try scratch.graph.open(path, format: "qcow2", Access(writable: true, cache: .unsafe, discards: true))
            default: try exercise(node, &model, &random, requests: 8)
            }
            #expect(try node.length() == UInt64(model.count))
            if round % 5 == 0 {
                try expectClean(node, "\(options) round \(round)")
                let bytes = try contents(node)
                let wrong = bytes.indices.first { bytes[$0] != model[$0] }
                #expect(wrong == nil, "\(options) round \(round): byte \(wrong ?? 0)")
                if wrong != nil { return }
            }
        }
        try expectClean(node, options)
        try node.close()
        for (name, old) in saved {
            let node = try scratch.graph.open(path, format: "qcow2")
            try (node.image as? any SnapshottingImage)?.showSnapshot(name)
            #expect(try contents(node) == old, "\(options): snapshot \(name)")
            try node.close()
        }
    }

    @Test func aMachinesStateStaysWithItsSnapshot() throws {
        let scratch = Scratch()
        let path = try scratch.create(QCOW2Format.self, "cluster_size=4k", size: 1 << 20)
        var state = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        do {
            let node = try scratch.graph.open(path, .readWrite)
            guard let image = node.image as? any VMStateImage & SnapshottingImage else { Issue.record("no state"); return }
            try BlockBuffer.with(&state) { (buffer) throws(BlockError) in try image.writeState(0, buffer) }
            try image.createSnapshot(SnapshotRecord(id: "", name: "with state", vmStateSize: UInt64(state.count)))
            try expectClean(node, "with state")
            // The disk grows over where the state was.
            try node.setLength(8 << 20)
            #expect(try node.bytes(1 << 20, 7 << 20).allSatisfy { $0 == 0 })
            try node.close()
        }
        let node = try scratch.graph.open(path, .readWrite)
        guard let image = node.image as? any VMStateImage & SnapshottingImage else { return }
        #expect(image.snapshots.first?.vmStateSize == UInt64(state.count))
        try image.applySnapshot("with state")
        #expect(try node.length() == 1 << 20)
        var back = [UInt8](repeating: 0, count: state.count)
        try BlockBuffer.with(&back) { (buffer) throws(BlockError) in try image.readState(0, buffer) }
        #expect(back == state)
        try image.deleteSnapshot("1")
        try expectClean(node, "after deletion")
        try node.close()
    }

    @Test func enabledBitmapsRecordWrites() throws {
        let scratch = Scratch()
        let path = try scratch.create(QCOW2Format.self, "cluster_size=4k", size: 1 << 20)
        func use(_ body: (Node, any BitmappedImage) throws -> Void) throws {
            let node = try scratch.graph.open(path, .readWrite)
            guard let image = node.image as? any BitmappedImage else { Issue.record("no bitmaps"); return }
            try body(node, image)
            try expectClean(node, "bitmaps")
            try node.close()
        }
        try use { _, image in
            try image.addBitmap(BitmapRecord(name: "on", granularity: 4096, isEnabled: true))
            try image.addBitmap(BitmapRecord(name: "off", granularity: 512, isEnabled: false))
        }
        try use { node, _ in
            try node.write(10000, bytes: [UInt8](repeating: 1, count: 5000))
            try node.writeZeroes(500_000, 10)
        }
        try use { node, image in
            #expect(try image.dirtyRanges("on") == [8192..<16384, 499_712..<503_808])
            #expect(try image.dirtyRanges("off").isEmpty)
            try node.setLength(2 << 20)
            try node.write((2 << 20) - 1, bytes: [1])
            #expect(try image.dirtyRanges("on").last == ((2 << 20) - 4096)..<(2 << 20))
            try image.markDirty("off", [1024..<2048])
            try image.removeBitmap("on")
        }
        try use { _, image in
            #expect(image.bitmaps.map(\.name) == ["off"])
            #expect(try image.dirtyRanges("off") == [1024..<2048])
            try image.removeBitmap("off")
        }
        // A writer that never closes leaves the bitmap marked.
        try use { _, image in try image.addBitmap(BitmapRecord(name: "b", granularity: 65536, isEnabled: true)) }
        let lost = try scratch.graph.open(path, Access(writable: true, forceShare: true))
        try lost.write(0, bytes: [1])
        let copy = try scratch.write("copy", try scratch.contents(path))
        let other = try scratch.graph.open(copy)
        #expect((other.image as? any BitmappedImage)?.bitmaps.first?.isInconsistent == true)
        try other.close()
        try lost.close()
    }

    /// A disk that ends within a granule.
    @Test func theLastGranuleOfABitmapIsFoundOnce() throws {
        let scratch = Scratch()
        let path = try scratch.create(QCOW2Format.self, "", size: 100 * 512)
        let node = try scratch.graph.open(path, .readWrite)
        let image = try #require(node.image as? any BitmappedImage)
        try image.addBitmap(BitmapRecord(name: "b", granularity: 4096, isEnabled: true))
        try node.write(50_000, bytes: [1])
        #expect(try image.dirtyRanges("b") == [49_152..<51_200])
        try node.close()
        let again = try scratch.graph.open(path, .readWrite)
        #expect(try (again.image as? any BitmappedImage)?.dirtyRanges("b") == [49_152..<51_200])
        try expectClean(again, "bitmap")
        try again.close()
    }

    /// Every number of every table is damaged in turn; no trap, no hang, and repair ends in a clean image or an error.
    @Test(arguments: ["cluster_size=512", "cluster_size=4k", "extended_l2=on,cluster_size=16k", "cluster_size=4k,compat=0.10"])
    func damagedTablesNeverTrap(_ options: String) throws {
        let scratch = Scratch()
        let path = try scratch.create(QCOW2Format.self, options, size: 1 << 20)
        let node = try scratch.graph.open(path, Access(writable: true, cache: .unsafe))
        var random = Seeded(5)
        var model = [UInt8](repeating: 0, count: 1 << 20)
        try exercise(node, &model, &random, requests: 12)
        guard let image = node.image as? any SnapshottingImage & BitmappedImage else { return }
        try image.createSnapshot(SnapshotRecord(id: "", name: "s"))
        if !options.contains("0.10") { try image.addBitmap(BitmapRecord(name: "b", granularity: 4096, isEnabled: true)) }
        try node.write(0, bytes: [UInt8](repeating: 5, count: 3000))
        try node.close()
        let whole = try scratch.contents(path)
        // Words that are not zero, not payload: offsets and counts live there.
        let words = stride(from: 0, to: whole.count - 8, by: 8).filter { at in
            at < 512 || whole[at..<at + 8].contains { $0 != 0 } && whole[at + 1] == 0 && whole[at + 2] == 0
        }
        let values: [UInt64] = [0, 1, UInt64.max, 1 << 63, 0x8000_0000_0000_0000 | 512, 1 << 55, 0x7fff_ffff_ffff_fe00, 0xffff_ffff]
        for round in 0..<400 {
            var damaged = whole
            for _ in 0...random.below(3) {
                let at = words[Int(random.below(UInt64(words.count)))]
                let value = random.below(3) == 0 ? UInt64(random.below(UInt64(whole.count))) & ~511 : values[Int(random.below(UInt64(values.count)))]
                for byte in 0..<8 where random.below(4) != 0 { damaged[at + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (7 - byte))) }
            }
            let copy = try scratch.write("damaged", damaged)
            guard let node = try? scratch.graph.open(copy, format: "qcow2", Access(writable: true, cache: .unsafe, opensBacking: false)) else { continue }
            poke(node)
            if let image = node.image as? any CheckableImage, let fixed = try? image.check(.all), fixed.corruptions == 0 {
                let again = try? image.check(.nothing)
                #expect(again.map { $0.corruptions == 0 } ?? true, "\(options) round \(round): \(again?.messages.prefix(3).joined(separator: "; ") ?? "")")
            }
            try? node.close()
        }
    }

    private func poke(_ node: Node) {
        guard let length = try? node.length(), length > 0 else { return }
        for position in [0, length / 2, length - min(length, 512)] {
            _ = try? node.bytes(position, 4096)
            _ = try? node.status(position, length - position)
            try? node.write(position, bytes: [UInt8](repeating: 7, count: Int(min(length - position, 700))))
        }
        try? node.writeZeroes(0, min(length, 100_000))
        try? node.flush()
        if let image = node.image as? any SnapshottingImage & BitmappedImage {
            for snapshot in image.snapshots.prefix(2) { try? image.applySnapshot(snapshot.id); try? image.deleteSnapshot(snapshot.id) }
            for bitmap in image.bitmaps.prefix(2) { _ = try? image.dirtyRanges(bitmap.name) }
            try? image.createSnapshot(SnapshotRecord(id: "", name: "n"))
        }
    }

    /// With lazy refcounts, a lost writer leaves counts of an earlier time, and the next one finds them anew.
    @Test func lazyRefcountsAreFoundAnew() throws {
        let scratch = Scratch()
        let path = try scratch.create(QCOW2Format.self, "lazy_refcounts=on,cluster_size=4k", size: 1 << 20)
        let lost = try scratch.graph.open(path, .readWrite)
        try lost.write(0, bytes: [UInt8](repeating: 9, count: 300_000))
        try lost.flush()
        let copy = try scratch.write("copy", try scratch.contents(path))
        try lost.close()
        let reader = try scratch.graph.open(copy)
        #expect(try (reader.image as? any DescribedImage)?.information().isDirty == true)
        try reader.close()
        let node = try scratch.graph.open(copy, .readWrite)
        try expectClean(node, "lazy")
        #expect(try node.bytes(0, 300_000).allSatisfy { $0 == 9 })
        try node.close()
        let clean = try scratch.graph.open(copy)
        #expect(try (clean.image as? any DescribedImage)?.information().isDirty == false)
        try clean.close()
    }

    /// A file that a table says is free, but is not, is not overwritten.
    @Test func metadataIsNotOverwritten() throws {
        let scratch = Scratch()
        let path = try scratch.create(QCOW2Format.self, "cluster_size=4k", size: 1 << 20)
        var bytes = try scratch.contents(path)
        // All refcounts 0: every cluster, the header's too, looks free.
        for at in 8192..<12288 { bytes[at] = 0 }
        let copy = try scratch.write("copy", bytes)
        let node = try scratch.graph.open(copy, .readWrite)
        #expect(throws: BlockError.self) { try node.write(0, bytes: [1]) }
        try node.close()
        let after = try scratch.contents(copy)
        #expect(after[0..<72] == bytes[0..<72], "the header is as it was")
        #expect(after[79] & 2 != 0, "the image is marked corrupt")
        let marked = try scratch.graph.open(copy, .readWrite)
        #expect(throws: BlockError.self) { try marked.write(0, bytes: [1]) }
        _ = try (marked.image as? any CheckableImage)?.check(.all)
        try marked.write(0, bytes: [1])
        try expectClean(marked, "repaired")
        try marked.close()
    }
}
