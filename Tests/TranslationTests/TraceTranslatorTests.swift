// Where traces begin, continue and end, with a guest of three two-byte instructions: 0 nothing, 1 a jump by a signed
// count of instructions, 2 one that needs a thousand ops.
import IR
import Testing
import Translation

private final class JumpingGuest: Guest {
    let name = "jumping"
    let layout = StateLayout(guestBytes: 8, hotIntegers: [], hotFloats: [])
    let minimumInstructionLength = 2
    let maximumInstructionLength = 2

    func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into x: Builder) -> DecodedInstruction {
        guard window.count >= 2 else { return DecodedInstruction(length: 0, flow: .end) }
        let distance = Int64(window.bytes.load(fromByteOffset: 1, as: Int8.self))
        switch window.bytes.load(as: UInt8.self) {
        case 0: x.put(0, x.get(0))
        case 1: return DecodedInstruction(length: 2, flow: .jump(pc &+ UInt64(bitPattern: distance &* 2)))
        case 2: for _ in 0 ..< 1000 { x.put(0, x.get(0)) }
        default:
            x.exit(ExitReason.illegalInstruction.rawValue, at: pc)
            return DecodedInstruction(length: 2, flow: .end)
        }
        return DecodedInstruction(length: 2, flow: .next)
    }

    func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) { ("i", min(window.count, 2)) }
    func describeState(of vcpu: VCPU) -> String { "" }
}

private final class Code: CodeSource, @unchecked Sendable {
    var bytes: [UInt8]
    let start: UInt64
    init(_ bytes: [UInt8], start: UInt64 = 0x1000) {
        self.bytes = bytes
        self.start = start
    }

    func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int {
        let offset = pc &- start
        guard offset < UInt64(bytes.count) else { return 0 }
        let readable = min(count, bytes.count - Int(offset))
        for index in 0 ..< readable { buffer.storeBytes(of: bytes[Int(offset) + index], toByteOffset: index, as: UInt8.self) }
        return readable
    }

    func isWritable(_ pc: UInt64) -> Bool { pc >= 0x2000 }
}

/// A translator, its last op, and whether the verifier finds the trace right.
private func trace(_ code: Code, at pc: UInt64 = 0x1000, instructions: Int = 64) -> (translator: TraceTranslator, last: Op, faults: [String]) {
    var options = EngineOptions()
    options.maximumBlockInstructions = instructions
    let translator = TraceTranslator(guest: JumpingGuest(), source: code, options: options)
    translator.translate(at: pc, context: 0)
    let arena = translator.arena.pointee
    return (translator, arena.ops[arena.count - 1], IRVerifier.faults(in: arena))
}

@Test func endsAtTheCap() {
    let (translator, last, faults) = trace(Code([UInt8](repeating: 0, count: 1000)), instructions: 5)
    #expect(faults == [] && translator.instructionCount == 5 && translator.byteCount == 10)
    #expect(last.code == .jump && last.imm == 0x100a)
    #expect(!translator.isWritable)
}

@Test func endsBeforeWhatCannotBeRead() {
    let (translator, last, faults) = trace(Code([0, 0, 0, 0, 0]))
    #expect(faults == [] && translator.instructionCount == 2)
    #expect(last.code == .jump && last.imm == 0x1004)
}

@Test func reportsAFetchFault() {
    let (translator, last, faults) = trace(Code([0]))
    #expect(faults == [] && translator.isFetchFault && translator.instructionCount == 0)
    #expect(last.code == .exit && last.aux == ExitReason.fetchFault.rawValue && last.imm == 0x1000)
    #expect(translator.ranges.first == CodeRange(start: 0x1000, length: 2))
    let top = trace(Code([0, 0], start: .max - 1), at: .max - 1)
    #expect(top.translator.instructionCount == 1 && top.last.imm == 0)
}

@Test func followsJumpsButNotIntoItself() {
    // To 0x1006, back to 0x1002, on into 0x1006 again.
    let (translator, last, faults) = trace(Code([1, 3, 0, 0, 0, 0, 1, 0xfe, 0, 0]))
    #expect(faults == [])
    #expect(Array(translator.ranges) == [
        CodeRange(start: 0x1000, length: 2), CodeRange(start: 0x1006, length: 2), CodeRange(start: 0x1002, length: 4),
    ])
    #expect(last.code == .jump && last.imm == 0x1006)
    #expect(Array(translator.bytes) == [1, 3, 1, 0xfe, 0, 0, 0, 0])
    let itself = trace(Code([1, 0]))
    #expect(itself.translator.instructionCount == 1 && itself.last.imm == 0x1000)
}

@Test func cutsAtTheLastWholeInstruction() {
    let (translator, last, faults) = trace(Code([UInt8](repeating: 2, count: 40)))
    #expect(faults == [] && translator.instructionCount == 3)
    #expect(last.code == .jump && last.imm == 0x1006)
    #expect(!translator.arena.pointee.overflowed)
}

@Test func noticesWritablePages() {
    let (translator, _, _) = trace(Code([UInt8](repeating: 0, count: 64), start: 0x1ff0), at: 0x1ff0)
    #expect(translator.isWritable)
}

@Test func snapshotsKnowTheirBytes() {
    let code = Code([1, 3, 0, 0, 0, 0, 0, 0, 9, 9])
    let snapshot = trace(code).translator.snapshot()
    defer { snapshot.deallocate() }
    #expect(snapshot.isUnchanged(in: code))
    #expect(snapshot.intersects(0x1001 ..< 0x1002) && !snapshot.intersects(0x1002 ..< 0x1006))
    #expect(snapshot.intersects(0 ..< .max) && !snapshot.intersects(0x100a ..< 0x2000))
    code.bytes[3] = 7
    #expect(snapshot.isUnchanged(in: code))
    code.bytes[7] = 7
    #expect(!snapshot.isUnchanged(in: code))
    code.bytes = []
    #expect(!snapshot.isUnchanged(in: code))
}
