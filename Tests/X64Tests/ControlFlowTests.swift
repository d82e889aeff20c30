// Jump displacements, patching, padding and running out of room, on the bytes themselves.
import Testing
import X64

struct ControlFlowTests {
    /// A buffer with its assembler; the executable view is pretended to be elsewhere.
    private final class Code {
        let buffer: UnsafeMutablePointer<UInt8>
        var assembler: Assembler
        init(capacity: Int = 1024, delta: Int = 0x5000_0000) {
            buffer = .allocate(capacity: capacity)
            buffer.initialize(repeating: 0xF4, count: capacity)
            assembler = Assembler(write: buffer, limit: buffer + capacity, executableDelta: delta)
        }
        deinit { buffer.deallocate() }
        var bytes: [UInt8] { Array(UnsafeBufferPointer(start: buffer, count: assembler.cursor - buffer)) }
    }

    @Test func directJumps() {
        let code = Code()
        let start = code.assembler.here
        code.assembler.jmp(start &+ 0x1005)
        code.assembler.call(start &+ 5)
        code.assembler.jcc(.ne, start)
        code.assembler.jmpBackward(start &+ 16)
        code.assembler.jccBackward(.g, start)
        code.assembler.jmpBackward(start &- 0x100)
        code.assembler.jccBackward(.b, start &- 0x100)
        #expect(code.bytes == [
            0xE9, 0x00, 0x10, 0x00, 0x00,
            0xE8, 0xFB, 0xFF, 0xFF, 0xFF,
            0x0F, 0x85, 0xF0, 0xFF, 0xFF, 0xFF,
            0xEB, 0xFE,
            0x7F, 0xEC,
            0xE9, 0xE7, 0xFE, 0xFF, 0xFF,
            0x0F, 0x82, 0xE1, 0xFE, 0xFF, 0xFF,
        ])
        #expect(!code.assembler.outOfRange)
        code.assembler.jmp(start &+ 0x1_0000_0000)
        #expect(code.assembler.outOfRange)
        #expect(code.assembler.reaches(start &+ 0x7000_0000) && !code.assembler.reaches(start &- 0x8000_0000))
    }

    @Test func forwardLabels() {
        let code = Code()
        let near = code.assembler.jccShort(.e), far = code.assembler.jmpForward()
        let conditional = code.assembler.jccForward(.le), unconditional = code.assembler.jmpShort()
        code.assembler.nop()
        code.assembler.bind(near)
        code.assembler.bind(far)
        code.assembler.nop()
        code.assembler.bind(conditional)
        code.assembler.bind(unconditional)
        #expect(code.bytes == [
            0x74, 14, 0xE9, 9, 0, 0, 0, 0x0F, 0x8E, 4, 0, 0, 0, 0xEB, 2, 0x90, 0x90,
        ])
        let tooFar = code.assembler.jmpShort()
        code.assembler.nop(127)
        code.assembler.bind(tooFar)
        #expect(!code.assembler.outOfRange && code.bytes[18] == 127)
        code.assembler.nop()
        code.assembler.bind(tooFar)
        #expect(code.assembler.outOfRange)
    }

    @Test func patching() {
        let code = Code()
        for offset in 0..<8 {
            code.assembler.align(to: 8)
            code.assembler.nop(offset)
            code.assembler.alignForPatch(fieldOffset: 1)
            #expect((code.assembler.here &+ 1) & 7 <= 4)
            code.assembler.jmp(code.assembler.here)
        }
        let field = UnsafeMutableRawPointer(code.assembler.cursor - 4)
        let place = code.assembler.here &- 4
        #expect(Assembler.patchRel32(at: field, executableAddress: place, target: place &+ 4 &- 0x8000_0000))
        #expect(field.loadUnaligned(as: Int32.self) == Int32.min)
        #expect(!Assembler.patchRel32(at: field, executableAddress: place, target: place &+ 3 &- 0x8000_0000))
        #expect(field.loadUnaligned(as: Int32.self) == Int32.min)
    }

    /// The recommended sequences of the manual's table under NOP, and sums of them.
    @Test func padding() {
        let sequences: [[UInt8]] = [
            [0x90], [0x66, 0x90], [0x0F, 0x1F, 0x00], [0x0F, 0x1F, 0x40, 0x00], [0x0F, 0x1F, 0x44, 0x00, 0x00],
            [0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00], [0x0F, 0x1F, 0x80, 0, 0, 0, 0], [0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0],
            [0x66, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0],
        ]
        for length in 1...40 {
            let code = Code()
            code.assembler.nop(length)
            var expected: [UInt8] = []
            while expected.count < length { expected += sequences[min(length - expected.count, 9) - 1] }
            #expect(code.bytes == expected)
        }
    }

    @Test func overflowDropsWholeInstructions() {
        let code = Code(capacity: 64)
        for _ in 0..<10 { code.assembler.movImmediate64(.r9, 0x0123_4567_89AB_CDEF) }
        #expect(code.assembler.overflowed)
        #expect(code.bytes.count == 50)
        let jump = code.assembler.jmpForward()
        code.assembler.bind(jump)
        code.assembler.nop(20)
        code.assembler.avx(.vaddsd, XMM(1), XMM(2), XMM(3))
        code.assembler.alu(.add, .b64, .rax, .rcx)
        #expect(code.bytes.count == 50 && code.buffer[50] == 0xF4)
    }

    @Test func conditions() {
        #expect(ConditionCode.b.inverted == .ae && ConditionCode.g.inverted == .le && ConditionCode.np.inverted == .p)
        #expect(ConditionCode.l.swapped == .g && ConditionCode.be.swapped == .ae && ConditionCode.e.swapped == .e)
    }
}
