// Random traces on translated host code, against the interpreter running the same trace as built.
import Glibc
import Host
import IR
import Interpreter
import Testing
import TraceFuzzing
import Translation
import X64

/// Runs traces on the interpreter and on the X64 engine.
private final class Comparison {
    let arena = UnsafeMutablePointer<OpArena>.allocate(capacity: 1)
    let guest: TraceGuest
    let engine: X64Engine
    let reference = TraceMachine()
    let machine: TraceMachine

    init?(_ change: (inout EngineOptions) -> Void) {
        arena.initialize(to: OpArena(capacity: 2048))
        guest = TraceGuest(arena)
        var options = EngineOptions(), problem = ""
        options.codeCacheBytes = 16 << 20
        change(&options)
        guard let engine = X64Engine(guest: guest, source: guest, options: options, problem: &problem) else { return nil }
        self.engine = engine
        machine = TraceMachine(vcpu: engine.makeVCPU(), memory: reference.memory)
    }

    /// Runs the trace in `arena` on both and says where they differ.
    func differences(seed: UInt64) -> [String] {
        guest.arenaChanged()
        reference.reset(seed: seed)
        // Where the interpreter goes on, the engine finds no code.
        let expected = reference.outcome(InterpreterEngine.execute(arena.pointee, on: reference.vcpu) ?? .fetchFault)
        machine.reset(seed: seed)
        machine.vcpu.pc = guest.codeRange.lowerBound
        let outcome = machine.outcome(engine.run(machine.vcpu))
        return guest.wasSplit ? [] : outcome.differences(from: expected)
    }

    /// As `differences`, for a trace at an address that has been translated before.
    func differencesAgain(seed: UInt64) -> [String] {
        engine.invalidate(0 ..< UInt64.max)
        return differences(seed: seed)
    }

    /// Runs one trace a seed; a description of the first failure, shrunk, and how many there are.
    func run(_ seeds: Range<UInt64>, _ options: RandomTrace.Options) -> (failures: Int, report: String) {
        HostFaults.install()
        HostFaults.prepareThread()
        var failures = 0, report = ""
        for seed in seeds {
            var options = options
            options.start = 0x5a_5a00_0000 + seed * 0x1000
            RandomTrace.fill(arena, seed: seed, options: options)
            guard !differences(seed: seed).isEmpty else { continue }
            failures += 1
            guard failures == 1 else { continue }
            TraceShrinking.shrink(arena) {
                IRVerifier.faults(in: arena.pointee).isEmpty && !differencesAgain(seed: seed).isEmpty
            }
            report = "seed \(seed)\n\(IRPrinter.text(of: arena.pointee))\n"
                + differencesAgain(seed: seed).joined(separator: "\n")
        }
        return (failures, report)
    }
}

@Suite(.serialized) struct TranslatedTraces {
    /// Seeds of the long form of the tests; the short one runs a third of them.
    private func traces(_ count: UInt64) -> Range<UInt64> { 0 ..< (getenv("APUS_FULL") == nil ? count / 3 : count) }

    @Test func integers() throws {
        let comparison = try #require(Comparison { _ in })
        var options = RandomTrace.Options()
        options.floats = false
        let (failures, report) = comparison.run(traces(20_000), options)
        #expect(failures == 0, "\(report)")
    }

    @Test func everything() throws {
        let comparison = try #require(Comparison { _ in })
        let (failures, report) = comparison.run(traces(40_000), RandomTrace.Options())
        #expect(failures == 0, "\(report)")
    }

    @Test func unoptimized() throws {
        let comparison = try #require(Comparison { $0.optimize = false })
        let (failures, report) = comparison.run(traces(20_000), RandomTrace.Options())
        #expect(failures == 0, "\(report)")
    }

    @Test func oneInstructionAtATime() throws {
        let comparison = try #require(Comparison { $0.maximumBlockInstructions = 1 })
        var options = RandomTrace.Options()
        options.crossing = false
        let (failures, report) = comparison.run(traces(10_000), options)
        #expect(failures == 0, "\(report)")
    }
}
