import IR

/// Where the engine keeps its own fields in a vCPU's state block: byte offsets from the state pointer.
///
/// One raw allocation holds everything hot of a vCPU. The state pointer stands 128 bytes into it, so that the first
/// 256 bytes (offsets -128 ... 127: the guest's integer registers) are reached with one-byte displacements.
/// The engine's header takes 128 ..< 1536; further guest state begins at `guestStart`.
public enum StateHeader {
    /// UInt64: the guest program counter; valid outside translated code.
    public static let pc: Int32 = 128
    /// UInt64: the translation context of the block key (guest-defined: modes, dynamic rounding…).
    public static let context: Int32 = 136
    /// UInt32, atomic: not 0 when the vCPU has been asked to leave translated code.
    public static let interruptRequest: Int32 = 144
    /// UInt32: `ExitReason` of the last exit.
    public static let exitReason: Int32 = 148
    /// UInt64: the guest address of the last memory or fetch fault.
    public static let faultAddress: Int32 = 152
    /// UInt32: host signal number; UInt32: `si_code` of the last memory fault.
    public static let faultSignal: Int32 = 160
    public static let faultCode: Int32 = 164
    /// UInt32: sticky exception flags (NX 1, UF 2, OF 4, DZ 8, NV 16) outside translated code.
    public static let floatFlags: Int32 = 168
    /// UInt32: the current dynamic rounding mode, as `Rounding` numbers it, outside translated code.
    public static let floatRounding: Int32 = 172
    /// UInt64: added to guest addresses to make host addresses.
    public static let memoryBase: Int32 = 176
    /// UInt64 × 2: address and value of the load reservation (`address` all ones: none).
    public static let reservationAddress = StateSlots.reservationAddress
    public static let reservationValue = StateSlots.reservationValue

    /// Seven UInt64 that the guest uses as it likes, for control registers that belong to no other group.
    public static let guestControl: Int32 = 200

    // The rest belongs to the back end that runs the vCPU.
    public static let backend: Int32 = 256
    public static let backendSize: Int32 = 1264

    /// UInt64: the `SoftMMU` of a vCPU of a machine; 0 in user mode.
    public static let softMMU: Int32 = 1520
    /// UInt64: `StateLayout.addressMask`, for those who report the address of a fault.
    public static let addressMask: Int32 = 1528

    /// The first offset free for guest state after the integer registers.
    public static let guestStart: Int32 = 1536
    /// Bytes of the allocation before the state pointer.
    public static let bias = 128
}

/// What a guest's state looks like to the engine, which knows it only as offsets and widths.
public struct StateLayout: Sendable {
    /// Bytes needed from `StateHeader.guestStart` on.
    public let guestBytes: Int
    /// Offsets of 8-byte integer slots, hottest first: back ends keep as many of them in host registers as they have.
    public let hotIntegers: [Int32]
    /// Offsets of floating-point or vector slots, hottest first; `floatSlotBytes` each.
    public let hotFloats: [Int32]
    public let floatSlotBytes: Int
    /// Offset of the UInt64 from which a trace takes the guest's belief (`OpArena.belief`); -1: there is none.
    public let beliefOffset: Int32
    /// The bits that a guest address has.
    public let addressMask: UInt64

    public init(guestBytes: Int, hotIntegers: [Int32], hotFloats: [Int32], floatSlotBytes: Int = 8, beliefOffset: Int32 = -1,
                addressMask: UInt64 = ~0) {
        self.guestBytes = guestBytes
        self.hotIntegers = hotIntegers
        self.hotFloats = hotFloats
        self.floatSlotBytes = floatSlotBytes
        self.beliefOffset = beliefOffset
        self.addressMask = addressMask
    }
}
