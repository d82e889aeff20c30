import IR

/// Constants that code names relative to `rip`: 8-byte slots at fixed executable addresses in the code buffer.
struct ConstantPool: BitwiseCopyable {
    /// Executable address of slot 0.
    let base: UInt64

    enum Slot: Int, CaseIterable {
        /// The positive canonical quiet NaN; an f32's is boxed.
        case nan64, nan32, nan16
        /// All ones above an f32, above an f16.
        case box32, box16
        /// 2⁶³ and 2³² as f64; 2⁶³ and 2³² as f32.
        case two63Double, two32Double, two63Single, two32Single
        case sign64, sign32
        case zero
        /// All ones.
        case ones
    }

    static let values: [UInt64] = [
        0x7FF8_0000_0000_0000, 0xFFFF_FFFF_7FC0_0000, 0xFFFF_FFFF_FFFF_7E00,
        0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF_FFFF_0000,
        0x43E0_0000_0000_0000, 0x41F0_0000_0000_0000, 0x5F00_0000, 0x4F80_0000,
        0x8000_0000_0000_0000, 0x8000_0000, 0, ~0,
    ]
    /// Slots are 16 bytes apart, so that a 16-byte operand reads zeros above.
    static let bytes = Slot.allCases.count * 16

    func address(_ slot: Slot) -> UInt64 { base &+ UInt64(slot.rawValue * 16) }
    func canonicalNaN(_ type: ValueType) -> UInt64 {
        address(type == .f64 ? .nan64 : type == .f32 ? .nan32 : .nan16)
    }
}
