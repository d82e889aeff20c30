// Commands of the NVM command set (NVM Express 1.4, chapter 6): read, write, flush, compare, write zeroes, deallocate.

import Core

struct NVMeRequest: Sendable {
    let command: NVMeCommand
    let queue: Int
    private var data = GuestPieces()
    /// What is wrong with it already.
    private var problem: NVMeStatus?
    private enum Operation {
        static let flush: UInt8 = 0, write: UInt8 = 1, read: UInt8 = 2, compare: UInt8 = 5, zeroes: UInt8 = 8, dataset: UInt8 = 9
    }

    /// Finds the command's data in guest memory.
    init(_ command: NVMeCommand, queue: Int, memory: GuestMemory, controller: NVMeController) {
        self.command = command
        self.queue = queue
        let size = Self.size(command, controller.blockBits)
        do throws(NVMeStatus) {
            // Fused commands are not there.
            guard command.flags & 3 == 0 else { throw .invalidField }
            guard command.namespace == 1 || command.operation == Operation.flush && command.namespace == .max else { throw .invalidNamespace }
            guard size <= controller.maximumTransfer else { throw .invalidField }
            data = try command.data(memory, size, pageSize: controller.pageSize, isInput: command.operation == Operation.read)
        } catch { problem = error }
    }

    private var first: UInt64 { UInt64(command.word(10)) | UInt64(command.word(11)) << 32 }
    private var blocks: UInt64 { UInt64(command.word(12) & 0xffff) + 1 }

    private static func size(_ command: NVMeCommand, _ bits: UInt64) -> Int {
        switch command.operation {
        case Operation.read, Operation.write, Operation.compare: (Int(command.word(12) & 0xffff) + 1) << Int(bits)
        case Operation.dataset: (Int(command.word(10) & 0xff) + 1) * 16
        default: 0
        }
    }

    var isSmall: Bool { (command.operation == Operation.read || command.operation == Operation.write) && data.count <= 160 << 10 }

    func run(_ disk: BlockDevice, _ bits: UInt64) -> NVMeStatus {
        if let problem { return problem }
        switch command.operation {
        case Operation.flush: return disk.flush().isDone ? .success : .writeFault
        case Operation.dataset: return deallocate(disk, bits)
        case Operation.read, Operation.write, Operation.compare, Operation.zeroes: break
        default: return .invalidOperation
        }
        let limit = disk.size >> bits
        guard first <= limit, blocks <= limit - first else { return .outOfRange }
        let offset = first << bits, isForced = command.word(12) >> 30 & 1 != 0
        switch command.operation {
        case Operation.read: return disk.read(offset, into: data).isDone ? .success : .readError
        case Operation.compare:
            guard let found = disk.bytes(offset, data.count) else { return .readError }
            return found == data.bytes(0, data.count) ? .success : .compareFailure
        case Operation.write: return Self.status(disk.write(offset, from: data), isForced ? disk : nil)
        // Bit 25: the blocks may become holes.
        default: return Self.status(disk.writeZeroes(offset, blocks << bits, unmap: command.word(12) >> 25 & 1 != 0), isForced ? disk : nil)
        }
    }

    /// - Parameter forced: to be flushed (force unit access).
    private static func status(_ result: DiskResult, _ forced: BlockDevice?) -> NVMeStatus {
        switch result {
        case .failed(.readOnly): .writeProtected
        case .failed: .writeFault
        case .done: forced.map { $0.flush().isDone } ?? true ? .success : .writeFault
        }
    }

    /// Dataset management: ranges of 16 bytes with attributes, blocks, first block. Only deallocation does anything.
    private func deallocate(_ disk: BlockDevice, _ bits: UInt64) -> NVMeStatus {
        guard command.word(11) & 4 != 0 else { return .success }
        let list = data.bytes(0, data.count), limit = disk.size >> bits
        for at in stride(from: 0, to: list.count, by: 16) {
            let count = UInt64(list.number(at + 4, as: UInt32.self)), start: UInt64 = list.number(at + 8)
            guard start <= limit, count <= limit - start else { return .outOfRange }
            guard count > 0 else { continue }
            let done = disk.discard(start << bits, count << bits)
            guard done.isDone else { return Self.status(done, nil) }
        }
        return .success
    }
}
