// A machine's guest with hooks in its translation: what `InstrumentedGuest` is for programs.

import Core
import IR

public final class InstrumentedSystemGuest: SystemGuest {
    private let guest: any SystemGuest
    private let hooked: InstrumentedGuest

    public init(_ guest: any SystemGuest, hooks: [any TranslationHook]) {
        self.guest = guest
        hooked = InstrumentedGuest(guest, hooks: hooks)
    }

    // MARK: Guest

    public var name: String { guest.name }
    public var layout: StateLayout { guest.layout }
    public var minimumInstructionLength: Int { guest.minimumInstructionLength }
    public var maximumInstructionLength: Int { guest.maximumInstructionLength }
    public func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into builder: Builder) -> DecodedInstruction {
        hooked.translate(window, at: pc, context: context, into: builder)
    }
    public func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) { guest.disassemble(window, at: pc) }
    public func describeState(of vcpu: VCPU) -> String { guest.describeState(of: vcpu) }

    // MARK: SystemGuest

    public var mmuIndexCount: Int { guest.mmuIndexCount }
    public func fetchIndex(context: UInt64) -> Int { guest.fetchIndex(context: context) }
    public func dataIndex(context: UInt64) -> Int { guest.dataIndex(context: context) }
    public func translate(_ address: UInt64, _ kind: AccessKind, bytes: Int, mmuIndex: Int, of vcpu: VCPU, memory: AddressSpace) -> PageTranslation? {
        guest.translate(address, kind, bytes: bytes, mmuIndex: mmuIndex, of: vcpu, memory: memory)
    }
    public func recordBusError(_ address: UInt64, _ kind: AccessKind, mmuIndex: Int, of vcpu: VCPU) {
        guest.recordBusError(address, kind, mmuIndex: mmuIndex, of: vcpu)
    }
    public func deliver(_ reason: ExitReason, to vcpu: VCPU) { guest.deliver(reason, to: vcpu) }
    public func deliversInside(_ reason: ExitReason) -> Bool { guest.deliversInside(reason) }
    public func takeInterrupt(_ vcpu: VCPU) -> Bool { guest.takeInterrupt(vcpu) }
    public func hasWakeUp(_ vcpu: VCPU) -> Bool { guest.hasWakeUp(vcpu) }
    public func reset(_ vcpu: VCPU) { guest.reset(vcpu) }
    public func injectNMI(_ vcpu: VCPU) -> Bool { guest.injectNMI(vcpu) }
}
