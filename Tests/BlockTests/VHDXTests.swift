// vhdx beyond what the common suite does: a log that waits to be replayed, and a differencing image; both are made by
// changing bytes of images that the format created.

import Block
import Formats
import Testing

/// CRC-32C, bit by bit: not the implementation under test.
private func crc(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { crc, byte in (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in value & 1 != 0 ? value >> 1 ^ 0x82f6_3b78 : value >> 1 } }
}

@Suite struct VHDXTests {
    let scratch = Scratch()
    private let size: UInt64 = 4 << 20
    private let table = 2 << 20

    private func image(_ options: String) throws -> (path: String, model: [UInt8]) {
        let path = try scratch.create(VHDXFormat.self, options, size: size)
        let node = try scratch.graph.open(path, format: "vhdx", Access(writable: true, cache: .unsafe))
        var random = Seeded(8), model = [UInt8](repeating: 0, count: Int(size))
        try exercise(node, &model, &random, requests: 30)
        try node.close()
        return (path, model)
    }

    /// Where the header that counts stands.
    private func header(_ bytes: [UInt8]) -> Int {
        let numbers = [64 << 10, 128 << 10].map { at in (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[at + 8 + $1]) << UInt64(8 * $1) } }
        return numbers[0] > numbers[1] ? 64 << 10 : 128 << 10
    }

    private func seal(_ image: inout ImageBytes, _ start: Int, _ count: Int) {
        image.put(start + 4, [0, 0, 0, 0])
        image.little(start + 4, crc(Array(image.array[start..<start + count])))
    }

    @Test func theLogIsReplayed() throws {
        let (path, model) = try image("block_size=1M")
        var image = ImageBytes(array: try scratch.contents(path))
        // The block table's first sector is on its way: it stands in the log only.
        let sector = Array(image.array[table..<table + 4096])
        image.put(table, [UInt8](repeating: 0, count: 4096))
        let log = 1 << 20, entry = log + 3 * 4096, identifier = (1...16).map { UInt8($0) }
        image.put(entry, "loge")
        image.little(entry + 8, UInt32(8192))
        image.little(entry + 12, UInt32(3 * 4096))
        image.little(entry + 16, UInt64(77))
        image.little(entry + 24, UInt32(1))
        image.put(entry + 32, identifier)
        image.little(entry + 48, UInt64(image.array.count))
        image.little(entry + 56, UInt64(image.array.count))
        image.put(entry + 64, "desc")
        image.put(entry + 68, Array(sector[4092...]))
        image.put(entry + 72, Array(sector[..<8]))
        image.little(entry + 80, UInt64(table))
        image.little(entry + 88, UInt64(77))
        image.put(entry + 4096, "data")
        image.little(entry + 4100, UInt32(0))
        image.put(entry + 4104, Array(sector[8..<4092]))
        image.little(entry + 8188, UInt32(77))
        seal(&image, entry, 8192)
        let header = header(image.array)
        image.put(header + 48, identifier)
        seal(&image, header, 4096)

        let copy = try scratch.write("log.vhdx", image.array)
        let reading = try scratch.graph.open(copy)
        #expect(try reading.bytes(0, model.count) == model, "read-only, the log is applied in memory")
        try reading.close()
        #expect(try scratch.contents(copy) == image.array, "and the file stays as it is")
        let writing = try scratch.graph.open(copy, format: "vhdx", .readWrite)
        try expectClean(writing, "after the replay")
        try writing.close()
        let after = try scratch.contents(copy)
        #expect(Array(after[table..<table + 4096]) == sector)
        let now = self.header(after)
        #expect(after[now + 48..<now + 64].allSatisfy { $0 == 0 }, "the log is empty")

        // A log with a wrong checksum is refused, as is one for a longer file.
        var broken = image
        broken.array[entry + 5000] ^= 1
        #expect(throws: BlockError.self) { try scratch.graph.open(try scratch.write("log2.vhdx", broken.array)) }
        broken = image
        broken.little(entry + 48, UInt64(1) << 40)
        seal(&broken, entry, 8192)
        #expect(throws: BlockError.self) { try scratch.graph.open(try scratch.write("log3.vhdx", broken.array)) }
        // Damage behind valid checksums.
        var random = Seeded(4)
        for _ in 0..<200 {
            var damaged = image
            for _ in 0...random.below(3) { damaged.array[entry + 8 + Int(random.below(random.below(2) == 0 ? 90 : 8184))] = UInt8(truncatingIfNeeded: random.next()) }
            seal(&damaged, entry, 8192)
            let name = try scratch.write("log4.vhdx", damaged.array)
            if let node = try? scratch.graph.open(name, format: "vhdx") { _ = try? node.bytes(0, 4096); try? node.close() }
        }
    }

    @Test func differencingImagesAreMade() throws {
        let (below, base) = try image("block_size=1M")
        let path = try scratch.create(VHDXFormat.self, "block_size=2M,backing_fmt=vhdx,backing_file=" + (below.split(separator: "/").last ?? ""), size: size + 3 << 20)
        var model = base + [UInt8](repeating: 0, count: Int(size + 3 << 20) - base.count), random = Seeded(12)
        for round in 0..<4 {
            let node = try scratch.graph.open(path, format: nil, Access(writable: true, cache: .unsafe))
            #expect(node.backing?.driver == "vhdx")
            #expect(try node.bytes(0, model.count) == model, "round \(round)")
            try exercise(node, &model, &random, requests: 50)
            try expectClean(node, "round \(round)")
            try node.close()
        }
        #expect(throws: BlockError.self, "on another format") {
            try scratch.create(VHDXFormat.self, "backing_file=" + (try scratch.create(VDIFormat.self, "", size: size)), size: size)
        }
        #expect(throws: BlockError.self, "fixed") { try scratch.create(VHDXFormat.self, "subformat=fixed,backing_file=" + below, size: size) }
    }

    @Test func differencingImagesOfOthersAreReadAndWritten() throws {
        let (below, base) = try image("block_size=1M")
        let parent = try scratch.contents(below)
        let guid = Array(parent[header(parent) + 32..<header(parent) + 48])
        func hex(_ bytes: [UInt8]) -> String { bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() }
        let linkage = "{" + [hex(guid[0..<4].reversed()), hex(guid[4..<6].reversed()), hex(guid[6..<8].reversed()), hex(Array(guid[8..<10])), hex(Array(guid[10...]))].joined(separator: "-") + "}"

        let path = try scratch.create(VHDXFormat.self, "block_size=1M,block_state_zero=off", size: size)
        var image = ImageBytes(array: try scratch.contents(path)), model = base
        image.little((3 << 20) + (64 << 10) + 4, UInt32(2))
        // One metadata item more: the parent locator.
        image.little((3 << 20) + 10, UInt16(6))
        let item = (3 << 20) + 32 + 5 * 32, locator = (3 << 20) + (64 << 10) + 256
        image.put(item, [0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c])
        for (offset, value) in [(16, UInt32((64 << 10) + 256)), (20, 1024), (24, 4)] { image.little(item + offset, value) }
        image.put(locator, [0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13])
        image.little(locator + 18, UInt16(2))
        var position = 100
        for (index, pair) in [("parent_linkage", linkage), ("relative_path", ".\\" + (below.split(separator: "/").last ?? ""))].enumerated() {
            let key = pair.0.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }, value = pair.1.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
            let entry = locator + 20 + index * 12
            image.little(entry, UInt32(position))
            image.little(entry + 4, UInt32(position + key.count))
            image.little(entry + 8, UInt16(key.count))
            image.little(entry + 10, UInt16(value.count))
            image.put(locator + position, key + value)
            position += key.count + value.count
        }
        // Block 0 is partly here, block 2 wholly, block 3 zeros, block 1 the parent's.
        for (block, entry) in [(0, UInt64(9 << 20) | 7), (2, UInt64(10 << 20) | 6), (3, UInt64(2)), (4096, UInt64(8 << 20) | 6)] { image.little(table + block * 8, entry) }
        image.put((11 << 20) - 1, [0])
        for sector in [0, 1, 7, 100, 2047] {
            image.put((8 << 20) + sector / 8, [image.array[(8 << 20) + sector / 8] | 1 << UInt8(sector % 8)])
            let bytes = [UInt8](repeating: UInt8(sector % 200 + 1), count: 512)
            image.put((9 << 20) + sector * 512, bytes)
            model.replaceSubrange(sector * 512..<sector * 512 + 512, with: bytes)
        }
        let whole = [UInt8](repeating: 0x5a, count: 1 << 20)
        image.put(10 << 20, whole)
        model.replaceSubrange(2 << 20..<3 << 20, with: whole)
        model.replaceSubrange(3 << 20..<4 << 20, with: [UInt8](repeating: 0, count: 1 << 20))

        let above = try scratch.write("above.vhdx", image.array)
        let node = try scratch.graph.open(above)
        #expect(try node.bytes(0, model.count) == model)
        try node.close()
        // Written to: sectors of the block that is partly here too.
        var random = Seeded(11)
        for _ in 0..<3 {
            let node = try scratch.graph.open(above, format: "vhdx", Access(writable: true, cache: .unsafe))
            try node.write(700, bytes: [UInt8](repeating: 0x77, count: 5000))
            model.replaceSubrange(700..<5700, with: [UInt8](repeating: 0x77, count: 5000))
            try exercise(node, &model, &random, requests: 40)
            try expectClean(node, "differencing")
            try node.close()
            let again = try scratch.graph.open(above)
            #expect(try again.bytes(0, model.count) == model)
            try again.close()
        }
        // A parent that has been written since no longer fits.
        let changed = try scratch.graph.open(below, format: "vhdx", .readWrite)
        try changed.write(0, bytes: [1])
        try changed.close()
        #expect(throws: BlockError.self, "changed below") { try scratch.graph.open(above) }
    }
}
