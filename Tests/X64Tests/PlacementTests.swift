// The register allocator's own account against an independent one, on random traces.
import IR
import IRPasses
import Testing
import TraceFuzzing
import X64

struct PlacementTests {
    /// The number of traces with faults, and a description of the first.
    private func check(_ seeds: Range<UInt64>, isOptimized: Bool, _ change: (inout RandomTrace.Options) -> Void = { _ in }) -> (Int, String) {
        let arena = UnsafeMutablePointer<OpArena>.allocate(capacity: 1)
        arena.initialize(to: OpArena(capacity: 2048))
        let lowering = StandaloneLowering(TraceMachine.layout, capacity: 2048)
        var simplify = Simplify(capacity: 2048), options = RandomTrace.Options(), failures = 0, report = ""
        change(&options)
        func faults() -> [String] { lowering.lower(arena.pointee)?.faults ?? [] }
        for seed in seeds {
            RandomTrace.fill(arena, seed: seed, options: options)
            if isOptimized { simplify.run(&arena.pointee) }
            guard !faults().isEmpty else { continue }
            failures += 1
            guard failures == 1 else { continue }
            TraceShrinking.shrink(arena) { IRVerifier.faults(in: arena.pointee).isEmpty && !faults().isEmpty }
            report = "seed \(seed)\n\(IRPrinter.text(of: arena.pointee))\n" + faults().joined(separator: "\n")
        }
        return (failures, report)
    }

    @Test func optimizedTraces() {
        let (failures, report) = check(0 ..< 20_000, isOptimized: true)
        #expect(failures == 0, "\(report)")
    }

    @Test func unoptimizedTraces() {
        let (failures, report) = check(0 ..< 20_000, isOptimized: false)
        #expect(failures == 0, "\(report)")
    }

    @Test func longTraces() {
        let (failures, report) = check(0 ..< 3_000, isOptimized: true) { $0.instructions = 60 }
        #expect(failures == 0, "\(report)")
    }
}
