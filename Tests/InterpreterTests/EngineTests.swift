// The engine around the IR: exits, faults, stepping, forgetting, interrupting, threads, the log.
import Glibc
import Host
import IR
import Interpreter
import Synchronization
import Testing
import TraceFuzzing
import Translation

private func register(_ vcpu: VCPU, _ number: Int) -> UInt64 { vcpu[UInt64.self, TraceMachine.integer(number)] }

private func makeEngine(_ code: ToyCode, _ change: (inout EngineOptions) -> Void = { _ in }) -> InterpreterEngine {
    HostFaults.install()
    HostFaults.prepareThread()
    var options = EngineOptions()
    change(&options)
    return InterpreterEngine(guest: ToyGuest(), source: code, options: options)
}

private func makeVCPU(_ engine: InterpreterEngine, pc: UInt64 = 0x1000) -> VCPU {
    let vcpu = engine.makeVCPU()
    vcpu.pc = pc
    return vcpu
}

/// r1 += 3, r2 times.
private let loop: [(ToyGuest.Operation, Int, Int, Int)] = [
    (.addImmediate, 2, 0, 100), (.addImmediate, 1, 1, 3), (.addImmediate, 2, 2, -1), (.branchNotZero, 2, 0, -2), (.systemCall, 0, 0, 0),
]

@Test(arguments: [true, false], [1, 2, 64]) func runsALoop(optimize: Bool, instructions: Int) {
    let engine = makeEngine(ToyCode(loop)) {
        $0.optimize = optimize
        $0.maximumBlockInstructions = instructions
    }
    let vcpu = makeVCPU(engine)
    #expect(engine.run(vcpu) == .systemCall)
    #expect(vcpu.pc == 0x1010)
    #expect(register(vcpu, 1) == 300)
    let statistics = engine.statistics
    #expect(instructions != 1 || statistics.blocks == statistics.guestInstructions)
}

@Test func followsJumpsAndStopsAtLoops() {
    let code = ToyCode([(.jump, 0, 0, 2), (.systemCall, 0, 0, 0), (.addImmediate, 1, 1, 1), (.jump, 0, 0, -2)])
    let engine = makeEngine(code)
    let vcpu = makeVCPU(engine)
    #expect(engine.run(vcpu) == .systemCall)
    #expect(vcpu.pc == 0x1004 && register(vcpu, 1) == 1)
    #expect(engine.statistics.blocks == 1)

    let endless = makeEngine(ToyCode([(.jump, 0, 0, 0)]))
    let other = makeVCPU(endless)
    other[UInt32.self, StateHeader.interruptRequest] = 1
    #expect(endless.run(other) == .interrupted)
    #expect(other.pc == 0x1000)
}

@Test func faultsArePrecise() {
    let code = ToyCode([(.addImmediate, 1, 1, 7), (.load, 3, 4, 8), (.addImmediate, 1, 1, 7), (.systemCall, 0, 0, 0)])
    let engine = makeEngine(code)
    let vcpu = makeVCPU(engine)
    vcpu[UInt64.self, TraceMachine.integer(4)] = 0x10
    #expect(engine.run(vcpu) == .memoryFault)
    #expect(vcpu.pc == 0x1004)
    #expect(register(vcpu, 1) == 7)
    #expect(vcpu[UInt64.self, StateHeader.faultAddress] == 0x18)
    #expect(vcpu[UInt32.self, StateHeader.faultSignal] == UInt32(SIGSEGV))
    #expect(vcpu[UInt32.self, StateHeader.faultCode] == 1)
}

@Test func unfetchableCodeIsReported() {
    let engine = makeEngine(ToyCode([(.addImmediate, 1, 1, 1)]))
    let vcpu = makeVCPU(engine)
    #expect(engine.run(vcpu) == .fetchFault)
    #expect(vcpu.pc == 0x1004)
    #expect(vcpu[UInt64.self, StateHeader.faultAddress] == 0x1004)
    #expect(register(vcpu, 1) == 1)
    vcpu.pc = UInt64.max - 1
    #expect(engine.run(vcpu) == .fetchFault)
    #expect(vcpu.pc == UInt64.max - 1)
}

@Test func changedCodeIsSeenWhenAskedFor() {
    let code = ToyCode(writable: true, [(.addImmediate, 1, 0, 1), (.systemCall, 0, 0, 0)])
    let engine = makeEngine(code)
    let vcpu = makeVCPU(engine)
    func result() -> UInt64 {
        vcpu.pc = 0x1000
        #expect(engine.run(vcpu) == .systemCall)
        return register(vcpu, 1)
    }
    #expect(result() == 1)
    code[0] = (.addImmediate, 1, 0, 2)
    #expect(result() == 1)
    engine.synchronize(0x2000 ..< 0x3000)
    #expect(result() == 1)
    engine.synchronize(0 ..< UInt64.max)
    #expect(result() == 2)
    code[0] = (.addImmediate, 1, 0, 3)
    engine.invalidate(0x1003 ..< 0x1004)
    #expect(result() == 3)
    engine.synchronize(0 ..< UInt64.max)
    #expect(engine.statistics.blocks == 3)
}

@Test func aFullCacheStartsAgain() {
    let code = ToyCode(loop)
    let engine = makeEngine(code) { $0.codeCacheBytes = 1 }
    let vcpu = makeVCPU(engine)
    #expect(engine.run(vcpu) == .systemCall)
    #expect(register(vcpu, 1) == 300)
    #expect(engine.statistics.flushes > 1)
}

@Test func aForkedChildGoesOn() {
    let engine = makeEngine(ToyCode(loop))
    let vcpu = makeVCPU(engine)
    #expect(engine.run(vcpu) == .systemCall)
    engine.prepareToFork()
    engine.didForkInChild()
    vcpu.pc = 0x1004
    vcpu[UInt64.self, TraceMachine.integer(2)] = 5
    #expect(engine.run(vcpu) == .systemCall)
    #expect(register(vcpu, 1) == 315)
}

@Test func theLogShowsWhatWasAskedFor() {
    let lines = LogLines()
    let engine = makeEngine(ToyCode([(.addImmediate, 1, 0, 5), (.systemCall, 0, 0, 0)])) {
        $0.log = TranslationLog(items: [.inAsm, .op, .opOpt, .exec, .cpu]) { lines.append($0) }
    }
    #expect(engine.run(makeVCPU(engine)) == .systemCall)
    #expect(lines.text.contains("IN:\n0x1000:  addImmediate\n0x1004:  systemCall\n"))
    #expect(lines.text.contains("put.i64 [-120]"))
    #expect(lines.text.contains("Trace 0000000000001000"))
    #expect(lines.text.contains("r1 0\n"))
}

private final class LogLines: @unchecked Sendable {
    private(set) var text = ""
    func append(_ line: String) { text += line }
}

/// Threads run the same loop while others change and forget its code.
@Test func threadsShareBlocks() {
    let code = ToyCode(writable: true, [(.addImmediate, 2, 0, 50)] + loop.dropFirst())
    let engine = makeEngine(code)
    let done = Atomic<Int>(0), wrong = Atomic<Int>(0)
    withUnsafePointer(to: done) { done in
        withUnsafePointer(to: wrong) { wrong in
            let job = ThreadJob(engine: engine, done: done, wrong: wrong)
            var threads: [pthread_t] = []
            for _ in 0 ..< 4 {
                var thread = pthread_t()
                pthread_create(&thread, nil, { argument in
                    guard let argument else { return nil }
                    Unmanaged<ThreadJob>.fromOpaque(argument).takeUnretainedValue().run()
                    return nil
                }, Unmanaged.passUnretained(job).toOpaque())
                threads.append(thread)
            }
            var round = 0
            while done.pointee.load(ordering: .acquiring) < 4 {
                round += 1
                if round & 1 == 0 { engine.invalidate(0x1000 ..< 0x1004) } else { engine.synchronize(0 ..< UInt64.max) }
                code[4] = (.systemCall, round & 31, 0, 0)
                sched_yield()
            }
            for thread in threads { pthread_join(thread, nil) }
        }
    }
    #expect(wrong.load(ordering: .acquiring) == 0)
}

private final class ThreadJob: @unchecked Sendable {
    let engine: InterpreterEngine
    let done: UnsafePointer<Atomic<Int>>
    let wrong: UnsafePointer<Atomic<Int>>

    init(engine: InterpreterEngine, done: UnsafePointer<Atomic<Int>>, wrong: UnsafePointer<Atomic<Int>>) {
        self.engine = engine
        self.done = done
        self.wrong = wrong
    }

    func run() {
        HostFaults.prepareThread()
        let vcpu = engine.makeVCPU()
        for _ in 0 ..< 3000 {
            vcpu.pc = 0x1000
            vcpu[UInt64.self, TraceMachine.integer(1)] = 0
            let reason = engine.run(vcpu)
            if reason != .systemCall || register(vcpu, 1) != 150 { wrong.pointee.wrappingAdd(1, ordering: .relaxed) }
        }
        done.pointee.wrappingAdd(1, ordering: .releasing)
    }
}
