// The operands of x86-64 instructions: registers by hardware number, operand sizes, ModRM operands and
// condition codes. Intel SDM volume 2, chapter 2 ("Instruction Format") and appendix B.1.4 (condition tests).
// Everything is a trivial value; operands that no instruction can encode are a programmer's error and only
// asserted. Left out: segment overrides, 67h addressing, the high byte registers (ah … bh).

/// A general-purpose register by its hardware number (0…15).
package struct GPR: RawRepresentable, Equatable, BitwiseCopyable, Sendable {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package init(_ number: Int) { rawValue = UInt8(truncatingIfNeeded: number) & 15 }

    package static let rax = GPR(rawValue: 0), rcx = GPR(rawValue: 1), rdx = GPR(rawValue: 2), rbx = GPR(rawValue: 3)
    package static let rsp = GPR(rawValue: 4), rbp = GPR(rawValue: 5), rsi = GPR(rawValue: 6), rdi = GPR(rawValue: 7)
    package static let r8 = GPR(rawValue: 8), r9 = GPR(rawValue: 9), r10 = GPR(rawValue: 10), r11 = GPR(rawValue: 11)
    package static let r12 = GPR(rawValue: 12), r13 = GPR(rawValue: 13), r14 = GPR(rawValue: 14), r15 = GPR(rawValue: 15)
}

/// A vector register by its hardware number (0…31). Numbers from 16 select the EVEX form of an instruction and
/// need AVX-512VL. The same number names the YMM register in 256-bit instructions.
package struct XMM: RawRepresentable, Equatable, BitwiseCopyable, Sendable {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package init(_ number: Int) { rawValue = UInt8(truncatingIfNeeded: number) & 31 }

    package static let xmm0 = XMM(0), xmm1 = XMM(1), xmm2 = XMM(2), xmm3 = XMM(3), xmm4 = XMM(4), xmm5 = XMM(5)
    package static let xmm6 = XMM(6), xmm7 = XMM(7), xmm8 = XMM(8), xmm9 = XMM(9), xmm10 = XMM(10), xmm11 = XMM(11)
    package static let xmm12 = XMM(12), xmm13 = XMM(13), xmm14 = XMM(14), xmm15 = XMM(15)
}

/// The width of an integer instruction.
package enum OperandSize: UInt8, BitwiseCopyable, Sendable {
    case b8, b16, b32, b64

    /// The width in bytes.
    @inline(__always) package var bytes: Int { 1 &<< Int(rawValue) }
}

/// The width of a vector instruction; scalar instructions ignore it.
package enum VectorLength: UInt8, BitwiseCopyable, Sendable { case bits128, bits256 }

/// What the ModRM byte's `rm` field can name: memory, or (`direct`) a register. A method that takes a `Mem`
/// therefore also serves an operand whose place, register or memory, is only known as a value.
package struct Mem: Equatable, BitwiseCopyable, Sendable {
    enum Mode: UInt8, BitwiseCopyable, Sendable { case direct, base, baseIndex, indexOnly, absolute, ripRelative }

    // Unused registers are 0, so that REX, VEX and EVEX extension bits can be taken without asking the mode.
    var mode: Mode
    var baseNumber: UInt8
    var indexNumber: UInt8
    var scaleShift: UInt8
    /// The displacement; in `ripRelative` mode, the bits of the target address.
    var offset: Int64

    @inline(__always)
    init(mode: Mode, base: UInt8 = 0, index: UInt8 = 0, scaleShift: UInt8 = 0, offset: Int64) {
        self.mode = mode
        self.baseNumber = base
        self.indexNumber = index
        self.scaleShift = scaleShift
        self.offset = offset
    }

    /// Memory at `base + disp`.
    @inline(__always)
    package static func base(_ register: GPR, _ disp: Int32 = 0) -> Mem {
        Mem(mode: .base, base: register.rawValue, offset: Int64(disp))
    }

    /// Memory at `base + index * scale + disp`; scale is 1, 2, 4 or 8. `rsp` cannot be a scaled index.
    @inline(__always)
    package static func indexed(_ base: GPR, _ index: GPR, _ scale: Int = 1, _ disp: Int32 = 0) -> Mem {
        if index == .rsp, scale == 1 {
            return Mem(mode: .baseIndex, base: index.rawValue, index: base.rawValue, offset: Int64(disp))
        }
        assert(index != .rsp)
        return Mem(mode: .baseIndex, base: base.rawValue, index: index.rawValue, scaleShift: shift(scale),
                   offset: Int64(disp))
    }

    /// Memory at `index * scale + disp`.
    @inline(__always)
    package static func indexOnly(_ index: GPR, _ scale: Int, _ disp: Int32 = 0) -> Mem {
        if scale == 1 { return .base(index, disp) }
        assert(index != .rsp)
        return Mem(mode: .indexOnly, index: index.rawValue, scaleShift: shift(scale), offset: Int64(disp))
    }

    /// Memory at a sign-extended 32-bit address.
    @inline(__always)
    package static func absolute(_ address: Int32) -> Mem { Mem(mode: .absolute, offset: Int64(address)) }

    /// Memory at a host address within 2 GiB of the instruction's executable address.
    @inline(__always)
    package static func ripRelative(target: UnsafeRawPointer) -> Mem {
        .ripRelative(address: UInt64(UInt(bitPattern: target)))
    }

    /// Memory at a host address within 2 GiB of the instruction's executable address.
    @inline(__always)
    package static func ripRelative(address: UInt64) -> Mem {
        Mem(mode: .ripRelative, offset: Int64(bitPattern: address))
    }

    /// No memory at all: the register itself.
    @inline(__always)
    package static func direct(_ register: GPR) -> Mem { Mem(mode: .direct, base: register.rawValue, offset: 0) }

    /// No memory at all: the register itself.
    @inline(__always)
    package static func direct(_ register: XMM) -> Mem { Mem(mode: .direct, base: register.rawValue, offset: 0) }

    /// Whether this names a register.
    @inline(__always) package var isDirect: Bool { mode == .direct }

    /// The same memory `bytes` further on.
    @inline(__always)
    package func advanced(by bytes: Int32) -> Mem {
        var result = self
        result.offset &+= Int64(bytes)
        return result
    }

    @inline(__always)
    private static func shift(_ scale: Int) -> UInt8 {
        assert(scale == 1 || scale == 2 || scale == 4 || scale == 8)
        return UInt8(truncatingIfNeeded: scale.trailingZeroBitCount) & 3
    }
}

/// A condition on the flags, by its hardware number.
package enum ConditionCode: UInt8, BitwiseCopyable, Sendable {
    case o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g

    /// The condition that holds exactly when this one does not.
    @inline(__always) package var inverted: ConditionCode { ConditionCode(rawValue: rawValue ^ 1) ?? self }

    /// The condition that holds for `b op a` when this one holds for `a op b`; only for the orderings and equality.
    package var swapped: ConditionCode {
        switch self {
        case .b: .a
        case .a: .b
        case .ae: .be
        case .be: .ae
        case .l: .g
        case .g: .l
        case .ge: .le
        case .le: .ge
        default: self
        }
    }
}
