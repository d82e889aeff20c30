// Random traces, as built against as the passes leave them: registers, memory, flags and exit must be the same.
import Host
import IR
import IRPasses
import Interpreter
import Testing
import TraceFuzzing
import Translation

/// Runs traces raw and optimised on the interpreter.
private final class Comparison {
    let arena = UnsafeMutablePointer<OpArena>.allocate(capacity: 1)
    let optimized = UnsafeMutablePointer<OpArena>.allocate(capacity: 1)
    let machine = TraceMachine()
    var simplify: Simplify
    let liveness: Liveness

    init() {
        arena.initialize(to: OpArena(capacity: 2048))
        optimized.initialize(to: OpArena(capacity: 2048))
        simplify = Simplify(capacity: 2048)
        liveness = Liveness(capacity: 2048)
    }

    deinit {
        arena.pointee.deallocate()
        optimized.pointee.deallocate()
        arena.deallocate()
        optimized.deallocate()
        simplify.deallocate()
        liveness.deallocate()
    }

    /// `optimized` becomes what the passes make of `arena`, dead ops turned to nothing visible.
    func optimize() {
        optimized.pointee.count = arena.pointee.count
        optimized.pointee.ops.update(from: arena.pointee.ops, count: arena.pointee.count)
        simplify.run(&optimized.pointee)
        liveness.run(optimized.pointee)
        for index in 0 ..< optimized.pointee.count where !liveness.isLive(index, optimized.pointee.ops) {
            optimized.pointee.ops[index] = Op(.const, .i64, imm: 0xdead_dead_dead_dead)
        }
    }

    func differences(seed: UInt64) -> [String] {
        optimize()
        machine.reset(seed: seed)
        let expected = machine.outcome(InterpreterEngine.execute(arena.pointee, on: machine.vcpu))
        machine.reset(seed: seed)
        return machine.outcome(InterpreterEngine.execute(optimized.pointee, on: machine.vcpu)).differences(from: expected)
    }
}

@Test func optimizedTracesDoTheSame() {
    HostFaults.install()
    HostFaults.prepareThread()
    let comparison = Comparison()
    var failures = 0, report = ""
    for seed in 0 ..< UInt64(40_000) {
        RandomTrace.fill(comparison.arena, seed: seed)
        let wrong = IRVerifier.faults(in: comparison.arena.pointee)
        let found = wrong.isEmpty ? comparison.differences(seed: seed) : wrong
        guard !found.isEmpty else { continue }
        failures += 1
        guard failures == 1 else { continue }
        TraceShrinking.shrink(comparison.arena) {
            IRVerifier.faults(in: comparison.arena.pointee).isEmpty && !comparison.differences(seed: seed).isEmpty
        }
        let last = wrong.isEmpty ? comparison.differences(seed: seed) : wrong
        report = "seed \(seed)\n\(IRPrinter.text(of: comparison.arena.pointee))\noptimized:\n"
            + "\(IRPrinter.text(of: comparison.optimized.pointee))\n\(last.joined(separator: "\n"))"
    }
    #expect(failures == 0, "\(report)")
}

/// The engine's own blocks (optimised, dead ops and markers left out) against the trace as built.
@Test(arguments: [true, false]) func blocksDoTheSame(optimize: Bool) {
    HostFaults.install()
    HostFaults.prepareThread()
    let arena = UnsafeMutablePointer<OpArena>.allocate(capacity: 1)
    arena.initialize(to: OpArena(capacity: 2048))
    defer {
        arena.pointee.deallocate()
        arena.deallocate()
    }
    let guest = TraceGuest(arena)
    var options = EngineOptions()
    options.optimize = optimize
    let engine = InterpreterEngine(guest: guest, source: guest, options: options)
    let reference = TraceMachine()
    let machine = TraceMachine(vcpu: engine.makeVCPU(), memory: reference.memory)
    var failures: [String] = []
    for seed in 0 ..< UInt64(10_000) {
        RandomTrace.fill(arena, seed: seed)
        guest.arenaChanged()
        engine.invalidate(guest.codeRange)
        reference.reset(seed: seed)
        let expected = reference.outcome(InterpreterEngine.execute(arena.pointee, on: reference.vcpu) ?? .fetchFault)
        machine.reset(seed: seed)
        let found = machine.outcome(engine.run(machine.vcpu)).differences(from: expected)
        if !found.isEmpty { failures.append("seed \(seed): \(found)") }
    }
    #expect(failures.isEmpty, "\(failures.count): \(failures.first ?? "")")
}
