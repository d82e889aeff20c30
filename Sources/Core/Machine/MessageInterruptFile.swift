// An interrupt file of an IMSIC as the CSRs of its hart reach it.

/// One interrupt file ("RISC-V Advanced Interrupt Architecture" 1.0, chapter 3). All methods may be called from any thread.
public protocol MessageInterruptFile: AnyObject, Sendable {
    /// Replaces register `number` (0x70 to 0xff, as `miselect` counts) by `old & ~clear | set` and returns `old`, in one step.
    /// - Parameter bits: the width of the access, 32 or 64.
    func exchange(_ number: Int, clear: UInt64, set: UInt64, bits: Int) -> UInt64
    /// The pending and enabled identity of the highest priority within the threshold; 0: none.
    var top: Int { get }
    /// The same, which is then pending no more.
    func claim() -> Int
}
