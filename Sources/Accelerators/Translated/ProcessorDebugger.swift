// What a debugger of machines has to say while vCPUs run. Machines without one do not ask.

import Translation

/// All are called on the vCPU's own thread, at instruction boundaries.
public protocol ProcessorDebugger: AnyObject, Sendable {
    /// Whether the vCPU takes no interrupts now, and waits for none.
    func masksInterrupts(_ processor: Processor) -> Bool
    /// Runs the vCPU in the engine's stead; nil: the engine is to do it.
    func run(_ processor: Processor, _ engine: any Engine) -> ExitReason?
    /// The vCPU has left the engine. - Returns: whether that is the debugger's affair, and the guest hears nothing of it.
    func stops(_ processor: Processor, _ reason: ExitReason) -> Bool
    /// What the vCPU had left the engine for is done.
    func didRun(_ processor: Processor)
}
