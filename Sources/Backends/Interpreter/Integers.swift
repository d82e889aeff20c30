// The integer operations that are more than one host instruction. Operands are zero-extended values of `type`, and so
// are the results; every operation is total, as the opcode's description says.
import IR

enum Integers {
    @inline(never)
    static func binary(_ code: Opcode, _ a: UInt64, _ b: UInt64, _ type: ValueType) -> UInt64 {
        let bits = UInt64(truncatingIfNeeded: type.bits), mask = type.mask
        switch code {
        case .rotl: return rotatedLeft(a, b & (bits &- 1), bits) & mask
        case .rotr: return rotatedLeft(a, (bits &- b) & (bits &- 1), bits) & mask
        case .mulHighU:
            return bits == 64 ? a.multipliedFullWidth(by: b).high : (a &* b) &>> bits & mask
        case .mulHighS:
            let p = signed(a, bits), q = signed(b, bits)
            return UInt64(bitPattern: bits == 64 ? p.multipliedFullWidth(by: q).high : (p &* q) &>> Int64(bits)) & mask
        case .mulHighSU:
            let p = signed(a, bits)
            if bits < 64 { return UInt64(bitPattern: (p &* Int64(bitPattern: b)) &>> Int64(bits)) & mask }
            // As unsigned, a negative factor is 2^64 too large.
            return a.multipliedFullWidth(by: b).high &- (p < 0 ? b : 0)
        case .divU: return b == 0 ? mask : a / b
        case .remU: return b == 0 ? a : a % b
        case .divS:
            let p = signed(a, bits), q = signed(b, bits)
            return b == 0 ? mask : UInt64(bitPattern: p.dividedReportingOverflow(by: q).partialValue) & mask
        case .remS:
            let p = signed(a, bits), q = signed(b, bits)
            return b == 0 ? a : UInt64(bitPattern: p.remainderReportingOverflow(dividingBy: q).partialValue) & mask
        case .clmul: return carryLess(a, b).low & mask
        case .clmulHigh:
            let product = carryLess(a, b)
            return bits == 64 ? product.high : product.low &>> bits & mask
        case .clmulReversed:
            let product = carryLess(a, b)
            return (bits == 64 ? product.high &<< 1 | product.low &>> 63 : product.low &>> (bits &- 1)) & mask
        default: return 0
        }
    }

    @inline(never)
    static func unary(_ code: Opcode, _ a: UInt64, _ type: ValueType) -> UInt64 {
        let unused = UInt64(truncatingIfNeeded: 64 &- type.bits)
        switch code {
        case .clz: return UInt64(truncatingIfNeeded: a.leadingZeroBitCount) &- unused
        case .ctz: return a == 0 ? 64 &- unused : UInt64(truncatingIfNeeded: a.trailingZeroBitCount)
        case .popcount: return UInt64(truncatingIfNeeded: a.nonzeroBitCount)
        case .byteSwap: return a.byteSwapped &>> unused
        case .orCombine:
            // The top bit of each byte that is not zero, spread over its byte.
            let low: UInt64 = 0x7f7f_7f7f_7f7f_7f7f
            let top = ((a & low) &+ low | a) & ~low
            return (top &>> 7) &* 0xff & type.mask
        default: return 0
        }
    }

    @inline(__always)
    private static func signed(_ value: UInt64, _ bits: UInt64) -> Int64 {
        let shift = Int64(bitPattern: 64 &- bits)
        return (Int64(bitPattern: value) &<< shift) &>> shift
    }

    @inline(__always)
    private static func rotatedLeft(_ a: UInt64, _ amount: UInt64, _ bits: UInt64) -> UInt64 {
        amount == 0 ? a : a &<< amount | a &>> (bits &- amount)
    }

    static func carryLess(_ a: UInt64, _ b: UInt64) -> (high: UInt64, low: UInt64) {
        var high: UInt64 = 0, low: UInt64 = 0, rest = b
        while rest != 0 {
            let position = UInt64(truncatingIfNeeded: rest.trailingZeroBitCount)
            low ^= a &<< position
            if position != 0 { high ^= a &>> (64 &- position) }
            rest &= rest &- 1
        }
        return (high, low)
    }
}
