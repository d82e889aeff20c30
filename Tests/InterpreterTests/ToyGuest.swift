// A guest of eight instructions, four bytes each (operation, two registers, a signed byte), small enough to see whether
// an engine is right without trusting a real instruction set.
import Glibc
import IR
import Synchronization
import TraceFuzzing
import Translation

final class ToyGuest: Guest {
    enum Operation: UInt8 { case addImmediate = 1, add, load, store, branchNotZero, jump, jumpRegister, systemCall }

    let name = "toy"
    let layout = TraceMachine.layout
    let minimumInstructionLength = 4
    let maximumInstructionLength = 4

    func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into x: Builder) -> DecodedInstruction {
        guard window.count >= 4 else { return DecodedInstruction(length: 0, flow: .end) }
        let word = window.bytes.loadUnaligned(as: UInt32.self)
        let rd = TraceMachine.integer(Int(word >> 8 & 31)), rs = TraceMachine.integer(Int(word >> 16 & 31))
        let immediate = Int64(Int8(truncatingIfNeeded: word >> 24))
        let target = pc &+ UInt64(bitPattern: immediate &* 4)
        switch Operation(rawValue: UInt8(truncatingIfNeeded: word)) {
        case .addImmediate: x.put(rd, x.get(rs) + x.constant(immediate))
        case .add: x.put(rd, x.get(rd) + x.get(rs))
        case .load: x.put(rd, x.load(x.get(rs), immediate, MemoryAccess(bytes: 8)))
        case .store: x.store(x.get(rs), immediate, x.get(rd), MemoryAccess(bytes: 8))
        case .branchNotZero: x.branch(.notEqual, x.get(rd), x.constant(0 as UInt64), to: target)
        case .jump: return DecodedInstruction(length: 4, flow: .jump(target))
        case .jumpRegister:
            x.jump(to: x.get(rs))
            return DecodedInstruction(length: 4, flow: .end)
        case .systemCall:
            x.exit(ExitReason.systemCall.rawValue, at: pc)
            return DecodedInstruction(length: 4, flow: .end)
        case nil:
            x.exit(ExitReason.illegalInstruction.rawValue, at: pc)
            return DecodedInstruction(length: 4, flow: .end)
        }
        return DecodedInstruction(length: 4, flow: .next)
    }

    func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) {
        guard window.count >= 4 else { return ("", 0) }
        let operation = Operation(rawValue: window.bytes.load(as: UInt8.self))
        return (operation.map { "\($0)" } ?? "illegal", 4)
    }

    func describeState(of vcpu: VCPU) -> String { "r1 \(vcpu[UInt64.self, TraceMachine.integer(1)])\n" }
}

/// Guest code in an array; everything outside cannot be executed.
final class ToyCode: CodeSource, @unchecked Sendable {
    let start: UInt64
    let writable: Bool
    private let lock = Atomic<Bool>(false)
    private var bytes: [UInt8]

    init(start: UInt64 = 0x1000, writable: Bool = false, _ instructions: [(ToyGuest.Operation, Int, Int, Int)]) {
        self.start = start
        self.writable = writable
        bytes = []
        for (index, instruction) in instructions.enumerated() { self[index] = instruction }
    }

    /// Instruction number `index`, each of (operation, rd, rs, immediate).
    subscript(index: Int) -> (ToyGuest.Operation, Int, Int, Int) {
        get { (.systemCall, 0, 0, 0) }
        set {
            locked {
                while bytes.count < index * 4 + 4 { bytes.append(0) }
                bytes[index * 4] = newValue.0.rawValue
                bytes[index * 4 + 1] = UInt8(newValue.1)
                bytes[index * 4 + 2] = UInt8(newValue.2)
                bytes[index * 4 + 3] = UInt8(bitPattern: Int8(newValue.3))
            }
        }
    }

    func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int {
        locked {
            let offset = pc &- start
            guard offset < UInt64(bytes.count) else { return 0 }
            let readable = min(count, bytes.count - Int(offset))
            for index in 0 ..< readable { buffer.storeBytes(of: bytes[Int(offset) + index], toByteOffset: index, as: UInt8.self) }
            return readable
        }
    }

    func isWritable(_ pc: UInt64) -> Bool { writable }

    private func locked<T>(_ body: () -> T) -> T {
        while lock.exchange(true, ordering: .acquiring) { sched_yield() }
        defer { lock.store(false, ordering: .releasing) }
        return body()
    }
}
