import IR

/// One virtual processor: its raw state block and the engine that runs it.
///
/// Invariant: `state` points `StateHeader.bias` bytes into one allocation of `StateHeader.guestStart + layout.guestBytes
/// + bias` bytes, before which a machine's vCPU has `SoftTLB.bytes` more; the engine and the guest's translator only emit offsets inside it. Used by one thread at a time.
public final class VCPU: @unchecked Sendable {
    public let state: UnsafeMutableRawPointer
    public let layout: StateLayout
    /// What the engine that made this vCPU keeps for it beside the state block.
    public let engineData: AnyObject?
    private let willEnd: (@Sendable (UnsafeMutableRawPointer) -> Void)?
    private let before: Int

    /// - Parameters:
    ///   - isMachine: whether it has the tables of `SoftTLB`.
    ///   - willEnd: called with the state pointer before the state block is given back. So an engine knows all its vCPUs and
    ///     holds none of them weakly, which would make each reference to them slow to count.
    public init(layout: StateLayout, engineData: AnyObject? = nil, isMachine: Bool = false, willEnd: (@Sendable (UnsafeMutableRawPointer) -> Void)? = nil) {
        self.layout = layout
        self.engineData = engineData
        self.willEnd = willEnd
        before = StateHeader.bias + (isMachine ? SoftTLB.bytes : 0)
        let size = (before + Int(StateHeader.guestStart) + layout.guestBytes + 63) & ~63
        let base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: isMachine ? 4096 : 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        state = base + before
        self[UInt64.self, StateHeader.reservationAddress] = ~0
        self[UInt64.self, StateHeader.addressMask] = layout.addressMask
    }

    deinit {
        willEnd?(state)
        (state - before).deallocate()
    }

    /// A field of the state block at `offset` bytes from the state pointer.
    @inlinable
    public subscript<T: BitwiseCopyable>(_ type: T.Type, _ offset: Int32) -> T {
        @inline(__always) get { state.load(fromByteOffset: Int(offset), as: type) }
        @inline(__always) set { state.storeBytes(of: newValue, toByteOffset: Int(offset), as: type) }
    }

    @inlinable public var pc: UInt64 {
        get { self[UInt64.self, StateHeader.pc] }
        set { self[UInt64.self, StateHeader.pc] = newValue }
    }
    @inlinable public var context: UInt64 {
        get { self[UInt64.self, StateHeader.context] }
        set { self[UInt64.self, StateHeader.context] = newValue }
    }

    /// A number that differs, as good as surely, when pc or an integer register differs.
    public var fingerprint: UInt64 {
        var sum = pc
        for offset in stride(from: Int32(-StateHeader.bias), to: Int32(StateHeader.bias), by: 8) {
            sum = (sum ^ self[UInt64.self, offset]) &* 0x9E37_79B9_7F4A_7C15
            sum ^= sum &>> 29
        }
        return sum
    }

    /// Copies the guest-visible state (registers, pc, context, float state) of `other`; the back end's part stays.
    public func copyGuestState(from other: VCPU) {
        let headerEnd = Int(StateHeader.backend)
        (state - StateHeader.bias).copyMemory(from: other.state - StateHeader.bias, byteCount: StateHeader.bias + headerEnd)
        let start = Int(StateHeader.guestStart)
        (state + start).copyMemory(from: other.state + start, byteCount: min(layout.guestBytes, other.layout.guestBytes))
        self[UInt32.self, StateHeader.interruptRequest] = 0
    }
}
