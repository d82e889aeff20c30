// Formats that nobody here creates: small images made byte by byte from their descriptions, read, and damaged.

import Block
import Compression
import Formats
import Foundation
import Testing

/// A file under construction.
struct ImageBytes {
    var array: [UInt8] = []
    mutating func put(_ offset: Int, _ bytes: [UInt8]) {
        if array.count < offset + bytes.count { array += [UInt8](repeating: 0, count: offset + bytes.count - array.count) }
        array.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
    mutating func put(_ offset: Int, _ text: String) { put(offset, Array(text.utf8)) }
    mutating func little<Number: FixedWidthInteger>(_ offset: Int, _ value: Number) { put(offset, withUnsafeBytes(of: value.littleEndian) { Array($0) }) }
    mutating func big<Number: FixedWidthInteger>(_ offset: Int, _ value: Number) { put(offset, withUnsafeBytes(of: value.bigEndian) { Array($0) }) }
}

private func sector(_ seed: Int) -> [UInt8] { (0..<512).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ seed &* 31 &+ 1) } }

private func zlib(_ bytes: [UInt8]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: bytes.count + 1000)
    let count = bytes.withUnsafeBytes { input in output.withUnsafeMutableBytes { Deflate.compress(input, into: $0, .zlib) } } ?? 0
    return Array(output.prefix(count))
}

/// Runs a host's compressor; nil if there is none.
private func piped(_ command: [String], _ bytes: [UInt8], _ scratch: Scratch) throws -> [UInt8]? {
    let input = try scratch.write("piped", bytes)
    let process = Process(), pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardInput = FileHandle(forReadingAtPath: input)
    process.standardOutput = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? Array(output) : nil
}

@Suite struct ReadOnlyFormatTests {
    let scratch = Scratch()

    /// Opens an image by probing, compares it with what it should hold, and opens it damaged in many ways.
    private func expect(_ name: String, _ format: String, _ image: ImageBytes, holds model: [UInt8], probes: Bool = true, metadata: Int) throws {
        let path = try scratch.write(name, image.array)
        let node = try scratch.graph.open(path, format: probes ? nil : format)
        #expect(node.driver == format)
        #expect(try node.length() == UInt64(model.count), "\(format)")
        let bytes = try node.bytes(0, model.count)
        #expect(bytes == model, "\(format): first difference at \((0..<model.count).first { bytes[$0] != model[$0] } ?? -1)")
        // Odd pieces too.
        for (start, count) in [(1, 700), (511, 2), (1000, 5000)] where start + count <= model.count {
            #expect(try node.bytes(UInt64(start), count) == Array(model[start..<start + count]), "\(format)")
        }
        try node.close()
        var random = Seeded(5)
        for round in 0..<400 {
            var damaged = image.array
            if round % 8 == 0 { damaged.removeLast(Int(random.below(UInt64(damaged.count)))) }
            for _ in 0...random.below(3) where !damaged.isEmpty {
                let at = Int(random.below(UInt64(min(metadata, damaged.count))))
                damaged[at] = random.below(2) == 0 ? [0, 1, 0x7f, 0x80, 0xff][Int(random.below(5))] : UInt8(truncatingIfNeeded: random.next())
            }
            let copy = try scratch.write("damaged-" + name, damaged)
            guard let node = try? scratch.graph.open(copy, format: format) else { continue }
            let length = (try? node.length()) ?? 0
            for position in [0, length / 2, length - min(length, 512)] {
                _ = try? node.bytes(position, 4096)
                _ = try? node.status(position, max(1, length - position))
            }
            try? node.close()
        }
    }

    @Test func bochs() throws {
        for version in [1, 2] {
            var image = ImageBytes()
            image.put(0, "Bochs Virtual HD Image")
            image.put(32, "Redolog")
            image.put(48, "Growing")
            image.little(64, UInt32(version) << 16)
            image.little(68, UInt32(512))
            image.little(72, UInt32(4))
            image.little(76, UInt32(1))
            image.little(80, UInt32(4096))
            image.little(version == 1 ? 84 : 88, UInt64(4 * 4096))
            image.put(508, [0, 0, 0, 0])
            // Extent 2 of the disk is the first in the file, extent 0 the second.
            for (index, number) in [UInt32(1), .max, 0, .max].enumerated() { image.little(512 + index * 4, number) }
            var model = [UInt8](repeating: 0, count: 4 * 4096)
            for (extent, number, bitmap) in [(0, 1, 0b1010_0001), (2, 0, 0b0001_1000)] {
                let base = 528 + number * (512 + 4096)
                image.put(base, [UInt8(bitmap)])
                for index in 0..<8 where bitmap >> index & 1 != 0 {
                    image.put(base + 512 + index * 512, sector(extent * 8 + index))
                    model.replaceSubrange(extent * 4096 + index * 512..<extent * 4096 + index * 512 + 512, with: sector(extent * 8 + index))
                }
            }
            try expect("disk\(version).bochs", "bochs", image, holds: model, metadata: 600)
        }
    }

    @Test func cloop() throws {
        var image = ImageBytes(), model: [UInt8] = []
        image.put(0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n")
        image.big(128, UInt32(2048))
        image.big(132, UInt32(5))
        var position = 136 + 6 * 8
        for block in 0..<5 {
            let bytes = (0..<4).flatMap { sector(block * 4 + $0) }
            image.big(136 + block * 8, UInt64(position))
            image.put(position, zlib(bytes))
            position = image.array.count
            model += bytes
        }
        image.big(136 + 5 * 8, UInt64(position))
        try expect("disk.cloop", "cloop", image, holds: model, metadata: image.array.count)
    }

    @Test func cow() throws {
        let base = (0..<64).flatMap { sector($0 + 100) }
        _ = try scratch.write("below.raw", base)
        var image = ImageBytes(), model = base
        image.big(0, UInt32(0x4f4f_4f4d))
        image.big(4, UInt32(2))
        image.put(8, "below.raw")
        image.big(1040, UInt64(64 * 512))
        image.big(1048, UInt32(512))
        image.put(1056, [UInt8](repeating: 0, count: 8))
        for index in [0, 1, 9, 63] {
            image.array[1056 + index / 8] |= 1 << UInt8(index % 8)
            image.put(1536 + index * 512, sector(index))
            model.replaceSubrange(index * 512..<index * 512 + 512, with: sector(index))
        }
        try expect("disk.cow", "cow", image, holds: model, metadata: 1064)
    }

    /// A DMG of chunks; each is (type, contents, stored bytes).
    private func dmg(_ parts: [(UInt32, [UInt8], [UInt8])], inFork: Bool) -> (ImageBytes, [UInt8]) {
        var image = ImageBytes(), list = ImageBytes(), model: [UInt8] = []
        list.put(0, "mish")
        list.big(4, UInt32(1))
        list.big(200, UInt32(parts.count + 2))
        list.big(204, UInt32(0x7fff_fffe))
        list.put(243, [0])
        for (index, part) in parts.enumerated() {
            let entry = 244 + index * 40, position = image.array.count
            if !part.2.isEmpty { image.put(position, part.2) }
            list.big(entry, part.0)
            list.big(entry + 8, UInt64(model.count / 512))
            list.big(entry + 16, UInt64(part.1.count / 512))
            list.big(entry + 24, UInt64(position))
            list.big(entry + 32, UInt64(part.2.count))
            model += part.1
        }
        list.big(244 + parts.count * 40, UInt32.max)
        list.put(244 + parts.count * 40 + 39, [0])
        let start = image.array.count
        if inFork {
            image.big(start, UInt32(256))
            image.big(start + 8, UInt32(list.array.count + 4))
            image.big(start + 256, UInt32(list.array.count))
            image.put(start + 260, list.array)
        } else {
            let text = Data(list.array).base64EncodedString()
            image.put(start, "<plist version=\"1.0\"><dict><key>resource-fork</key><dict><key>blkx</key><array><dict><key>Data</key><data>\n\t\(text)\n</data></dict></array></dict></dict></plist>")
        }
        let end = image.array.count
        image.put(end, "koly")
        image.big(end + 4, UInt32(4))
        image.big(end + 8, UInt32(512))
        image.big(end + (inFork ? 40 : 216), UInt64(start))
        image.big(end + (inFork ? 48 : 224), UInt64(end - start))
        image.big(end + 492, UInt64(model.count / 512))
        image.put(end + 511, [0])
        return (image, model)
    }

    @Test func dmg() throws {
        let plain = (0..<8).flatMap { sector($0) }
        // ADC: 3 literals, a short copy of 18 from 3 back, a long copy of 67 from 21 back, and so on to a sector.
        var adc: [UInt8] = [0x82, 1, 2, 3, 0x3c, 2], expanded: [UInt8] = [1, 2, 3]
        for _ in 0..<18 { expanded.append(expanded[expanded.count - 3]) }
        while expanded.count < 512 {
            let count = min(67, 512 - expanded.count)
            if count < 4 { adc += [0x80 + UInt8(count - 1)] + [UInt8](repeating: 9, count: count); expanded += [UInt8](repeating: 9, count: count); continue }
            adc += [0x40 + UInt8(count - 4), 0, 20]
            for _ in 0..<count { expanded.append(expanded[expanded.count - 21]) }
        }
        var parts: [(UInt32, [UInt8], [UInt8])] = [
            (1, plain, plain), (0, [UInt8](repeating: 0, count: 2048), []), (0x8000_0005, plain + plain, zlib(plain + plain)),
            (2, [UInt8](repeating: 0, count: 512), []), (0x8000_0004, expanded, adc),
        ]
        if let bytes = try piped(["bzip2", "-c"], plain, scratch) { parts.append((0x8000_0006, plain, bytes)) }
        if let bytes = try piped(["xz", "-c"], plain, scratch) { parts.append((0x8000_0008, plain, bytes)) }
        for inFork in [false, true] {
            let (image, model) = dmg(parts, inFork: inFork)
            try expect("disk.dmg", "dmg", image, holds: model, metadata: image.array.count)
        }
        // A damaged chunk is an error when it is read, not before.
        let (image, _) = dmg([(1, plain, plain), (0x8000_0007, plain, [1, 2, 3])], inFork: false)
        let node = try scratch.graph.open(try scratch.write("lzfse.dmg", image.array))
        #expect(try node.bytes(0, 4096) == plain)
        #expect(throws: BlockError.self) { try node.bytes(4096, 512) }
        try node.close()
    }

    // MARK: ESX

    @Test func vmfsSparse() throws {
        var extent = ImageBytes(), model = [UInt8](repeating: 0, count: 64 * 512)
        extent.put(0, "COWD")
        extent.little(4, UInt32(1))
        extent.little(8, UInt32(3))
        extent.little(12, UInt32(64))
        extent.little(16, UInt32(8))
        extent.little(20, UInt32(4))
        extent.little(24, UInt32(1))
        extent.little(28, UInt32(64))
        extent.little(4 * 512, UInt32(8))
        extent.put(8 * 512 + 4096 * 4 - 1, [0])
        extent.little(8 * 512 + 2 * 4, UInt32(64))
        let grain = (0..<8).flatMap { sector($0) }
        extent.put(64 * 512, grain)
        model.replaceSubrange(16 * 512..<24 * 512, with: grain)
        _ = try scratch.write("esx-delta.vmdk", extent.array)
        var image = ImageBytes()
        image.put(0, "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"vmfsSparse\"\n\n# Extent description\nRW 64 VMFSSPARSE \"esx-delta.vmdk\"\n")
        try expect("esx.vmdk", "vmdk", image, holds: model, metadata: image.array.count)
        try expect("esx2.vmdk", "vmdk", extent, holds: model, metadata: 2100)
    }

    @Test func seSparse() throws {
        var extent = ImageBytes(), model = [UInt8](repeating: 0, count: 64 * 512)
        for (index, value) in [UInt64(0xcafe_babe), 0x2_0000_0001, 64, 8, 64, 0].enumerated() { extent.little(index * 8, value) }
        // Directory at sector 8, tables from 16, grains from 128.
        for (offset, value) in [(128, UInt64(8)), (136, 1), (144, 16), (152, 64), (192, 128), (200, 64)] { extent.little(offset, value) }
        extent.little(8 * 512, UInt64(0x1000_0000_0000_0000))
        extent.little(16 * 512 + 8, UInt64(0x3001_0000_0000_0000))
        extent.little(16 * 512 + 16, UInt64(0x2000_0000_0000_0000))
        extent.little(16 * 512 + 24, UInt64(0x3000_0000_0000_0000))
        extent.put(128 * 512 + 2 * 4096 - 1, [0])
        let one = (0..<8).flatMap { sector($0) }, two = (0..<8).flatMap { sector($0 + 50) }
        // Grain 1 of the disk is grain 1 of the file, grain 3 its grain 0.
        extent.put(129 * 512 - 512 + 4096, one)
        extent.put(128 * 512, two)
        model.replaceSubrange(4096..<8192, with: one)
        model.replaceSubrange(3 * 4096..<4 * 4096, with: two)
        _ = try scratch.write("se-sesparse.vmdk", extent.array)
        var image = ImageBytes()
        image.put(0, "# Disk DescriptorFile\nversion=4\nCID=12345678\nparentCID=ffffffff\ncreateType=\"seSparse\"\n\n# Extent description\nRW 64 SESPARSE \"se-sesparse.vmdk\"\n")
        image.array = Array(String(decoding: image.array, as: UTF8.self).replacingOccurrences(of: "version=4", with: "version=1").utf8)
        try expect("se.vmdk", "vmdk", image, holds: model, metadata: image.array.count)
    }

    // MARK: Policies and chains

    @Test func extentsAreOpenedUnderThePolicy() throws {
        for name in ["/dev/null", "json:{}", "nbd://localhost/x"] {
            var image = ImageBytes()
            image.put(0, "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 1 FLAT \"\(name)\" 0\n")
            let path = try scratch.write("policy.vmdk", image.array)
            #expect(throws: BlockError.self, "\(name)") { try scratch.graph.open(path, format: "vmdk") }
        }
    }

    @Test func imagesStandOnOthers() throws {
        let size: UInt64 = 3 << 20
        for (format, options) in [(VPCFormat.self as any CreatableFormat.Type, "force_size=on"), (VMDKFormat.self, ""), (QEDFormat.self, ""), (QCOWFormat.self, "")] {
            let below = try scratch.create(format, options, size: size)
            var random = Seeded(3)
            var model = [UInt8](repeating: 0, count: Int(size))
            let base = try scratch.graph.open(below, format: format.name, Access(writable: true, cache: .unsafe))
            try exercise(base, &model, &random, requests: 40)
            try base.close()
            let text = "backing_file=\(below.split(separator: "/").last ?? "")"
            let above = try scratch.create(format, "\(text),backing_fmt=\(format.name)", size: size)
            for _ in 0..<2 {
                let top = try scratch.graph.open(above, format: format.name, Access(writable: true, cache: .unsafe))
                #expect(try top.bytes(0, Int(size)) == model, "\(format.name)")
                try exercise(top, &model, &random, requests: 60)
                try expectClean(top, format.name)
                try top.close()
            }
            let again = try scratch.graph.open(above, format: format.name)
            #expect(try again.bytes(0, Int(size)) == model, "\(format.name) after reopening")
            try again.close()
        }
    }

    @Test func compressedClustersAreReadBack() throws {
        for (format, options) in [(VMDKFormat.self as any CreatableFormat.Type, "subformat=streamOptimized"), (QCOWFormat.self, "")] {
            let size: UInt64 = 1 << 20
            let model = (0..<Int(size)).map { UInt8(truncatingIfNeeded: $0 >> 9 &* 3) }
            let source = try scratch.graph.open(try scratch.write("source.raw", model), format: "raw")
            let path = try scratch.create(format, options, size: size)
            let target = try scratch.graph.open(path, format: format.name, .readWrite)
            var work = Conversion(sources: [source], target: target)
            work.compresses = true
            work.targetIsZero = true
            try work.run()
            try target.close()
            try source.close()
            let again = try scratch.graph.open(path)
            #expect(again.driver == format.name)
            #expect(try again.bytes(0, Int(size)) == model, "\(format.name)")
            #expect(try scratch.contents(path).count < Int(size) / 2, "\(format.name) is smaller")
            try expectClean(again, format.name)
            try again.close()
        }
    }
}
