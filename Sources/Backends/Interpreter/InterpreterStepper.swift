// Single steps for debuggers: each instruction is translated anew and interpreted, so nothing of an engine's code is used.
import Host
import IR
import Translation

/// Steps vCPUs of any engine of the same guest.
public final class InterpreterStepper: SingleStepper {
    /// Used by one thread at a time, inside the lock.
    private struct Translator: @unchecked Sendable { let translator: TraceTranslator }
    private let translator: Locked<Translator>

    public init(guest: any Guest, source: any CodeSource) {
        var options = EngineOptions()
        options.maximumBlockInstructions = 1
        translator = Locked(Translator(translator: TraceTranslator(guest: guest, source: source, options: options)))
    }

    public func step(_ vcpu: VCPU) -> ExitReason? {
        translator.withLock { box in
            box.translator.translate(at: vcpu.pc, context: vcpu.context, limit: 1)
            return InterpreterEngine.execute(box.translator.arena.pointee, on: vcpu)
        }
    }

    public func willFork() { translator.lock() }
    public func didFork() { translator.unlock() }
}
