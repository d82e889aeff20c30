// Packets of virtio-vsock (Virtual I/O Device 1.3, section 5.10.6): a header of 44 bytes, and for data the bytes behind it.

struct SocketPacket: Equatable {
    static let headerBytes = 44
    static let stream: UInt16 = 1
    /// The host's context identifier.
    static let host: UInt64 = 2

    enum Operation: UInt16 {
        case request = 1, response = 2, reset = 3, shutdown = 4, data = 5, creditUpdate = 6, creditRequest = 7
    }
    /// Flags of a shutdown: what its sender does not do any more.
    enum Shutdown { static let receives: UInt32 = 1, sends: UInt32 = 2, both: UInt32 = 3 }

    var source: UInt64 = 0, target: UInt64 = 0
    var sourcePort: UInt32 = 0, targetPort: UInt32 = 0
    /// Bytes behind the header.
    var count: UInt32 = 0
    var kind: UInt16 = SocketPacket.stream
    /// An `Operation`, unless the guest made it up.
    var operation: UInt16
    var flags: UInt32 = 0
    /// The sender's room for data, and the bytes that it has passed on so far.
    var room: UInt32 = 0, passed: UInt32 = 0

    init(_ operation: Operation) { self.operation = operation.rawValue }

    /// nil: fewer bytes than a header has.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerBytes else { return nil }
        source = bytes.number(0)
        target = bytes.number(8)
        sourcePort = bytes.number(16)
        targetPort = bytes.number(20)
        count = bytes.number(24)
        kind = bytes.number(28)
        operation = bytes.number(30)
        flags = bytes.number(32)
        room = bytes.number(36)
        passed = bytes.number(40)
    }

    var bytes: [UInt8] {
        var fields = FieldWriter()
        fields.add(source)
        fields.add(target)
        for number in [sourcePort, targetPort, count] { fields.add(number) }
        fields.add(kind)
        fields.add(operation)
        for number in [flags, room, passed] { fields.add(number) }
        return fields.bytes
    }
}
