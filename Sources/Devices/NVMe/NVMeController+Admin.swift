// Admin commands (NVM Express 1.4, chapter 5).

import Core

extension NVMeController {
    private enum Feature { static let writeCache: UInt8 = 6, queues: UInt8 = 7 }

    /// Does an admin command. - Returns: status and dword 0 of its completion; nil: it is completed later (events).
    func administer(_ command: NVMeCommand) -> (NVMeStatus, UInt32)? {
        var result: UInt32 = 0
        do throws(NVMeStatus) {
            guard command.flags & 3 == 0 else { throw .invalidField }
            switch command.operation {
            case 0x00: try deleteSubmission(Int(command.word(10) & 0xffff))
            case 0x01: try createSubmission(command)
            case 0x02: try send(try logPage(command), command, Int(clamping: (UInt64(command.word(10) >> 16 | command.word(11) << 16) + 1) * 4))
            case 0x04: try deleteCompletion(Int(command.word(10) & 0xffff))
            case 0x05: try createCompletion(command)
            case 0x06: try send(try identify(command), command, 4096)
            // Abort: the command is over before this one is.
            case 0x08: result = 1
            case 0x09: result = try setFeature(command)
            case 0x0a: result = try feature(command)
            case 0x0c:
                guard eventRequests.count < Limit.events else { throw .tooManyEvents }
                eventRequests.append(command.identifier)
                return nil
            default: throw .invalidOperation
            }
            return (.success, result)
        } catch { return (error, 0) }
    }

    /// Sends `bytes`, with zeros up to `count`, at most the largest transfer.
    private func send(_ bytes: [UInt8], _ command: NVMeCommand, _ count: Int) throws(NVMeStatus) {
        guard let port, count <= maximumTransfer else { throw .invalidField }
        let pieces = try command.data(port.memory, count, pageSize: pageSize, isInput: true)
        pieces.fill(0, bytes: Array((bytes + [UInt8](repeating: 0, count: max(0, count - bytes.count))).prefix(count)))
    }

    // MARK: queues

    private func createCompletion(_ command: NVMeCommand) throws(NVMeStatus) {
        let number = Int(command.word(10) & 0xffff), size = command.word(10) >> 16, flags = command.word(11), vector = Int(flags >> 16), base: UInt64 = command.bytes.number(24)
        guard (1 ... maximumQueues).contains(number), completions[number] == nil else { throw .invalidQueue }
        guard size > 0, size < Limit.entries else { throw .invalidSize }
        guard flags & 1 != 0, base & UInt64(pageSize - 1) == 0 else { throw .badOffset }
        guard vector < (port?.usesVectors == true ? interrupts.vectors : 1) else { throw .invalidVector }
        completions[number] = Completion(base: base, size: size + 1, vector: vector, interrupts: flags & 2 != 0)
    }

    private func createSubmission(_ command: NVMeCommand) throws(NVMeStatus) {
        let number = Int(command.word(10) & 0xffff), size = command.word(10) >> 16, completion = Int(command.word(11) >> 16), base: UInt64 = command.bytes.number(24)
        guard completion != 0, completions[completion] != nil else { throw .invalidCompletionQueue }
        guard (1 ... maximumQueues).contains(number), submissions[number] == nil else { throw .invalidQueue }
        guard size > 0, size < Limit.entries else { throw .invalidSize }
        guard command.word(11) & 1 != 0, base & UInt64(pageSize - 1) == 0 else { throw .badOffset }
        submissions[number] = Submission(base: base, size: size + 1, completion: completion)
    }

    private func deleteSubmission(_ number: Int) throws(NVMeStatus) {
        guard number != 0, submissions[number] != nil else { throw .invalidQueue }
        settle()
        submissions[number] = nil
    }

    private func deleteCompletion(_ number: Int) throws(NVMeStatus) {
        guard number != 0, completions[number] != nil else { throw .invalidQueue }
        guard !submissions.values.contains(where: { $0.completion == number }) else { throw .invalidDeletion }
        completions[number] = nil
    }

    // MARK: features (5.14 and 5.21)

    private static let known: [UInt8: UInt32] = [1: 0x07, 2: 0, 4: 0x157, 5: 0, 8: 0, 9: 0, 10: 0, 11: 0]

    private func feature(_ command: NVMeCommand) throws(NVMeStatus) -> UInt32 {
        let number = UInt8(truncatingIfNeeded: command.word(10)), select = command.word(10) >> 8 & 7
        guard select == 0 || select == 1 else { throw .invalidField }
        switch number {
        case Feature.writeCache: return (select == 1 ? startsCached : disk.isWriteCacheEnabled) ? 1 : 0
        case Feature.queues: return UInt32(maximumQueues - 1) << 16 | UInt32(maximumQueues - 1)
        default:
            guard let standard = Self.known[number] else { throw .invalidField }
            return select == 1 ? standard : featureValues[number] ?? standard
        }
    }

    private func setFeature(_ command: NVMeCommand) throws(NVMeStatus) -> UInt32 {
        let number = UInt8(truncatingIfNeeded: command.word(10)), value = command.word(11)
        guard command.word(10) >> 31 == 0 else { throw .notSaveable }
        switch number {
        case Feature.writeCache:
            if value & 1 == 0, disk.isWriteCacheEnabled {
                settle()
                guard disk.flush().isDone else { throw .internalError }
            }
            disk.isWriteCacheEnabled = value & 1 != 0
        case Feature.queues:
            guard value & 0xffff != 0xffff, value >> 16 != 0xffff else { throw .invalidField }
            guard completions.count <= 1 else { throw .sequenceError }
            return UInt32(maximumQueues - 1) << 16 | UInt32(maximumQueues - 1)
        default:
            guard Self.known[number] != nil else { throw .invalidField }
            featureValues[number] = value
        }
        return 0
    }

    // MARK: identify (5.15)

    private func identify(_ command: NVMeCommand) throws(NVMeStatus) -> [UInt8] {
        let namespace = command.namespace
        switch command.word(10) & 0xff {
        case 0:
            guard namespace == 1 || namespace == .max else { throw .invalidNamespace }
            return identifyNamespace
        case 1: return identifyController
        case 2:
            guard namespace < 0xffff_fffe else { throw .invalidNamespace }
            return namespace < 1 ? [1, 0, 0, 0] : []
        case 3:
            guard namespace == 1 else { throw .invalidNamespace }
            // A UUID.
            return [3, 16, 0, 0] + uniqueName
        default: throw .invalidField
        }
    }

    /// Made of the serial number (FNV-1a, twice), so that it stays the same.
    private var uniqueName: [UInt8] {
        func hash(_ seed: UInt64) -> UInt64 { serial.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 } }
        var bytes = big(hash(0xcbf2_9ce4_8422_2325)) + big(hash(0x9e37_79b9_7f4a_7c15))
        bytes[6] = bytes[6] & 0x0f | 0x80
        bytes[8] = bytes[8] & 0x3f | 0x80
        return bytes
    }

    private var identifyNamespace: [UInt8] {
        let blocks = disk.size >> blockBits
        var fields = FieldWriter()
        for _ in 0 ..< 3 { fields.add(blocks) }
        // Deallocation is reported; one format, the current one.
        fields.add([4, 0, 0])
        fields.pad(to: 33)
        // Blocks that are deallocated read as zeros, also by Write Zeroes.
        fields.add(UInt8(9))
        fields.pad(to: 99)
        fields.add(UInt8(disk.isReadOnly ? 1 : 0))
        fields.pad(to: 128)
        fields.add(UInt32(blockBits) << 16)
        return fields.bytes
    }

    private var identifyController: [UInt8] {
        var fields = FieldWriter()
        fields.add(identity.vendor)
        fields.add(identity.subsystemVendor)
        fields.add(padded(serial, 20))
        fields.add(padded("QEMU NVMe Ctrl", 40))
        fields.add(padded("1.0", 8))
        // Arbitration burst 64, the maker's number 52:54:00, no sharing, the largest transfer, controller 0, version 1.4.
        fields.add([6, 0x00, 0x54, 0x52, 0, transferExponent, 0, 0])
        fields.add(UInt32(0x10400))
        fields.pad(to: 111)
        fields.add(UInt8(1))
        fields.pad(to: 258)
        // Aborts, events (both less one), one firmware slot that cannot be written.
        fields.add([3, UInt8(Limit.events - 1), 3])
        fields.pad(to: 266)
        fields.add(UInt16(0x157))
        fields.add(UInt16(0x175))
        fields.pad(to: 512)
        // Entries of 64 and 16 bytes; one namespace; compare, dataset management, write zeroes; a write cache.
        fields.add([0x66, 0x44, 0, 0])
        fields.add(UInt32(1))
        fields.add(UInt16(0x0d))
        fields.pad(to: 525)
        fields.add(UInt8(1))
        fields.pad(to: 536)
        fields.add(UInt32(1))
        fields.pad(to: 768)
        fields.add(Array("nqn.2019-08.org.qemu:\(serial)".utf8))
        fields.pad(to: 2048)
        fields.add(UInt16(0x9c4))
        fields.pad(to: 4096)
        return fields.bytes
    }

    /// Get Log Page: errors (none), health, firmware.
    private func logPage(_ command: NVMeCommand) throws(NVMeStatus) -> [UInt8] {
        guard command.word(12) == 0, command.word(13) == 0 else { throw .invalidField }
        switch command.word(10) & 0xff {
        case 1: return [UInt8](repeating: 0, count: 64)
        case 2:
            let statistics = disk.statistics
            var fields = FieldWriter()
            // No warning, 50 °C, all spare left.
            fields.add([0, 0x43, 0x01, 100, 10, 0])
            fields.pad(to: 32)
            // In thousands of 512 bytes, then commands.
            for value in [statistics.readBytes / 512_000, statistics.writtenBytes / 512_000, statistics.reads, statistics.writes] {
                fields.add(value)
                fields.add(UInt64(0))
            }
            fields.pad(to: 512)
            return fields.bytes
        case 3: return [1, 0, 0, 0, 0, 0, 0, 0] + padded("1.0", 8) + [UInt8](repeating: 0, count: 496)
        default: throw .invalidLog
        }
    }
}
