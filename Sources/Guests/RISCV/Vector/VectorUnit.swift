// Executes one vector instruction on the state block: the complete meaning of the V extension, which translated code calls
// and, for what it does itself, must agree with. This file: operands, element loops, dispatch. The meanings stand in the
// extensions beside it, by chapters of the manual's "V" Standard Extension.
//
// Tail and masked-off elements stay undisturbed, whatever the policy: the manual allows it for agnostic ones too.
//
// Unsafe invariant: `state` is the state pointer of a vCPU whose layout has vector registers of `1 << registerShift` bytes;
// register groups that `VectorInstruction.isLegal` accepts end at or before v31, and `length` is at most VLMAX, so element
// accesses stay inside the register file.

import CHost
import IR
import SoftFloat
import Translation

/// An element type and its relatives.
protocol VectorElement: FixedWidthInteger, UnsignedInteger, BitwiseCopyable {
    associatedtype Signed: FixedWidthInteger, SignedInteger, BitwiseCopyable
    /// The type of twice the width; that of 64-bit elements is never used.
    associatedtype Wide: FixedWidthInteger, UnsignedInteger, BitwiseCopyable
    associatedtype SignedWide: FixedWidthInteger, SignedInteger, BitwiseCopyable
}
extension UInt8: VectorElement { typealias Signed = Int8; typealias Wide = UInt16; typealias SignedWide = Int16 }
extension UInt16: VectorElement { typealias Signed = Int16; typealias Wide = UInt32; typealias SignedWide = Int32 }
extension UInt32: VectorElement { typealias Signed = Int32; typealias Wide = UInt64; typealias SignedWide = Int64 }
extension UInt64: VectorElement { typealias Signed = Int64; typealias Wide = UInt64; typealias SignedWide = Int64 }

struct VectorUnit {
    let state: UnsafeMutableRawPointer
    let instruction: VectorInstruction
    /// The scalar operand: an integer register, or the bits of a floating-point register; of memory instructions the base.
    let scalar: UInt64
    /// The stride of strided accesses.
    let stride: UInt64
    let rounding: RoundingDirection?
    let length: Int
    var start: Int
    let mask: UnsafePointer<UInt8>
    /// What a memory access left: not 0 if it faulted.
    var faulted = false
    var floatFlags: UInt32 = 0

    var vd: Int { instruction.vd }
    var vs1: Int { instruction.vs1 }
    var vs2: Int { instruction.vs2 }
    var sew: Int { instruction.sew }
    var operation: VectorOperation { instruction.operation }

    // MARK: entry

    /// What the first argument of the runtime's function packs.
    static func descriptor(_ bits: UInt32, _ operation: VectorOperation, frm: UInt64, registerShift: Int, _ capability: VectorCapability) -> UInt64 {
        UInt64(bits) | UInt64(operation.rawValue) &<< 32 | (frm & 7) &<< 40 | UInt64(registerShift & 15) &<< 44 | capability.rawValue &<< 48
    }

    /// Executes; 0, or the reason for leaving translated code plus 1.
    static let helper = HelperTable.register { state, descriptor, scalar, stride in
        guard let operation = VectorOperation(rawValue: UInt8(truncatingIfNeeded: descriptor &>> 32)) else { return illegal }
        let registerShift = Int(descriptor &>> 44 & 15)
        let type = VectorType(state.load(fromByteOffset: Int(RISCVState.vectorType), as: UInt64.self), vectorBytes: 1 &<< registerShift,
                              elementBits: 64)
        let instruction = VectorInstruction(UInt32(truncatingIfNeeded: descriptor), operation, VectorCapability(rawValue: descriptor &>> 48),
                                            registerShift: registerShift, type: type)
        let start = state.load(fromByteOffset: Int(RISCVState.vectorStart), as: UInt64.self)
        guard instruction.isLegal, start == 0 || !instruction.needsStartZero else { return illegal }
        // Element groups are whole: lengths and starts between them are reserved.
        let length = state.load(fromByteOffset: Int(RISCVState.vectorLength), as: UInt64.self)
        guard (start | length) & UInt64(instruction.elementGroup &- 1) == 0 else { return illegal }
        let rounding = RoundingDirection(rawValue: UInt8(truncatingIfNeeded: descriptor &>> 40 & 7))
        var unit = VectorUnit(state, instruction, scalar: scalar, stride: stride, rounding: rounding, start: Int(truncatingIfNeeded: start))
        if rounding == nil && unit.isRounded { return illegal }
        unit.run()
        if unit.faulted {
            state.storeBytes(of: UInt64(truncatingIfNeeded: unit.start), toByteOffset: Int(RISCVState.vectorStart), as: UInt64.self)
            VectorMode.update(state, vectorBytes: 1 &<< registerShift)
            return UInt64(ExitReason.memoryFault.rawValue) &+ 1
        }
        if start != 0 {
            state.storeBytes(of: 0, toByteOffset: Int(RISCVState.vectorStart), as: UInt64.self)
            VectorMode.update(state, vectorBytes: 1 &<< registerShift)
        }
        if unit.floatFlags != 0 {
            let flags = state.load(fromByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
            state.storeBytes(of: flags | unit.floatFlags, toByteOffset: Int(StateHeader.floatFlags), as: UInt32.self)
        }
        return 0
    }

    private static let illegal = UInt64(ExitReason.illegalInstruction.rawValue) &+ 1

    init(_ state: UnsafeMutableRawPointer, _ instruction: VectorInstruction, scalar: UInt64, stride: UInt64, rounding: RoundingDirection?, start: Int) {
        self.state = state
        self.instruction = instruction
        self.scalar = scalar
        self.stride = stride
        self.rounding = rounding
        self.start = start
        length = Int(truncatingIfNeeded: state.load(fromByteOffset: Int(RISCVState.vectorLength), as: UInt64.self))
        mask = UnsafePointer((state + Int(RISCVState.vectorRegisters)).assumingMemoryBound(to: UInt8.self))
    }

    /// Whether an invalid `frm` makes the instruction illegal: all of the floating-point ones.
    private var isRounded: Bool {
        switch operation {
        case .fadd, .fsub, .fmin, .fmax, .fsgnj, .fsgnjn, .fsgnjx, .fdiv, .frdiv, .fmul, .frsub, .fredsum, .fredmin, .fredmax, .fwredsum,
             .fmadd, .fnmadd, .fmsub, .fnmsub, .fmacc, .fnmacc, .fmsac, .fnmsac, .fwadd, .fwsub, .fwmul, .fwaddw, .fwsubw, .fwmacc,
             .fwnmacc, .fwmsac, .fwnmsac, .fsqrt, .frsqrt7, .frec7, .fclass, .fcvtToInteger, .fcvtFromInteger, .fwcvtToInteger,
             .fwcvtFromInteger, .fwcvtFloat, .fncvtToInteger, .fncvtFromInteger, .fncvtFloat, .mfeq, .mfle, .mflt, .mfne, .mfgt,
             .mfge, .moveToFloat, .moveFromFloat, .fwcvtBrain, .fncvtBrain, .fwmaccBrain: true
        case .merge, .copy, .slide1up, .slide1down: instruction.category == 5
        default: false
        }
    }

    // MARK: operands

    @inline(__always)
    func register<T>(_ number: Int, as type: T.Type) -> UnsafeMutablePointer<T> {
        (state + Int(RISCVState.vector(number, instruction.registerShift))).assumingMemoryBound(to: type)
    }

    /// The immediate or scalar second operand in its element type.
    @inline(__always)
    func scalarElement<T: FixedWidthInteger>(_: T.Type) -> T {
        switch instruction.category {
        case 3:
            if operation == .ror { return T(truncatingIfNeeded: instruction.field(26, 1) &<< 5 | instruction.vs1) }
            let field = Int64(truncatingIfNeeded: instruction.vs1)
            // Shifts and everything that counts takes the field unsigned.
            return T(truncatingIfNeeded: hasUnsignedImmediate ? field : (field &<< 59) &>> 59)
        case 5: return T(truncatingIfNeeded: unboxed)
        default: return T(truncatingIfNeeded: scalar)
        }
    }

    private var hasUnsignedImmediate: Bool {
        switch operation {
        case .sll, .srl, .sra, .ssrl, .ssra, .nsrl, .nsra, .nclip, .nclipu, .slideup, .slidedown, .rgather, .wsll: true
        default: false
        }
    }

    /// The floating-point scalar as a number of SEW bits: the canonical NaN if it is not boxed properly.
    var unboxed: UInt64 {
        switch sew {
        case 1: scalar &>> 16 == 0xffff_ffff_ffff ? scalar & 0xffff : FloatFormat.f16.canonicalNaN
        case 2: scalar &>> 32 == 0xffff_ffff ? scalar & 0xffff_ffff : FloatFormat.f32.canonicalNaN
        default: scalar
        }
    }

    @inline(__always)
    func isActive(_ index: Int) -> Bool { mask[index &>> 3] &>> UInt8(index & 7) & 1 != 0 }

    /// Runs `body` for every active element of the body part.
    @inline(__always)
    func each(_ body: (Int) -> Void) {
        var index = start
        if instruction.isUnmasked {
            while index < length {
                body(index)
                index &+= 1
            }
        } else {
            while index < length {
                if isActive(index) { body(index) }
                index &+= 1
            }
        }
    }

    func setMask(_ number: Int, _ index: Int, _ value: Bool) {
        let byte = register(number, as: UInt8.self) + index &>> 3
        let bit: UInt8 = 1 &<< UInt8(index & 7)
        byte.pointee = value ? byte.pointee | bit : byte.pointee & ~bit
    }

    func maskBit(_ number: Int, _ index: Int) -> Bool {
        register(number, as: UInt8.self)[index &>> 3] &>> UInt8(index & 7) & 1 != 0
    }

    func leave(scalar value: UInt64) { state.storeBytes(of: value, toByteOffset: Int(RISCVState.vectorScalar), as: UInt64.self) }

    // MARK: dispatch

    private mutating func run() {
        switch operation {
        case .load, .loadFaultFirst, .loadStrided, .loadIndexed, .store, .storeStrided, .storeIndexed, .loadWhole, .storeWhole,
             .loadMask, .storeMask: return runMemory()
        case .maskAndNot, .maskAnd, .maskOr, .maskXor, .maskOrNot, .maskNand, .maskNor, .maskXnor, .cpop, .first, .msbf, .msof, .msif:
            return runMask()
        case .moveWhole: return moveWhole()
        case .fwcvtBrain, .fncvtBrain, .fwmaccBrain: return runBrainFloat()
        case .aesEncryptLast, .aesEncryptMiddle, .aesDecryptLast, .aesDecryptMiddle, .aesAddKey, .aesKeySchedule1, .aesKeySchedule2, .gmul,
             .ghsh, .sha2ms, .sha2ch, .sha2cl, .sm3c, .sm3me, .sm4k, .sm4r: return runCryptography()
        default: break
        }
        if operation.rawValue >= VectorOperation.fadd.rawValue, operation.rawValue < VectorOperation.andNot.rawValue { return runFloat() }
        switch sew {
        case 0: run(UInt8.self)
        case 1: run(UInt16.self)
        case 2: run(UInt32.self)
        default: run(UInt64.self)
        }
    }

    private func run<T: VectorElement>(_ type: T.Type) {
        switch operation {
        case .add, .sub, .rsub, .minu, .min, .maxu, .max, .and, .or, .xor, .sll, .srl, .sra, .divu, .div, .remu, .rem, .mulhu, .mul,
             .mulhsu, .mulh, .madd, .nmsub, .macc, .nmsac: integer(type)
        case .adc, .sbc, .madc, .msbc, .merge, .copy, .mseq, .msne, .msltu, .mslt, .msleu, .msle, .msgtu, .msgt: compare(type)
        case .saddu, .sadd, .ssubu, .ssub, .smul, .ssrl, .ssra, .nclipu, .nclip, .aaddu, .aadd, .asubu, .asub: fixedPoint(type)
        case .nsrl, .nsra, .waddu, .wadd, .wsubu, .wsub, .wadduw, .waddw, .wsubuw, .wsubw, .wmulu, .wmulsu, .wmul, .wmaccu, .wmacc,
             .wmaccus, .wmaccsu: widths(type)
        case .redsum, .redand, .redor, .redxor, .redminu, .redmin, .redmaxu, .redmax, .wredsumu, .wredsum: reduce(type)
        case .andNot, .reverseBits, .reverseBitsInBytes, .reverseBytes, .leadingZeros, .trailingZeros, .countOnes, .rol, .ror, .wsll, .clmul,
             .clmulh: bits(type)
        default: permute(type)
        }
    }
}
