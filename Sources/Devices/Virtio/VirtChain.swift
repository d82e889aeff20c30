// One request of a driver: a chain of buffers, checked (Virtual I/O Device 1.3, sections 2.7.5 and 2.8.6).

import Core

/// What is wrong with a queue: the device asks to be reset.
public struct VirtQueueError: Error, Equatable {
    public var text: String
    init(_ text: String) { self.text = text }
}

/// A chain of buffers that the driver has made available.
public struct VirtChain: Sendable {
    /// The descriptor's number (split) or buffer identifier (packed), for `VirtQueue.complete`.
    let identifier: UInt16
    /// Places of the ring that it takes (packed).
    let places: UInt16
    /// The generation of the queue that it belongs to.
    let generation: UInt32
    /// What the driver wrote for the device.
    public let readable: GuestPieces
    /// Room for the device's answer.
    public let writable: GuestPieces
}

/// A descriptor as both rings have it.
struct VirtDescriptor {
    var address: UInt64
    var length: UInt32
    var flags: UInt16
    /// The next one's number (split) or the buffer's identifier (packed).
    var next: UInt16

    static let size = 16
    static let chained: UInt16 = 1, deviceWrites: UInt16 = 2, indirect: UInt16 = 4

    var isChained: Bool { flags & Self.chained != 0 }
    var isIndirect: Bool { flags & Self.indirect != 0 }

    /// Reads a descriptor once: the driver may be changing it.
    init(split host: UnsafeRawPointer) {
        address = UInt64(littleEndian: host.loadUnaligned(as: UInt64.self))
        length = UInt32(littleEndian: host.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        flags = UInt16(littleEndian: host.loadUnaligned(fromByteOffset: 12, as: UInt16.self))
        next = UInt16(littleEndian: host.loadUnaligned(fromByteOffset: 14, as: UInt16.self))
    }

    init(packed host: UnsafeRawPointer) {
        address = UInt64(littleEndian: host.loadUnaligned(as: UInt64.self))
        length = UInt32(littleEndian: host.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        next = UInt16(littleEndian: host.loadUnaligned(fromByteOffset: 12, as: UInt16.self))
        flags = UInt16(littleEndian: host.loadUnaligned(fromByteOffset: 14, as: UInt16.self))
    }
}

/// Collects the buffers of a chain and checks what the specification demands of it.
struct ChainBuilder {
    private let memory: GuestMemory
    private var readable = GuestPieces()
    private var writable = GuestPieces()
    private var count = 0
    private var total: UInt64 = 0
    /// More descriptors than any driver uses for one request.
    private static let maximumDescriptors = 4096

    init(_ memory: GuestMemory) { self.memory = memory }

    mutating func add(_ descriptor: VirtDescriptor) throws(VirtQueueError) {
        count += 1
        guard count <= Self.maximumDescriptors else { throw VirtQueueError("a chain of more than \(Self.maximumDescriptors) descriptors") }
        total += UInt64(descriptor.length)
        guard total <= UInt64(UInt32.max) else { throw VirtQueueError("a chain of more than 4 GiB") }
        let isWritable = descriptor.flags & VirtDescriptor.deviceWrites != 0
        guard isWritable || writable.pieces.isEmpty else { throw VirtQueueError("a buffer to read behind one to write") }
        var done = 0
        let length = Int(descriptor.length)
        while done < length {
            let (address, overflow) = descriptor.address.addingReportingOverflow(UInt64(done))
            guard !overflow, let piece = memory.piece(address, length - done, writable: isWritable), piece.count > 0 else {
                throw VirtQueueError("a buffer outside of memory, at 0x\(String(descriptor.address, radix: 16))")
            }
            if isWritable { writable.append(piece) } else { readable.append(piece) }
            done += piece.count
        }
    }

    /// All descriptors of an indirect table.
    mutating func addTable(_ table: VirtDescriptor, isPacked: Bool) throws(VirtQueueError) {
        let size = Int(table.length)
        guard size > 0, size % VirtDescriptor.size == 0, size / VirtDescriptor.size <= Self.maximumDescriptors else {
            throw VirtQueueError("an indirect table of \(size) bytes")
        }
        // Copied once, so that the driver cannot change it meanwhile.
        guard let bytes = memory.bytes(table.address, size) else { throw VirtQueueError("an indirect table outside of memory") }
        let entries = size / VirtDescriptor.size
        var index = 0, seen = 0
        while true {
            let descriptor = bytes.withUnsafeBytes { buffer -> VirtDescriptor? in
                guard let base = buffer.baseAddress, index < entries else { return nil }
                let at = base + index * VirtDescriptor.size
                return isPacked ? VirtDescriptor(packed: at) : VirtDescriptor(split: at)
            }
            guard let descriptor else { throw VirtQueueError("descriptor \(index) of an indirect table of \(entries)") }
            guard !descriptor.isIndirect else { throw VirtQueueError("an indirect table in an indirect table") }
            try add(descriptor)
            seen += 1
            if isPacked {
                index += 1
                if index == entries { return }
            } else {
                guard descriptor.isChained else { return }
                guard seen < entries else { throw VirtQueueError("a loop in an indirect table") }
                index = Int(descriptor.next)
            }
        }
    }

    func chain(_ identifier: UInt16, places: UInt16, generation: UInt32) -> VirtChain {
        VirtChain(identifier: identifier, places: places, generation: generation, readable: readable, writable: writable)
    }
}
