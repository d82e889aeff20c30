import Testing
import UserMode

@Suite struct ELFImageTests {
    @Test func readsAllFourFormats() throws {
        for wordSize in [4, 8] {
            for bigEndian in [false, true] {
                let image = try CraftedELF.parse(CraftedELF(wordSize: wordSize, bigEndian: bigEndian).bytes)
                #expect(image.identity == .init(wordSize: wordSize, bigEndian: bigEndian, machine: 243, flags: 5))
                #expect(image.entry == 0x10100)
                let segment = try #require(image.segments.first)
                #expect(segment.address == 0x10000 && segment.fileSize == 0x200 && segment.memorySize == 0x200 && segment.flags == 5)
                #expect(image.segments.count == 1 && segment.offset == 0)
                #expect(image.programHeaderAddress == 0x10000 + (wordSize == 8 ? 64 : 52))
                #expect(image.low == 0x10000 && image.high == 0x11000)
            }
        }
    }

    @Test func readsInterpreterAndStackFlags() throws {
        var file = CraftedELF(type: 3)
        let name = Array("/lib/ld.so.1".utf8) + [0]
        file.body = name
        file.headers += [
            .init(type: 3, offset: 0x200, address: 0x200, fileSize: UInt64(name.count), memorySize: UInt64(name.count), alignment: 1),
            .init(type: 0x6474_e551, flags: 7, fileSize: 0, memorySize: 0),
        ]
        let image = try CraftedELF.parse(file.bytes)
        #expect(image.interpreter == Array("/lib/ld.so.1".utf8))
        #expect(image.executableStack)
        #expect(image.isPositionIndependent)
    }

    @Test func namesWhatIsWrong() {
        func spoiled(_ change: (inout CraftedELF) -> Void) -> ELFError? {
            var file = CraftedELF()
            change(&file)
            return file.error()
        }
        #expect(spoiled { _ in } == nil)
        #expect(spoiled { $0.type = 1 } == .notExecutable(type: 1))
        #expect(spoiled { $0.headerCount = 0 } == .noProgramHeaders)
        #expect(spoiled { $0.headerSize = 55 } == .programHeaderSize(55))
        #expect(spoiled { $0.headerCount = 65535 } == .tooManyProgramHeaders(65535))
        #expect(spoiled { $0.headerCount = 100 } == .programHeadersOutsideFile)
        #expect(spoiled { $0.tableOffset = ~0 } == .programHeadersOutsideFile)
        #expect(spoiled { $0.headers[0].type = 4 } == .noLoadableSegment)
        #expect(spoiled { $0.headers[0].fileSize = 0x201 } == .segmentSizes(0))
        #expect(spoiled { $0.headers[0].offset = ~0 } == .segmentOutsideFile(0))
        #expect(spoiled { $0.headers[0].offset = ~0xfff } == .segmentOutsideFile(0))
        #expect(spoiled { $0.headers[0].fileSize = ~0; $0.headers[0].memorySize = ~0 } == .segmentAddress(0))
        #expect(spoiled { $0.headers[0].memorySize = CraftedELF.limit } == .segmentAddress(0))
        #expect(spoiled { $0.headers[0].address = ~0xffff } == .segmentAddress(0))
        #expect(spoiled { $0.headers[0].offset = 1; $0.headers[0].fileSize = 1 } == .segmentOffset(0))
        #expect(spoiled { $0.headers[0].alignment = 3 } == .segmentAlignment(0))
        #expect(spoiled { $0.entry = 0x20000 } == .entryOutsideSegments)
        for (size, text) in [(UInt64(1), [UInt8(0)]), (5, Array("abcde".utf8)), (4097, []), (3, [0, 65, 0])] {
            let error = spoiled {
                $0.body = text
                $0.headers.append(.init(type: 3, offset: 0x200, fileSize: size, memorySize: size))
            }
            #expect(error == .interpreterName)
        }
    }

    @Test func refusesEveryTruncation() {
        let bytes = CraftedELF().bytes
        var accepted: [Int] = []
        for length in 0..<bytes.count where (try? CraftedELF.parse(Array(bytes.prefix(length)))) != nil { accepted.append(length) }
        #expect(accepted == [])
    }

    /// 200,000 spoiled headers: whatever is accepted is consistent, and nothing traps.
    @Test func survivesMutation() {
        var random = RandomNumbers(2)
        var seeds: [[UInt8]] = []
        for wordSize in [4, 8] {
            var file = CraftedELF(wordSize: wordSize, bigEndian: wordSize == 4, type: 3)
            file.body = Array("/lib/ld.so\0".utf8)
            file.headers += [
                .init(flags: 6, offset: 0x100, address: 0x11100, fileSize: 0x80, memorySize: 0x5000),
                .init(type: 3, offset: 0x200, address: 0, fileSize: 11, memorySize: 11), .init(type: 6),
            ]
            seeds.append(file.bytes)
        }
        let interesting: [UInt8] = [0, 1, 2, 3, 4, 0x7f, 0x80, 0xff, 0x40, 0x10]
        var accepted = 0
        var inconsistent = 0
        for round in 0..<200_000 {
            var bytes = seeds[round & 1]
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                // Mostly inside the headers.
                let at = Int.random(in: 4..<(round % 7 == 0 ? bytes.count : 0x120), using: &random)
                bytes[at] = Bool.random(using: &random) ? interesting[Int.random(in: 0..<interesting.count, using: &random)]
                    : UInt8.random(in: 0...255, using: &random)
            }
            if round % 5 == 0 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
            guard let image = try? CraftedELF.parse(bytes) else { continue }
            accepted += 1
            for segment in image.segments {
                let fits = segment.fileSize <= segment.memorySize && segment.end > segment.address && segment.end < CraftedELF.limit
                    && (segment.fileSize == 0 || segment.offset + segment.fileSize <= UInt64(bytes.count))
                    && image.low <= segment.address && segment.end <= image.high
                if !fits { inconsistent += 1 }
            }
        }
        #expect(inconsistent == 0)
        #expect(accepted > 1000 && accepted < 199_000)
    }
}
