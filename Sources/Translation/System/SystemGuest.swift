// What an instruction set adds to `Guest` when it runs a whole machine: address translation, exceptions, interrupts.

import Core
import IR

/// What a memory access is for.
public enum AccessKind: UInt8, Sendable {
    case load, store, fetch
}

/// Accesses that a translation allows without asking again.
public struct AccessRights: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let load = AccessRights(rawValue: 1)
    /// Only where the page table's dirty state needs no further update.
    public static let store = AccessRights(rawValue: 2)
    public static let fetch = AccessRights(rawValue: 4)
}

/// The outcome of a page-table walk.
public struct PageTranslation: BitwiseCopyable, Sendable {
    /// The physical address of the byte asked for.
    public var physical: UInt64
    /// The bytes, a power of two, of the naturally aligned stretch around the address for which all this holds. Less than
    /// 4 KiB (physical memory protection can be that fine): not to be remembered.
    public var size: UInt64
    public var rights: AccessRights
    /// Whether it holds in all address spaces: `SoftMMU.flushAddressSpace` keeps it.
    public var isGlobal: Bool

    public init(physical: UInt64, size: UInt64, rights: AccessRights, isGlobal: Bool = false) {
        self.physical = physical
        self.size = size
        self.rights = rights
        self.isGlobal = isGlobal
    }
}

/// An instruction set with its privileged architecture.
///
/// The MMU index of a memory access (`MemoryAccess.mmuIndex`) names the rights and the address space it is made with:
/// the guest numbers its modes and puts the index into each memory op it emits; what changes the index of the code that
/// runs (privilege mode, for instance) is part of the translation context.
public protocol SystemGuest: Guest {
    /// How many MMU indices there are, at most 16.
    var mmuIndexCount: Int { get }

    /// The MMU index of instruction fetches in translation context `context`.
    func fetchIndex(context: UInt64) -> Int

    /// The MMU index with which helpers of the guest access data in translation context `context`.
    func dataIndex(context: UInt64) -> Int

    /// Walks the page tables for an access of `bytes` bytes at `address`, all on one page, and updates them as the
    /// architecture says.
    /// - Returns: nil if the access is not allowed; then the guest has recorded the exception in `vcpu` (its address in
    ///   `StateHeader.faultAddress`, its cause where `deliver` finds it).
    func translate(_ address: UInt64, _ kind: AccessKind, bytes: Int, mmuIndex: Int, of vcpu: VCPU, memory: AddressSpace) -> PageTranslation?

    /// Records that nothing answered at the physical address that `address` was translated to.
    func recordBusError(_ address: UInt64, _ kind: AccessKind, mmuIndex: Int, of vcpu: VCPU)

    /// Makes the vCPU take the exception that `reason` (or what was recorded) means: afterwards pc and context are those
    /// of the handler.
    func deliver(_ reason: ExitReason, to vcpu: VCPU)

    /// Whether `deliver` for `reason` is all that is to be done: the engine calls it by itself and goes on.
    func deliversInside(_ reason: ExitReason) -> Bool

    /// Takes an interrupt if one is pending and enabled: pc and context are then those of the handler.
    /// - Returns: whether one was taken.
    func takeInterrupt(_ vcpu: VCPU) -> Bool

    /// Whether a sleeping vCPU (`ExitReason.waitForInterrupt`) must go on.
    func hasWakeUp(_ vcpu: VCPU) -> Bool

    /// Puts `vcpu` into its state after a reset.
    func reset(_ vcpu: VCPU)

    /// Gives the vCPU an interrupt that nothing masks. - Returns: false: the architecture, or this CPU, has none.
    func injectNMI(_ vcpu: VCPU) -> Bool
}

extension SystemGuest {
    public func deliversInside(_ reason: ExitReason) -> Bool { false }
    public func injectNMI(_ vcpu: VCPU) -> Bool { false }

    /// For guests whose code and data have one index.
    public func dataIndex(context: UInt64) -> Int { fetchIndex(context: context) }
}

/// What debuggers of machines want beside registers.
public protocol DebuggableSystemGuest: SystemGuest, DebuggableGuest {
    /// The physical address of the byte at virtual `address` as data accesses of `vcpu` see it now, whatever the rights;
    /// nil if nothing is mapped there. Neither page tables nor the vCPU change, and nothing is recorded. For vCPUs that stand still.
    func physicalAddress(_ address: UInt64, of vcpu: VCPU, memory: AddressSpace) -> UInt64?
}

/// A guest whose page tables can be shown.
public protocol MappedGuest: SystemGuest {
    /// As `info mem` prints them.
    func describeMappings(of vcpu: VCPU, memory: AddressSpace) -> String
}
