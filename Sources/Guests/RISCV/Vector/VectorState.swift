// Where the state of the V extension stands, and how code outside translated blocks sees it ("Vector Extension
// Programmer's Model"). All of it lies beyond the slots that the translator tracks: reads and writes always go to memory,
// so that the runtime's functions may change it.

import IR
import Translation

extension RISCVState {
    /// UInt64 each: the CSRs `vl`, `vstart`, `vtype`, and `vcsr` (vxsat in bit 0, vxrm in bits 2:1).
    public static let vectorLength: Int32 = 8192
    public static let vectorStart: Int32 = 8200
    public static let vectorType: Int32 = 8208
    public static let vectorControl: Int32 = 8216
    /// UInt64: what specialised code compares before it runs; see `VectorMode`.
    public static let vectorMode: Int32 = 8224
    /// UInt64: what an instruction with a scalar result left for its destination.
    public static let vectorScalar: Int32 = 8232
    /// The vector registers, each VLEN bits.
    static let vectorRegisters: Int32 = 8256

    /// The vector register `number` of a machine with `1 << shift` bytes in each.
    @inline(__always)
    static func vector(_ number: Int, _ shift: Int) -> Int32 {
        vectorRegisters &+ Int32(truncatingIfNeeded: (number & 31) &<< shift)
    }

    /// The bytes of state from `StateHeader.guestStart` on, with vector registers of `vectorBytes` each.
    static func guestBytes(vectorBytes: Int) -> Int {
        Int(vectorRegisters &- StateHeader.guestStart) &+ 32 &* vectorBytes
    }

    // MARK: signal frames, thread creation, debuggers

    /// The bytes of vector register `number`.
    public static func vectorRegister(_ number: Int, of vcpu: VCPU, bytes: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: vcpu.state + Int(vector(number, bytes.trailingZeroBitCount)), count: bytes)
    }

    /// As after power-up: no vector type has been chosen, all registers are zero.
    public static func resetVectors(of vcpu: VCPU, bytes: Int) {
        for offset in [vectorLength, vectorStart, vectorControl, vectorScalar] { vcpu[UInt64.self, offset] = 0 }
        for number in 0 ..< 32 { for index in 0 ..< bytes { vectorRegister(number, of: vcpu, bytes: bytes)[index] = 0 } }
        vcpu[UInt64.self, vectorType] = VectorType.illegal.bits
        vcpu[UInt64.self, vectorMode] = VectorMode.illegal
    }

    /// Sets `vl`, `vtype`, `vstart` and `vcsr` together, as a return from a signal handler does; what no vset instruction
    /// could have set becomes an illegal vector type.
    public static func setVectors(of vcpu: VCPU, length: UInt64, type: UInt64, start: UInt64, control: UInt64, bytes: Int) {
        let decoded = VectorType(type, vectorBytes: bytes, elementBits: 64)
        vcpu[UInt64.self, vectorType] = decoded.bits
        vcpu[UInt64.self, vectorLength] = decoded.isIllegal ? 0 : min(length, UInt64(decoded.maximumLength(vectorBytes: bytes)))
        vcpu[UInt64.self, vectorStart] = start & UInt64(bytes &* 8 &- 1)
        vcpu[UInt64.self, vectorControl] = control & 7
        VectorMode.update(vcpu.state, vectorBytes: bytes)
    }
}

/// A value of `vtype`.
struct VectorType {
    /// As the CSR holds it.
    let bits: UInt64

    static let illegal = VectorType(raw: 1 &<< 63)
    private init(raw: UInt64) { bits = raw }

    /// What a vset instruction makes of the operand `value`.
    init(_ value: UInt64, vectorBytes: Int, elementBits: Int) {
        guard value &>> 8 == 0, value & 7 != 4, value &>> 3 & 7 <= 3 else {
            self = .illegal
            return
        }
        let type = VectorType(raw: value)
        // A fraction must leave room for an element in ELEN bits of a register (SEW at most LMUL × ELEN).
        let widest = min(elementBits, vectorBytes &* 8) &>> max(0, 0 &- type.lengthShift)
        self = 8 &<< type.elementShift > widest ? .illegal : type
    }

    var isIllegal: Bool { bits &>> 63 != 0 }
    /// log₂ of SEW in bytes.
    var elementShift: Int { Int(truncatingIfNeeded: bits &>> 3 & 7) }
    /// log₂ of LMUL, -3 to 3.
    var lengthShift: Int {
        let field = Int(truncatingIfNeeded: bits & 7)
        return field >= 4 ? field &- 8 : field
    }
    /// VLMAX.
    func maximumLength(vectorBytes: Int) -> Int {
        let shift = lengthShift &- elementShift
        return shift >= 0 ? vectorBytes &<< shift : vectorBytes &>> (0 &- shift)
    }
}

/// One word that says all that specialised code depends on: SEW and LMUL, and whether every element is active.
enum VectorMode {
    /// `vl` is VLMAX and `vstart` is 0.
    static let full: UInt64 = 0x100
    /// `vstart` is not 0: no specialised code fits.
    static let started: UInt64 = 0x200
    static let illegal: UInt64 = 0x8000_0000
    /// The bits of `vtype` that matter: tail and mask policies do not, for agnostic elements are left undisturbed.
    static let typeMask: UInt64 = 0x3f

    /// Recomputes the word after `vl`, `vstart` or `vtype` changed.
    static func update(_ state: UnsafeMutableRawPointer, vectorBytes: Int) {
        let type = state.load(fromByteOffset: Int(RISCVState.vectorType), as: UInt64.self)
        let length = state.load(fromByteOffset: Int(RISCVState.vectorLength), as: UInt64.self)
        let start = state.load(fromByteOffset: Int(RISCVState.vectorStart), as: UInt64.self)
        var mode = illegal
        if type &>> 63 == 0 {
            mode = type & typeMask
            let decoded = VectorType(type, vectorBytes: vectorBytes, elementBits: 64)
            if start != 0 { mode |= started } else if length == UInt64(decoded.maximumLength(vectorBytes: vectorBytes)) { mode |= full }
        }
        state.storeBytes(of: mode, toByteOffset: Int(RISCVState.vectorMode), as: UInt64.self)
    }
}
