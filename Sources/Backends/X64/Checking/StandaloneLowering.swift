import IR
import Translation

/// Tier 1 on its own, for tests: lowers traces into plain memory as if block and runtime stood at fixed addresses, so
/// that the same trace always gives the same bytes.
package final class StandaloneLowering {
    /// What one trace became.
    package struct Block {
        /// The host code as it would stand at `address`.
        package var bytes: [UInt8]
        /// How many of the bytes are hot code; cold code follows.
        package var hotBytes: Int
        /// What `PlacementChecker` found wrong.
        package var faults: [String]
    }

    /// Where blocks pretend to stand.
    package static let address: UInt64 = 0x4001_0000

    private static let trampolineBase: UInt64 = 0x4000_1000
    private static let constantBase: UInt64 = 0x4000_2000
    private static let siteKey: UInt64 = 0x4000_3000
    private static let room = 1 << 16
    private static let logCapacity = 1 << 16

    private let lowering: UnsafeMutablePointer<Lowering>
    private let log: UnsafeMutablePointer<PlacementLog>
    private let buffer: UnsafeMutablePointer<UInt8>

    private static var names: [(String, WritableKeyPath<Trampolines, UInt64>)] { [
        ("exit", \.exit), ("linkExit", \.linkExit), ("indirectMiss", \.indirectMiss), ("returnMiss", \.returnMiss),
        ("siteExit", \.siteExit), ("helper", \.helper), ("slowFloat", \.slowFloat), ("flagsFromMXCSR", \.flagsFromMXCSR), ("flagsToMXCSR", \.flagsToMXCSR),
    ] }

    package init(_ layout: StateLayout, capacity: Int = 6144) {
        var trampolines = Trampolines()
        for (index, (_, path)) in Self.names.enumerated() {
            trampolines[keyPath: path] = Self.trampolineBase + UInt64(index) * 64
        }
        lowering = .allocate(capacity: 1)
        lowering.initialize(to: Lowering(capacity: capacity, registers: HostRegisters(layout), trampolines: trampolines,
                                         constants: ConstantPool(base: Self.constantBase)))
        lowering.pointee.siteKey = Self.siteKey
        log = .allocate(capacity: 1)
        log.initialize(to: PlacementLog(capacity: Self.logCapacity))
        lowering.pointee.placementLog = log
        buffer = .allocate(capacity: Self.room)
    }

    /// The name of the runtime's code or constant at `address`, if it is one.
    package static func name(of address: UInt64) -> String? {
        for (index, (name, _)) in names.enumerated() where address == trampolineBase + UInt64(index) * 64 { return name }
        if address == siteKey { return "siteKey" }
        for slot in ConstantPool.Slot.allCases where address == ConstantPool(base: constantBase).address(slot) { return "\(slot)" }
        return nil
    }

    /// Lowers `arena`; nil if the trace is too long for one block.
    package func lower(_ arena: OpArena) -> Block? {
        log.pointee.count = 0
        let delta = Int(Self.address) - Int(bitPattern: buffer)
        lowering.pointee.run(arena, Assembler(write: buffer, limit: buffer + Self.room, executableDelta: delta))
        let result = lowering.pointee
        guard !result.failed, !result.a.overflowed, !result.a.outOfRange else { return nil }
        var checker = PlacementChecker(arena.ops, arena.count, homeRegister: result.places.homeRegister)
        checker.run(log.pointee) { result.liveness.isLive($0, arena.ops) }
        var faults = checker.faults
        if log.pointee.overflowed { faults.append("the log is full") }
        return Block(bytes: Array(UnsafeBufferPointer(start: buffer, count: result.a.cursor - buffer)),
                     hotBytes: result.coldStart - buffer, faults: faults)
    }
}
