// A command slot of an AHCI port (AHCI 1.3.1 section 4.2): header, command table, physical regions. Whatever the driver wrote
// is read once; regions are looked at as far as the command has data.

import Core

struct AHCIRequest: Sendable {
    let port: Int
    let slot: Int
    let unit: any ATAUnit
    var request: ATARequest
    /// Regions hold less than the command moves.
    let isShort: Bool

    private static let tableOffset: UInt64 = 0x80, regionBytes = 16
    /// Regions that are read at once.
    private static let regionBatch = 256

    /// What a slot holds; nil: a part of it is no memory.
    init?(_ memory: GuestMemory, list: UInt64, slot: Int, port: Int, unit: any ATAUnit) {
        guard let header = memory.bytes(list &+ UInt64(slot) * 32, 32) else { return nil }
        let flags: UInt16 = header.number(0), regions = Int(header.number(2, as: UInt16.self)), table = header.number(8, as: UInt64.self) & ~0x7f
        // Command FISes have 5 words.
        guard flags & 31 >= 2, let fis = memory.bytes(table, ATACommand.size), let packet = memory.bytes(table &+ 0x40, 16) else { return nil }
        let command = ATACommand(fis), isPacket = flags & 0x20 != 0
        let (wanted, isInput) = command.isCommand ? unit.data(command, isOutput: flags & 0x40 != 0) : (0, true)
        var pieces: [GuestPiece] = [], left = wanted, done = 0
        while left > 0, done < regions {
            let batch = min(Self.regionBatch, regions - done)
            guard let entries = memory.bytes(table &+ Self.tableOffset &+ UInt64(done * Self.regionBytes), batch * Self.regionBytes) else { return nil }
            for at in stride(from: 0, to: entries.count, by: Self.regionBytes) where left > 0 {
                let size = min(left, Int(entries.number(at + 12, as: UInt32.self) & 0x3f_ffff) + 1)
                guard memory.append(entries.number(at), size, writable: isInput, to: &pieces) else { return nil }
                left -= size
            }
            done += batch
        }
        self.port = port
        self.slot = slot
        self.unit = unit
        // PACKET takes what there is room for.
        isShort = left > 0 && command.code != 0xa0
        request = ATARequest(command, packet: isPacket ? Array(packet.prefix(12)) : [], data: GuestPieces(pieces), isInput: isInput)
    }

    func run() -> ATAReply { isShort || request.command.code == 0xa0 && request.packet.isEmpty ? .failed() : unit.execute(request) }
}
