// A guest between the translator and the real one: it adds what tools want to the code of each instruction. Engines know
// nothing of it, and without tools there is none.

import IR

/// One guest instruction about to be translated, as tools see it.
public struct InstructionSite {
    public let pc: UInt64
    public let builder: Builder
    /// Whether it begins a trace: only its marker stands in the arena.
    public let isFirst: Bool
}

/// What a guest made of one instruction.
public struct TranslatedInstruction {
    /// Its own ops in the builder's arena. A last one that ends the trace is not among them.
    public let ops: Range<Int>
    /// The op that ends the trace, if the instruction has one; it stays the last.
    public let ending: Op?
    public let length: Int
    public let flow: Flow
}

/// A tool that adds to translated code. Called under the engine's lock, from any thread; see docs/hooks.md.
public protocol TranslationHook: AnyObject, Sendable {
    /// Before the instruction's own IR. - Returns: false if the instruction is replaced by what was added, which must
    /// then end the trace.
    func willTranslate(_ site: InstructionSite) -> Bool
    /// After it. What is added now runs when the instruction has done its work, before control goes on.
    /// - Returns: whether the trace must end behind this instruction.
    func didTranslate(_ site: InstructionSite, _ instruction: TranslatedInstruction) -> Bool
}

extension TranslationHook {
    public func willTranslate(_ site: InstructionSite) -> Bool { true }
    public func didTranslate(_ site: InstructionSite, _ instruction: TranslatedInstruction) -> Bool { false }
}

/// `guest` with hooks in its translation.
public final class InstrumentedGuest: Guest {
    public let guest: any Guest
    public let hooks: [any TranslationHook]

    public init(_ guest: any Guest, hooks: [any TranslationHook]) {
        self.guest = guest
        self.hooks = hooks
    }

    public var name: String { guest.name }
    public var layout: StateLayout { guest.layout }
    public var minimumInstructionLength: Int { guest.minimumInstructionLength }
    public var maximumInstructionLength: Int { guest.maximumInstructionLength }

    public func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into builder: Builder) -> DecodedInstruction {
        let site = InstructionSite(pc: pc, builder: builder, isFirst: builder.arena.pointee.count <= 1)
        for hook in hooks where !hook.willTranslate(site) {
            return DecodedInstruction(length: min(guest.minimumInstructionLength, window.count), flow: .end)
        }
        let first = builder.arena.pointee.count
        let decoded = guest.translate(window, at: pc, context: context, into: builder)
        var end = builder.arena.pointee.count
        guard decoded.length > 0, end > first, !builder.arena.pointee.overflowed else { return decoded }
        var ending: Op?
        if builder.arena.pointee.ops[end &- 1].code.endsTrace {
            end &-= 1
            ending = builder.arena.pointee.ops[end]
            builder.arena.pointee.count = end
        }
        let instruction = TranslatedInstruction(ops: first ..< end, ending: ending, length: decoded.length, flow: decoded.flow)
        var endsTrace = false
        for hook in hooks where hook.didTranslate(site, instruction) { endsTrace = true }
        if let ending {
            builder.emit(ending)
            return decoded
        }
        guard endsTrace, decoded.flow != .end else { return decoded }
        if case .jump(let target) = decoded.flow {
            builder.jump(to: target)
        } else {
            builder.jump(to: pc &+ UInt64(truncatingIfNeeded: decoded.length))
        }
        return DecodedInstruction(length: decoded.length, flow: .end)
    }

    public func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) {
        guest.disassemble(window, at: pc)
    }

    public func describeState(of vcpu: VCPU) -> String { guest.describeState(of: vcpu) }
}

/// Runs a vCPU one instruction at a time, by the guest's meaning alone: for debuggers.
public protocol SingleStepper: AnyObject, Sendable {
    /// - Returns: nil if the instruction was executed and the next is at the vCPU's pc, else why it was not, as
    ///   `Engine.run`.
    func step(_ vcpu: VCPU) -> ExitReason?
    /// Brackets a fork of the host process.
    func willFork()
    func didFork()
}
