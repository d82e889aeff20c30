// Builds the IR of one superblock: decodes guest instructions from a start address on, follows unconditional direct
// jumps, and ends where the guest's control flow, the caps or unreadable memory say. What it leaves out: it neither
// optimises nor caches.
import IR

/// Turns guest code into traces of IR. One object is reused for trace after trace and owns all memory it needs, so a
/// trace allocates nothing. Used by one thread at a time (engines translate under a lock).
public final class TraceTranslator {
    /// The ops of the last trace.
    public let arena: UnsafeMutablePointer<OpArena>
    /// Guest instructions in the last trace; 0 if its first could not be fetched.
    public private(set) var instructionCount = 0
    /// Whether the guest can write to a page that the last trace was decoded from.
    public private(set) var isWritable = false
    /// The last trace only reports that its first instruction cannot be fetched: not worth caching.
    public private(set) var isFetchFault = false
    public private(set) var rangeCount = 0
    /// Bytes of guest code in the last trace.
    public private(set) var byteCount = 0

    /// Most ranges of guest code in one trace; each followed jump begins one.
    public static let maximumRanges = 8

    private let guest: any Guest
    private let source: any CodeSource
    private let addressMask: UInt64
    private let maximumInstructions: Int
    private let maximumLength: Int
    private let rangeStorage: UnsafeMutablePointer<CodeRange>
    private let byteStorage: UnsafeMutableRawPointer
    private let byteCapacity: Int
    private let window: UnsafeMutableRawPointer
    private var windowStart: UInt64 = 0
    private var windowCount = 0
    private var checkedPage: UInt64 = ~0

    private static let windowBytes = 256
    private static let opCapacity = 6144

    public init(guest: any Guest, source: any CodeSource, options: EngineOptions) {
        self.guest = guest
        self.source = source
        addressMask = guest.layout.addressMask
        maximumInstructions = min(max(options.maximumBlockInstructions, 1), 1024)
        maximumLength = min(max(guest.maximumInstructionLength, 1), Self.windowBytes)
        arena = .allocate(capacity: 1)
        arena.initialize(to: OpArena(capacity: Self.opCapacity))
        rangeStorage = .allocate(capacity: Self.maximumRanges)
        byteCapacity = maximumInstructions &* maximumLength
        byteStorage = .allocate(byteCount: byteCapacity, alignment: 8)
        window = .allocate(byteCount: Self.windowBytes, alignment: 8)
    }

    deinit {
        arena.pointee.deallocate()
        arena.deinitialize(count: 1)
        arena.deallocate()
        rangeStorage.deallocate()
        byteStorage.deallocate()
        window.deallocate()
    }

    /// The ranges of guest code in the last trace, in trace order. If it is a fetch fault, the bytes up to and with
    /// the one that could not be read.
    public var ranges: UnsafeBufferPointer<CodeRange> { UnsafeBufferPointer(start: rangeStorage, count: rangeCount) }
    /// The guest code of the last trace, range after range. Empty for a fetch fault.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: byteStorage, count: byteCount) }
    /// A copy of `ranges` and `bytes` that the caller owns; without ranges for a fetch fault.
    public func snapshot() -> CodeSnapshot {
        CodeSnapshot(ranges: rangeStorage, rangeCount: isFetchFault ? 0 : rangeCount, bytes: byteStorage, byteCount: byteCount)
    }

    /// Replaces the contents of `arena` by the trace that starts at `start`; it always ends with an op that ends a trace.
    /// - Parameters:
    ///   - limit: at most this many instructions, if it is less than the options say.
    ///   - belief: what the vCPU to run the trace has at `StateLayout.beliefOffset`.
    public func translate(at start: UInt64, context: UInt64, limit: Int = .max, belief: UInt64 = 0) {
        reset()
        arena.pointee.belief = belief
        let maximumInstructions = min(self.maximumInstructions, max(limit, 1))
        let builder = Builder(arena)
        var pc = start
        beginRange(at: pc)
        while true {
            let mark = arena.pointee.count
            guard instructionCount < maximumInstructions, mark &+ 64 < arena.pointee.capacity else {
                return builder.jump(to: pc)
            }
            fill(at: pc)
            builder.instruction(at: pc, length: 0)
            let skipped = Int(truncatingIfNeeded: pc &- windowStart)
            let code = CodeWindow(bytes: UnsafeRawPointer(window) + skipped, count: windowCount &- skipped)
            let decoded = code.count == 0
                ? DecodedInstruction(length: 0, flow: .end)
                : guest.translate(code, at: pc, context: context, into: builder)

            guard decoded.length > 0, decoded.length <= code.count, decoded.length <= maximumLength else {
                cut(to: mark)
                return endUnfetchable(at: pc, readable: code.count, builder)
            }
            guard !arena.pointee.overflowed else {
                cut(to: mark)
                // A single instruction never needs a whole arena; a guest for which it does has no such instruction.
                return instructionCount > 0 ? builder.jump(to: pc) : builder.exit(ExitReason.illegalInstruction.rawValue, at: pc)
            }
            arena.pointee.ops[mark].aux = UInt16(truncatingIfNeeded: decoded.length)
            append(code, pc, decoded.length)

            switch decoded.flow {
            case .end:
                return
            case .next:
                let last = arena.pointee.ops[arena.pointee.count &- 1]
                let endsLoop = last.code == .branch && last.imm <= pc
                pc = (pc &+ UInt64(truncatingIfNeeded: decoded.length)) & addressMask
                // What follows a loop is shared by the trace that runs into it and the one that its back edge starts.
                if endsLoop || isCovered(pc) { return builder.jump(to: pc) }
            case .jump(let target):
                guard rangeCount < Self.maximumRanges, instructionCount < maximumInstructions, !isCovered(target) else {
                    return builder.jump(to: target)
                }
                pc = target
                beginRange(at: pc)
            }
        }
    }

    // MARK: parts of translate

    private func reset() {
        cut(to: 0)
        instructionCount = 0
        isWritable = false
        isFetchFault = false
        rangeCount = 0
        byteCount = 0
        windowCount = 0
        checkedPage = ~0
    }

    private func cut(to count: Int) {
        arena.pointee.count = count
        arena.pointee.overflowed = false
    }

    private func beginRange(at pc: UInt64) {
        rangeStorage[rangeCount] = CodeRange(start: pc, length: 0)
        rangeCount &+= 1
    }

    private func isCovered(_ pc: UInt64) -> Bool {
        for index in 0 ..< rangeCount where rangeStorage[index].contains(pc) { return true }
        return false
    }

    /// Makes the window hold the instruction at `pc`, as far as it can be read.
    private func fill(at pc: UInt64) {
        let skipped = pc &- windowStart
        if skipped < UInt64(truncatingIfNeeded: windowCount),
           windowCount &- Int(truncatingIfNeeded: skipped) >= maximumLength { return }
        windowStart = pc
        windowCount = min(max(source.readCode(at: pc, into: window, count: Self.windowBytes), 0), Self.windowBytes)
    }

    /// Records the instruction that was just translated.
    private func append(_ code: CodeWindow, _ pc: UInt64, _ length: Int) {
        if byteCount &+ length <= byteCapacity {
            (byteStorage + byteCount).copyMemory(from: code.bytes, byteCount: length)
        }
        byteCount &+= length
        instructionCount &+= 1
        rangeStorage[rangeCount &- 1].length &+= length
        checkPage(of: pc)
        checkPage(of: pc &+ UInt64(truncatingIfNeeded: length &- 1))
    }

    private func checkPage(of address: UInt64) {
        guard address &>> 12 != checkedPage else { return }
        checkedPage = address &>> 12
        if source.isWritable(address) { isWritable = true }
    }

    private func endUnfetchable(at pc: UInt64, readable: Int, _ builder: Builder) {
        if instructionCount > 0 {
            if rangeStorage[rangeCount &- 1].length == 0 { rangeCount &-= 1 }
            return builder.jump(to: pc)
        }
        isFetchFault = true
        rangeStorage[0].length = readable &+ 1
        builder.instruction(at: pc, length: 0)
        builder.put(StateHeader.faultAddress, builder.constant(pc &+ UInt64(truncatingIfNeeded: readable)))
        builder.exit(ExitReason.fetchFault.rawValue, at: pc)
    }
}

extension TraceTranslator {
    /// The guest assembly of the last trace, for `-d in_asm`: a heading, then one instruction a line.
    public func assembly() -> String {
        var text = "----------------\nIN:\n"
        var offset = 0
        for range in ranges where !isFetchFault {
            var done = 0
            while done < range.length, let base = bytes.baseAddress {
                let code = CodeWindow(bytes: base + (offset &+ done), count: range.length &- done)
                let pc = range.start &+ UInt64(truncatingIfNeeded: done)
                let (line, length) = guest.disassemble(code, at: pc)
                guard length > 0 else { break }
                text += "0x\(String(pc, radix: 16)):  \(line)\n"
                done &+= length
            }
            offset &+= range.length
        }
        return text + "\n"
    }
}
