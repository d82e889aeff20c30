// HTIF, the Berkeley host-target interface: two words, `tohost` and `fromhost`, by which a program reaches its host: device 0
// ends the machine and does system calls, device 1 is a console. After the RISC-V proxy kernel's use of them.
//
// Of system calls, write to descriptors 1 and 2 and exit are done; others get ENOSYS.

import Core

public final class HostTargetInterface: Device {
    /// Bank 0: `fromhost`, bank 1: `tohost`.
    public let banks = [Bank("riscv.htif.fromhost", size: 8, widths: 4 ... 4), Bank("riscv.htif.tohost", size: 8, widths: 4 ... 4)]
    private let host: DeviceHost
    private let stream: (any CharacterStream)?
    private let requests: MachineRequests
    private var toHost: UInt64 = 0
    private var fromHost: UInt64 = 0
    /// The console's reader waits for a character: its request.
    private var wanted: UInt64 = 0
    private var received: [UInt8] = []
    private static let capacity = 16, longestWrite: UInt64 = 1 << 20

    private enum Console { static let read: UInt64 = 0, write: UInt64 = 1 }
    private enum Call { static let write: UInt64 = 64, exit: UInt64 = 93, exitGroup: UInt64 = 94, notThere = UInt64(bitPattern: -38), badAddress = UInt64(bitPattern: -14) }

    public init(_ host: DeviceHost, stream: (any CharacterStream)?, requests: MachineRequests) {
        self.host = host
        self.stream = stream
        self.requests = requests
    }

    /// Connects the stream; called once the device is in its slot.
    public func connect() {
        let room = host.request { [unowned self] in Self.capacity - received.count }
        stream?.attach(CharacterHandlers(capacity: { room() ?? 0 }, receive: host.callback { [unowned self] (bytes: [UInt8]) in
            received += bytes
            deliver()
        }))
    }

    /// A character for the reader that waits.
    private func deliver() {
        guard wanted != 0, fromHost == 0, !received.isEmpty else { return }
        let byte = received.removeFirst()
        answer(wanted, 0x100 | UInt64(byte))
        wanted = 0
        stream?.resume()
    }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        let word = bank == 0 ? fromHost : toHost
        return offset == 4 ? word >> 32 : word & 0xffff_ffff
    }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        let half = value & 0xffff_ffff
        guard bank == 1 else {
            fromHost = offset == 4 ? (fromHost & 0xffff_ffff) | (half << 32) : (fromHost & ~0xffff_ffff) | half
            return deliver()
        }
        // The upper half, which comes last, sets it going.
        guard offset == 4 else { return toHost = half }
        let request = toHost | half << 32
        toHost = 0
        perform(request)
    }

    private func perform(_ request: UInt64) {
        let device = request >> 56, command = request >> 48 & 0xff, payload = request & 0xffff_ffff_ffff
        switch (device, command) {
        case (0, 0) where payload & 1 != 0: requests.post(.powerOff(status: Int32(truncatingIfNeeded: payload >> 1)))
        case (0, 0):
            guard payload != 0 else { return }
            call(payload)
            answer(request, 1)
        case (1, Console.read):
            wanted = request
            deliver()
        case (1, Console.write):
            _ = stream?.send([UInt8(truncatingIfNeeded: payload)][...])
            answer(request, 0x100 | payload & 0xff)
        default: GuestErrors.report("htif: no device \(device) with command \(command)")
        }
    }

    private func answer(_ request: UInt64, _ payload: UInt64) { fromHost = (request & ~0xffff_ffff_ffff) | (payload & 0xffff_ffff_ffff) }

    /// A system call: eight words at `address`, number and arguments; the first becomes the result.
    private func call(_ address: UInt64) {
        var words = [UInt64](repeating: 0, count: 8)
        guard words.withUnsafeMutableBytes({ host.memory.read(address, into: $0) }) else { return }
        var result = Call.notThere
        switch words[0] {
        case Call.write where words[1] == 1 || words[1] == 2:
            var bytes = [UInt8](repeating: 0, count: Int(min(words[3], Self.longestWrite)))
            if bytes.withUnsafeMutableBytes({ host.memory.read(words[2], into: $0) }) {
                _ = stream?.send(bytes[...])
                result = UInt64(bytes.count)
            } else { result = Call.badAddress }
        case Call.exit, Call.exitGroup:
            requests.post(.powerOff(status: Int32(truncatingIfNeeded: words[1])))
            result = 0
        default: GuestErrors.report("htif: system call \(words[0])")
        }
        _ = withUnsafeBytes(of: result.littleEndian) { host.memory.write(address, from: $0) }
    }

    public func reset() {
        (toHost, fromHost, wanted) = (0, 0, 0)
        received = []
        stream?.resume()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("tohost", &toHost)
        try state.field("fromhost", &fromHost)
        try state.field("wanted", &wanted)
        try state.field("received", &received, maximum: Self.capacity)
    }
}
