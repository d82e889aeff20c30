// Where an NVMe command's data is: PRP entries and lists (NVM Express 1.4, section 4.3) and SGLs (4.4). Whatever the driver
// wrote is read once; lists cannot be longer than the data they are for.

import Core

/// A status field: code type and code (section 4.6.1), as it stands in bits 15:1 of a completion.
struct NVMeStatus: Error, Equatable, Sendable {
    var code: UInt16
    init(_ type: UInt16, _ code: UInt16, isFinal: Bool = true) { self.code = type << 8 | code | (isFinal ? 0x4000 : 0) }

    static let success = NVMeStatus(0, 0, isFinal: false)
    static let invalidOperation = NVMeStatus(0, 1), invalidField = NVMeStatus(0, 2), transferError = NVMeStatus(0, 4), internalError = NVMeStatus(0, 6)
    static let invalidNamespace = NVMeStatus(0, 0x0b), sequenceError = NVMeStatus(0, 0x0c), badSegment = NVMeStatus(0, 0x0d), badCount = NVMeStatus(0, 0x0e)
    static let badLength = NVMeStatus(0, 0x0f), badDescriptor = NVMeStatus(0, 0x11), badOffset = NVMeStatus(0, 0x13), writeProtected = NVMeStatus(0, 0x20)
    static let outOfRange = NVMeStatus(0, 0x80)
    static let invalidCompletionQueue = NVMeStatus(1, 0), invalidQueue = NVMeStatus(1, 1), invalidSize = NVMeStatus(1, 2), tooManyEvents = NVMeStatus(1, 5, isFinal: true)
    static let invalidVector = NVMeStatus(1, 8), invalidLog = NVMeStatus(1, 9), invalidDeletion = NVMeStatus(1, 0x0c), notSaveable = NVMeStatus(1, 0x0d)
    static let writeFault = NVMeStatus(2, 0x80), readError = NVMeStatus(2, 0x81), compareFailure = NVMeStatus(2, 0x85)
}

/// A submission queue entry (section 4.2).
struct NVMeCommand: Sendable {
    let bytes: [UInt8]
    static let size = 64

    var operation: UInt8 { bytes.number(0) }
    var flags: UInt8 { bytes.number(1) }
    var identifier: UInt16 { bytes.number(2) }
    var namespace: UInt32 { bytes.number(4) }
    /// Command dword 10 to 15.
    func word(_ number: Int) -> UInt32 { bytes.number(number * 4) }

    /// The guest memory of `count` bytes of data.
    func data(_ memory: GuestMemory, _ count: Int, pageSize: Int, isInput: Bool) throws(NVMeStatus) -> GuestPieces {
        guard count > 0 else { return GuestPieces() }
        switch flags >> 6 {
        case 0: return try pages(memory, count, pageSize, isInput)
        case 1, 2: return try scattered(memory, count, isInput)
        default: throw .invalidField
        }
    }

    private func pages(_ memory: GuestMemory, _ count: Int, _ pageSize: Int, _ isInput: Bool) throws(NVMeStatus) -> GuestPieces {
        let first: UInt64 = bytes.number(24), second: UInt64 = bytes.number(32), mask = UInt64(pageSize - 1)
        var pieces: [GuestPiece] = []
        var left = count
        func add(_ address: UInt64, _ size: Int) throws(NVMeStatus) {
            guard memory.append(address, size, writable: isInput, to: &pieces) else { throw .transferError }
            left -= size
        }
        try add(first, min(left, pageSize - Int(first & mask)))
        guard left > 0 else { return GuestPieces(pieces) }
        if left <= pageSize {
            guard second & mask == 0 else { throw .badOffset }
            try add(second, left)
            return GuestPieces(pieces)
        }
        // The last entry of a list's page leads to the next list, if there is more than it stands for.
        var list = second
        while left > 0 {
            guard list & 7 == 0 else { throw .badOffset }
            let room = (pageSize - Int(list & mask)) / 8, needed = (left + pageSize - 1) / pageSize
            let isChained = needed > room
            guard room > 1 || !isChained, let entries = memory.bytes(list, min(room, needed) * 8) else { throw .transferError }
            for index in 0 ..< (isChained ? room - 1 : needed) {
                let page: UInt64 = entries.number(index * 8)
                guard page & mask == 0 else { throw .badOffset }
                try add(page, min(left, pageSize))
            }
            if isChained { list = entries.number((room - 1) * 8) }
        }
        return GuestPieces(pieces)
    }

    /// Descriptors of one segment, and of all.
    private static let maximumDescriptors = 4096

    private func scattered(_ memory: GuestMemory, _ count: Int, _ isInput: Bool) throws(NVMeStatus) -> GuestPieces {
        var pieces: [GuestPiece] = []
        var left = count, seen = 0, segment = Array(bytes[24 ..< 40])
        while true {
            var next: (address: UInt64, size: Int)?
            for at in stride(from: 0, to: segment.count, by: 16) {
                seen += 1
                guard seen <= Self.maximumDescriptors else { throw .badCount }
                let address: UInt64 = segment.number(at), length: UInt32 = segment.number(at + 8), kind: UInt8 = segment.number(at + 15)
                switch kind {
                case 0x00:
                    let size = min(left, Int(length))
                    guard memory.append(address, size, writable: isInput, to: &pieces) else { throw .transferError }
                    left -= size
                case 0x20, 0x30:
                    // A segment ends the one it stands in.
                    guard at + 16 == segment.count, length > 0, length % 16 == 0 else { throw .badSegment }
                    next = (address, Int(length))
                default: throw .badDescriptor
                }
            }
            guard left > 0 else { return GuestPieces(pieces) }
            guard let next else { throw .badLength }
            guard next.size / 16 <= Self.maximumDescriptors - seen else { throw .badCount }
            guard let more = memory.bytes(next.address, next.size) else { throw .transferError }
            segment = more
        }
    }
}
