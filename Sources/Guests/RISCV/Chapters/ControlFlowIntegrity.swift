// "Zicfiss" and "Zicfilp": shadow stacks and landing pads. While a program has not asked its operating system for them, the
// instructions of the first are the may-be-operations whose encodings they have, and `ssamoswap` is illegal; the second has no
// encodings of its own (`lpad` is `auipc x0, …`).
//
// Whether they are on is part of the translation context. Instructions that then touch the shadow stack, and indirect jumps that
// need a landing pad, leave translated code: the operating system's side does them (`ControlFlowIntegrity` says what it needs).

import IR
import Translation

extension RISCVState {
    /// Bits of the translation context.
    public static let shadowStackIsOn: UInt64 = 1 &<< 4
    public static let landingPadsAreOn: UInt64 = 1 &<< 5
    /// UInt64 each: the CSR `ssp`; where the thread's own shadow stack begins, and its bytes; what the thread may no longer change.
    public static let shadowStackPointer: Int32 = StateHeader.guestControl &+ 40
    public static let shadowStackBase: Int32 = StateHeader.guestControl &+ 24
    public static let shadowStackSize: Int32 = StateHeader.guestControl &+ 16
    public static let controlFlowLocks: Int32 = StateHeader.guestControl &+ 48
}

/// What an instruction is to whoever runs it in place of translated code.
public enum ControlFlowIntegrity: Equatable {
    /// Pushes register `source`; pops and compares with it.
    case push(source: Int), popAndCheck(source: Int)
    /// Swaps a word or doubleword of a shadow stack.
    case swap(destination: Int, source: Int, address: Int, bytes: Int)
    /// Jumps to where `lpad` must stand.
    case jump(link: Int, base: Int, offset: Int64)

    /// The instruction `bits`, of two bytes if its low bits are not both set; nil if it is none of these.
    public init?(_ bits: UInt32) {
        let i = Instruction(bits)
        if bits & 3 != 3 {
            switch bits & 0xffff {
            case 0x6081: self = .push(source: 1)
            case 0x6281: self = .popAndCheck(source: 5)
            case let short where short & 0xe07f == 0x8002 && short & 0xf80 != 0:
                self = .jump(link: short & 0x1000 != 0 ? 1 : 0, base: Int(short &>> 7 & 31), offset: 0)
            default: return nil
            }
            return
        }
        if bits & 0xfe0f_ffff == 0xce00_4073 {
            self = .push(source: Int(i.rs2.number))
        } else if bits & 0xfff0_7fff == 0xcdc0_4073 {
            self = .popAndCheck(source: Int(i.rs1.number))
        } else if bits & 0xf800_607f == 0x4800_202f {
            self = .swap(destination: Int(i.rd.number), source: Int(i.rs2.number), address: Int(i.rs1.number), bytes: bits & 0x1000 != 0 ? 8 : 4)
        } else if bits & 0x707f == 0x0067 {
            self = .jump(link: Int(i.rd.number), base: Int(i.rs1.number), offset: i.immI)
        } else {
            return nil
        }
    }

    /// Whether `bits` is an `lpad` that is the place for the label in `register` (x7).
    public static func isLandingPad(_ bits: UInt32, label register: UInt64) -> Bool {
        bits & 0xfff == 0x017 && (bits &>> 12 == 0 || UInt64(bits &>> 12) == register &>> 12 & 0xf_ffff)
    }
}

extension Emit {
    private var hasShadowStack: Bool { context & RISCVState.shadowStackIsOn != 0 }

    /// Whether an indirect jump by `base` must find a landing pad: returns, and jumps marked by x7, need none.
    func needsLandingPad(_ base: Register) -> Bool {
        context & RISCVState.landingPadsAreOn != 0 && !base.isLink && base.number != 7
    }

    /// One that only acts on the shadow stack.
    mutating func shadowStackOperation() { if hasShadowStack { exit(.guestException) } }

    mutating func shadowStackSwap() { if hasShadowStack { exit(.guestException) } else { illegal() } }

    func readShadowStackPointer(_ rd: Register) { self[rd] = hasShadowStack ? builder.get(RISCVState.shadowStackPointer) : constant(0 as UInt64) }
}

extension Pattern {
    static let controlFlowIntegrity: [Pattern] = [
        Pattern("sspush ra", "1100111 00001 00000 100 00000 1110011", [.zicfiss, .rv64]) { x, _ in x.shadowStackOperation() },
        Pattern("sspush t0", "1100111 00101 00000 100 00000 1110011", [.zicfiss, .rv64]) { x, _ in x.shadowStackOperation() },
        Pattern("sspopchk ra", "1100110 11100 00001 100 00000 1110011", [.zicfiss, .rv64]) { x, _ in x.shadowStackOperation() },
        Pattern("sspopchk t0", "1100110 11100 00101 100 00000 1110011", [.zicfiss, .rv64]) { x, _ in x.shadowStackOperation() },
        Pattern("ssrdp rd", "1100110 11100 00000 100 nnnnn 1110011", [.zicfiss, .rv64]) { x, i in x.readShadowStackPointer(i.rd) },
        Pattern("ssamoswap.w{aqrl} rd, rs2, (rs1)", "01001 .. ..... ..... 010 ..... 0101111", [.zicfiss, .rv64]) { x, _ in x.shadowStackSwap() },
        Pattern("ssamoswap.d{aqrl} rd, rs2, (rs1)", "01001 .. ..... ..... 011 ..... 0101111", [.zicfiss, .rv64]) { x, _ in x.shadowStackSwap() },
        Pattern("c.sspush ra", "011 0 00001 00000 01", [.zicfiss, .zcmop, .rv64]) { x, _ in x.shadowStackOperation() },
        Pattern("c.sspopchk t0", "011 0 00101 00000 01", [.zicfiss, .zcmop, .rv64]) { x, _ in x.shadowStackOperation() },
    ]
}
