// Single steps for debuggers, and for what an engine leaves to the IR's meaning: each instruction is translated anew and
// interpreted, so nothing of an engine's code is used.
import Core
import Host
import IR
import Translation

/// Steps vCPUs of any engine of the same guest.
public final class InterpreterStepper: SingleStepper {
    /// Used by one thread at a time, inside the lock.
    private struct Translator: @unchecked Sendable { let translator: TraceTranslator }
    private let translator: Locked<Translator>
    /// In machines, the guest and the translator's source.
    private let system: (any SystemGuest)?
    private let window = FetchWindow()

    public init(guest: any Guest, source: any CodeSource) {
        system = nil
        translator = Locked(Translator(translator: Self.translator(guest, source)))
    }

    /// A stepper for vCPUs of machines. Instructions run inside its lock: vCPUs that are not to wait for each other have one
    /// each.
    public init(guest: any SystemGuest) {
        system = guest
        translator = Locked(Translator(translator: Self.translator(guest, window)))
    }

    private static func translator(_ guest: any Guest, _ source: any CodeSource) -> TraceTranslator {
        var options = EngineOptions()
        options.maximumBlockInstructions = 1
        return TraceTranslator(guest: guest, source: source, options: options)
    }

    public func step(_ vcpu: VCPU) -> ExitReason? {
        translator.withLock { box in
            if let system, let mmu = SoftMMU.of(vcpu.state) { return step(vcpu, box.translator, system, mmu) }
            box.translator.translate(at: vcpu.pc, context: vcpu.context, limit: 1)
            return InterpreterEngine.execute(box.translator.arena.pointee, on: vcpu)
        }
    }

    private func step(_ vcpu: VCPU, _ translator: TraceTranslator, _ guest: any SystemGuest, _ mmu: SoftMMU) -> ExitReason? {
        let pc = vcpu.pc, context = vcpu.context, index = guest.fetchIndex(context: context)
        guard let page = mmu.fetchPage(pc, mmuIndex: index) else { return .fetchFault }
        window.show(page, from: pc)
        translator.translate(at: pc, context: context, limit: 1)
        if translator.isFetchFault {
            // It does not end on what can be fetched from here.
            let readable = page.isWhole ? RAMBlock.pageBytes &- (pc &- page.virtual) : UInt64(truncatingIfNeeded: page.readable)
            let end = pc &+ readable
            guard let next = mmu.fetchPage(end, mmuIndex: index) else { return .fetchFault }
            window.show(page, from: pc, next: next, at: end)
            translator.translate(at: pc, context: context, limit: 1)
            if translator.isFetchFault {
                vcpu[UInt64.self, StateHeader.faultAddress] = end
                mmu.guest.recordBusError(end, .fetch, mmuIndex: index, of: vcpu)
                return .fetchFault
            }
        }
        return InterpreterEngine.execute(translator.arena.pointee, on: vcpu)
    }

    public func willFork() { translator.lock() }
    public func didFork() { translator.unlock() }
}
