// Runs cases inside this process on one of the engines: the guest's memory is mapped at the addresses of the guest program.

import Glibc
import Host
import Interpreter
import RISCV
import Translation
import X64

/// The code of the slot, which is all that can be executed.
private final class SlotCode: CodeSource {
    func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int {
        guard pc >= CaseLayout.slot, pc < CaseLayout.slot + 4096 else { return 0 }
        let available = min(count, Int(CaseLayout.slot + 4096 - pc))
        if let source = UnsafeRawPointer(bitPattern: UInt(pc)) { buffer.copyMemory(from: source, byteCount: available) }
        return available
    }
    func isWritable(_ pc: UInt64) -> Bool { true }
}

/// One engine under test.
final class CaseEngine {
    let name: String
    private let engine: any Engine
    private let vcpu: VCPU
    private let slot: UnsafeMutablePointer<UInt32>
    private let scratch: UnsafeMutablePointer<UInt64>

    enum Choice: String, CaseIterable { case plain = "interpreter-plain", interpreter, x64 }

    /// Bytes of a vector register; 0 if cases have no vector state.
    private let vectorBytes: Int
    private let xlen: XLEN

    init?(_ choice: Choice, model: String = "max", vectorBytes: Int = 0, xlen: XLEN) {
        guard let slot = CaseEngine.page(CaseLayout.slot), let scratch = CaseEngine.page(CaseLayout.scratch),
              let engine = CaseEngine.make(choice, SlotCode(), model: model, vectorBytes: vectorBytes, xlen: xlen) else { return nil }
        self.slot = slot.assumingMemoryBound(to: UInt32.self)
        self.scratch = scratch.assumingMemoryBound(to: UInt64.self)
        name = choice.rawValue
        self.vectorBytes = vectorBytes
        self.xlen = xlen
        self.engine = engine
        vcpu = engine.makeVCPU()
    }

    /// An engine for a guest with the extensions of `model`.
    static func make(_ choice: Choice, _ source: any CodeSource, model: String = "max", vectorBytes: Int = 0, xlen: XLEN) -> (any Engine)? {
        guard let model = try? CPUModel(parsing: vectorBytes == 0 ? model : "\(model),vlen=\(vectorBytes * 8)", xlen: xlen) else { return nil }
        var options = EngineOptions()
        options.optimize = choice != .plain
        options.codeCacheBytes = 16 << 20
        let guest = RISCVGuest(model: model)
        switch choice {
        case .plain, .interpreter: return InterpreterEngine(guest: guest, source: source, options: options)
        case .x64:
            var problem = ""
            let engine = X64Engine(guest: guest, source: source, options: options, problem: &problem)
            if engine == nil { print(problem) }
            return engine
        }
    }

    /// Maps the page at a fixed address once for all engines.
    private static func page(_ address: UInt64) -> UnsafeMutableRawPointer? {
        let wanted = UnsafeMutableRawPointer(bitPattern: UInt(address))
        let page = mmap(wanted, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
        return page == wanted ? page : nil
    }

    /// Writes the instructions of `record` where they run.
    func load(_ record: CaseRecord) {
        let ecall: UInt32 = 0x73, ebreak: UInt32 = 0x0010_0073
        for index in 0 ..< 1024 { slot[index] = ebreak }
        slot[0] = record.before
        slot[1] = record.encoding & 3 == 3 ? record.encoding : record.encoding & 0xffff | 0x0001_0000
        slot[2] = ecall
        slot[9] = ecall
        engine.invalidate(CaseLayout.slot ..< CaseLayout.slot + 4096)
    }

    /// The state after running the loaded instruction from `before`.
    func run(_ before: CaseState) -> CaseState {
        for number in 1 ..< 31 { vcpu[UInt64.self, RISCVState.integer(number)] = before.x(number) }
        for number in 0 ..< 32 { vcpu[UInt64.self, RISCVState.float(number)] = before.f(number) }
        for index in 0 ..< 32 { scratch[index] = before.scratch(index) }
        RISCVState.setFloatControl(UInt32(truncatingIfNeeded: before.fcsr), of: vcpu)
        vcpu[UInt64.self, StateHeader.reservationAddress] = ~0
        RISCVState.setJumpTable(0, of: vcpu)
        vcpu.pc = CaseLayout.slot
        if vectorBytes > 0 {
            setVectors(before)
            // Each case is translated for its own vector type, so that the fast form is tried wherever there is one.
            engine.invalidate(CaseLayout.slot ..< CaseLayout.slot + 4096)
        }
        var after = CaseState(count: CaseState.wordCount(vectorBytes: vectorBytes))
        go: while true {
            switch engine.run(vcpu) {
            case .interrupted, .instructionFence, .idle: continue
            case .systemCall:
                after.taken = vcpu.pc == CaseLayout.landing ? 1 : 0
            case .breakpoint: (after.signal, after.code, after.address) = (5, 1, vcpu.pc)
            case .illegalInstruction: (after.signal, after.code, after.address) = (4, 1, vcpu.pc)
            case .memoryFault:
                after.signal = UInt64(vcpu[UInt32.self, StateHeader.faultSignal])
                after.code = UInt64(vcpu[UInt32.self, StateHeader.faultCode])
                after.address = vcpu[UInt64.self, StateHeader.faultAddress]
            case .misaligned: (after.signal, after.code, after.address) = (7, 1, vcpu[UInt64.self, StateHeader.faultAddress])
            // Those of machines, which no user program comes to.
            case .waitForInterrupt, .guestException: (after.signal, after.code, after.address) = (4, 0, vcpu.pc)
            case .fetchFault: (after.signal, after.code, after.address) = (11, 1, vcpu[UInt64.self, StateHeader.faultAddress])
            }
            break go
        }
        for number in 1 ..< 31 { after.words[number] = vcpu[UInt64.self, RISCVState.integer(number)] }
        for number in 0 ..< 32 { after.words[32 + number] = vcpu[UInt64.self, RISCVState.float(number)] }
        after.fcsr = UInt64(RISCVState.floatControl(of: vcpu))
        for index in 0 ..< 32 { after.words[69 + index] = scratch[index] }
        if vectorBytes > 0 { getVectors(&after) }
        return after
    }

    private func setVectors(_ before: CaseState) {
        for number in 0 ..< 32 {
            let bytes = RISCVState.vectorRegister(number, of: vcpu, bytes: vectorBytes)
            for word in 0 ..< vectorBytes / 8 {
                bytes.storeBytes(of: before.words[106 + number * vectorBytes / 8 + word], toByteOffset: word * 8, as: UInt64.self)
            }
        }
        RISCVState.setVectors(of: vcpu, length: before.words[101], type: before.words[102], start: before.words[103],
                              control: before.words[104], bytes: vectorBytes)
        for index in 0 ..< 512 {
            let z = (before.words[105] &+ UInt64(index)) &* 0x9e37_79b9_7f4a_7c15
            scratch[index] = z ^ z &>> 29
        }
    }

    private func getVectors(_ after: inout CaseState) {
        let slots = [RISCVState.vectorLength, RISCVState.vectorType, RISCVState.vectorStart, RISCVState.vectorControl]
        for (index, slot) in slots.enumerated() { after.words[101 + index] = vcpu[UInt64.self, slot] }
        // What says that a type is illegal is the last bit of the register.
        if xlen == .rv32 { after.words[102] = after.words[102] &>> 32 | after.words[102] & 0xffff_ffff }
        var sum: UInt64 = 0
        for index in 0 ..< 512 {
            sum = (sum ^ scratch[index]) &* 0x9e37_79b9_7f4a_7c15
            sum ^= sum &>> 29
        }
        after.words[105] = sum
        for number in 0 ..< 32 {
            let bytes = RISCVState.vectorRegister(number, of: vcpu, bytes: vectorBytes)
            for word in 0 ..< vectorBytes / 8 {
                after.words[106 + number * vectorBytes / 8 + word] = bytes.load(fromByteOffset: word * 8, as: UInt64.self)
            }
        }
    }
}
