import IR
import Translation

/// Code off the hot path of a block, queued while the hot path is written.
struct ColdCode: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        /// The stub of a link: leaves for the dispatcher with the link's number.
        case link
        /// An indirect jump or return that missed; `x` holds the target.
        case indirectMiss, returnMiss
        /// The link of an indirect branch to its first target, which is not known yet.
        case siteLink
        /// The target in register `x` is the first of its indirect jump.
        case siteLearn
        /// The same for a call that comes back to `resume`; then the probe, with `y` and `z` as scratch registers.
        case siteCall
        /// As `indirectMiss`, inside a call: comes back to `resume` when the callee returns.
        case indirectCallMiss
        /// A misaligned address in register `x` plus `imm`, at guest instruction `pc`; the host's address if `y` is not 0.
        case misaligned
        /// A helper wants to leave for the reason in rax minus 1, at guest instruction `pc`.
        case helperExit
        /// The helper `aux` of lane code, at guest instruction `pc`: first argument `imm`, second in register `x`.
        case lanes
        /// An access of a machine whose page is not in the table: see `writeSlowMemory`.
        case slowMemory
        /// A block of a machine was entered, at guest address `pc`, where another page is seen now.
        case fetchMiss
        /// Division by zero and by -1.
        case division
        /// The result in vector register `x` is a NaN: replace it by the canonical one of type `y`.
        case canonicalNaN
        /// A float operation that the host cannot do alone: see `SlowFloat`.
        case slowFloat
        /// Equal operands of minimum or maximum.
        case equalMinMax
        /// Conversion to a signed integer was out of range or inexact in its sign.
        case signedOverflow
        /// The boxed float in vector register `x` (loaded into GPR `y`) is not a box.
        case unbox
    }

    var kind: Kind
    var x: UInt8 = 0, y: UInt8 = 0, z: UInt8 = 0
    var aux: UInt16 = 0
    var jump: ForwardJump?
    var secondJump: ForwardJump?
    var resume: UnsafeMutablePointer<UInt8>
    var pc: UInt64 = 0
    var imm: Int64 = 0

    init(_ kind: Kind) {
        self.kind = kind
        resume = UnsafeMutablePointer(bitPattern: 16) ?? UnsafeMutablePointer.allocate(capacity: 1)
    }
}

extension Lowering {
    /// The executable address of a place in this block.
    func executable(_ place: UnsafeMutablePointer<UInt8>) -> UInt64 {
        UInt64(UInt(bitPattern: place)) &+ UInt64(bitPattern: Int64(a.executableDelta))
    }

    mutating func writeCold() {
        var next = 0
        while next < cold.count {
            let code = cold.base[next]
            next &+= 1
            switch code.kind {
            case .link, .siteLink: writeColdLink(code)
            case .siteLearn: writeSiteLearn(code)
            case .siteCall: writeSiteCall(code)
            case .indirectMiss:
                bind(code)
                moveToRAX(code.x)
                a.jmp(trampolines.indirectMiss)
            case .returnMiss:
                bind(code)
                moveToRAX(code.x)
                a.jmp(trampolines.returnMiss)
            case .indirectCallMiss:
                bind(code)
                moveToRAX(code.x)
                a.call(trampolines.indirectMiss)
                a.jmp(executable(code.resume))
            case .misaligned:
                bind(code)
                a.lea(.b64, .rax, .base(GPR(rawValue: code.x), Int32(truncatingIfNeeded: code.imm)))
                if code.y != 0, memoryBase != 0 {
                    a.movImmediate(.rcx, memoryBase)
                    a.alu(.sub, .b64, .rax, .rcx)
                }
                a.alu(.and, .b64, .rax, Self.mem(StateHeader.addressMask))
                a.mov(.b64, Self.mem(StateHeader.faultAddress), .rax)
                storePC(code.pc)
                a.movImmediate(.rax, Exit.reason(.misaligned))
                a.jmp(trampolines.exit)
            case .helperExit:
                bind(code)
                a.lea(.b64, .rax, .base(.rax, -1))
                a.shift(.shl, .b64, .rax, 8)
                a.mov(.b64, .direct(.rcx), .rax)
                storePC(code.pc)
                a.mov(.b64, .rax, .direct(.rcx))
                a.jmp(trampolines.exit)
            case .lanes: writeColdLanes(code)
            case .slowMemory: writeSlowMemory(code)
            case .fetchMiss: writeFetchMiss(code)
            case .division: writeColdDivision(code)
            case .canonicalNaN:
                bind(code)
                let type = ValueType(rawValue: code.y) ?? .f64
                a.vmovsd(XMM(rawValue: code.x), .ripRelative(address: constants.canonicalNaN(type)))
                a.jmp(executable(code.resume))
            case .slowFloat: writeColdSlowFloat(code)
            case .equalMinMax: writeColdMinMax(code)
            case .signedOverflow: writeColdSignedOverflow(code)
            case .unbox:
                bind(code)
                a.vmovsd(XMM(rawValue: code.x), .ripRelative(address: constants.canonicalNaN(.f32)))
                a.jmp(executable(code.resume))
            }
        }
    }

    mutating func bind(_ code: ColdCode) {
        if let jump = code.jump { a.bind(jump) }
        if let jump = code.secondJump { a.bind(jump) }
    }

    private mutating func moveToRAX(_ register: UInt8) {
        if register != GPR.rax.rawValue { a.mov(.b64, .rax, GPR(rawValue: register)) }
    }

    /// Sets the guest program counter; may use rax.
    mutating func storePC(_ pc: UInt64) {
        if UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: pc))) == pc {
            a.mov(.b64, Self.mem(StateHeader.pc), imm: Int32(truncatingIfNeeded: pc))
        } else {
            a.movImmediate(.rax, pc)
            a.mov(.b64, Self.mem(StateHeader.pc), .rax)
        }
    }
}
