// The commands that reach a disk's blocks (SBC-3 chapter 5).

import Core

extension SCSIDisk {
    /// Where a command's blocks are; nil: not on the medium. The fields follow the operation's group (SPC-4 4.2.5).
    private func range(_ request: SCSIRequest) -> (offset: UInt64, count: UInt64)? {
        let first: UInt64, count: UInt64
        switch request.byte(0) >> 5 {
        case 0: (first, count) = (request.field(1, 3) & 0x1f_ffff, request.byte(4) == 0 ? 256 : request.field(4, 1))
        case 1, 2: (first, count) = (request.field(2, 4), request.field(7, 2))
        case 5: (first, count) = (request.field(2, 4), request.field(6, 4))
        default: (first, count) = (request.field(2, 8), request.field(10, 4))
        }
        let blocks = blocks
        guard first <= blocks, count <= blocks - first else { return nil }
        return (first * blockSize, count * blockSize)
    }

    func read(_ request: SCSIRequest) -> SCSIReply {
        guard let range = range(request) else { return .check(.outOfRange) }
        let room = request.input.slice(0, Int(clamping: range.count))
        return result(disk.read(range.offset, into: room), room.count)
    }

    func write(_ request: SCSIRequest) -> SCSIReply {
        guard !disk.isReadOnly else { return .check(.writeProtected) }
        guard let range = range(request) else { return .check(.outOfRange) }
        let data = request.output.slice(0, Int(clamping: range.count))
        guard UInt64(data.count) == range.count else { return .check(.invalidField) }
        let done = disk.write(range.offset, from: data)
        // FUA: bit 3 of byte 1, except in the 6-byte form.
        guard done.isDone, request.byte(0) != 0x0a, request.byte(1) & 8 != 0 else { return result(done, data.count, isWrite: true) }
        return result(disk.flush(), data.count, isWrite: true)
    }

    /// VERIFY, with or without data to compare.
    func verify(_ request: SCSIRequest) -> SCSIReply {
        guard let range = range(request) else { return .check(.outOfRange) }
        guard request.byte(1) & 2 != 0 else { return .good() }
        guard request.byte(1) & 4 == 0, range.count <= Self.maximumBytes else { return .check(.invalidField) }
        let data = request.output.slice(0, Int(range.count))
        guard UInt64(data.count) == range.count else { return .check(.invalidField) }
        let expected = data.bytes(0, data.count)
        guard let found = disk.bytes(range.offset, data.count) else { return .check(.mediumError) }
        return found == expected ? .good(data.count) : .check(.miscompare)
    }

    /// WRITE SAME: zeros or one block's contents; with UNMAP the blocks may become holes.
    func writeSame(_ request: SCSIRequest) -> SCSIReply {
        guard !disk.isReadOnly else { return .check(.writeProtected) }
        guard let range = range(request) else { return .check(.outOfRange) }
        let flags = request.byte(1)
        // No count stands for all blocks to the end: more than the limit that VPD page B0 tells.
        guard range.count > 0, range.count / blockSize <= Self.maximumSame, flags & 0x16 == 0 else { return .check(.invalidField) }
        let hasNoData = flags & 1 != 0 && request.byte(0) == 0x93
        let block = hasNoData ? [UInt8](repeating: 0, count: Int(blockSize)) : request.output.bytes(0, Int(blockSize))
        guard block.count == Int(blockSize) else { return .check(.invalidField) }
        let taken = hasNoData ? 0 : block.count
        if block.allSatisfy({ $0 == 0 }) {
            return result(disk.writeZeroes(range.offset, range.count, unmap: flags & 8 != 0), taken, isWrite: true)
        }
        guard range.count <= Self.maximumBytes else { return .check(.invalidField) }
        return result(disk.write(range.offset, repeating: block, count: Int(range.count / blockSize)), taken, isWrite: true)
    }
    /// Blocks of one WRITE SAME or UNMAP.
    static let maximumSame: UInt64 = 0x3f_ffff
    static let maximumRanges = 255

    func unmap(_ request: SCSIRequest) -> SCSIReply {
        guard !disk.isReadOnly else { return .check(.writeProtected) }
        guard request.byte(1) & 1 == 0 else { return .check(.invalidField) }
        let length = Int(request.field(7, 2))
        guard length > 0 else { return .good() }
        let list = request.output.bytes(0, length)
        guard list.count >= 8 else { return .check(.invalidParameter) }
        let told = Int(list[2]) << 8 | Int(list[3])
        guard told % 16 == 0, told / 16 <= Self.maximumRanges, told + 8 <= list.count else { return .check(.invalidParameter) }
        let ranges = (0 ..< told / 16).map { index -> (first: UInt64, count: UInt64) in
            let number = { (at: Int, width: Int) in list[at ..< at + width].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
            return (number(8 + index * 16, 8), number(16 + index * 16, 4))
        }
        let blocks = blocks
        guard ranges.allSatisfy({ $0.first <= blocks && $0.count <= blocks - $0.first }) else { return .check(.outOfRange) }
        for range in ranges where range.count > 0 {
            let done = disk.discard(range.first * blockSize, range.count * blockSize)
            guard done.isDone else { return result(done, 0, isWrite: true) }
        }
        return .good(list.count)
    }

    func capacity(_ request: SCSIRequest) -> SCSIReply {
        guard blocks > 0 else { return .check(.noMedium) }
        return answer(request, big(UInt32(clamping: blocks - 1)) + big(UInt32(blockSize)), allocation: 8)
    }

    func longCapacity(_ request: SCSIRequest) -> SCSIReply {
        guard blocks > 0 else { return .check(.noMedium) }
        // LBPME: blocks can be unmapped.
        let flags: [UInt8] = [0, physicalExponent & 15, isOptical || disk.isReadOnly ? 0 : 0x80, 0]
        return answer(request, big(blocks - 1) + big(UInt32(blockSize)) + flags + [UInt8](repeating: 0, count: 16), allocation: request.field(10, 4))
    }
}
