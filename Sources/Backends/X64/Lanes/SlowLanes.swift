import IR
import Translation

/// The helper of a `lanes` op, called out of line where the form does not fit: arguments and helper in the state block.
enum SlowLanes {
    /// Calls helper `BackendState.slowDescriptor` with the three arguments at `BackendState.argument`; the result replaces
    /// the first of them, float flags go to the guest's MXCSR.
    static let entry: @convention(c) (UnsafeMutableRawPointer) -> Void = { state in
        let arguments = (state + Int(BackendState.argument)).assumingMemoryBound(to: UInt64.self)
        let index = Int(state.load(fromByteOffset: Int(BackendState.slowDescriptor), as: UInt32.self))
        guard index < HelperTable.capacity, let function = HelperTable.functions[index] else { return }
        state.storeBytes(of: 0, toByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
        arguments[0] = function(state, arguments[0], arguments[1], arguments[2])
        let flags = state.load(fromByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
        guard flags != 0 else { return }
        let control = state.load(fromByteOffset: Int(BackendState.guestMXCSR), as: UInt32.self)
        let raised = UInt32(TrampolineWriter.mxcsr(fromFlags: UInt8(truncatingIfNeeded: flags & 31)))
        state.storeBytes(of: control | raised, toByteOffset: Int(BackendState.guestMXCSR), as: UInt32.self)
    }
}
