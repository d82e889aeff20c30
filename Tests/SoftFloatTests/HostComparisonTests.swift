// Results and flags against the host's floating-point unit, in the four rounding modes that it has.
import HostFloat
import SoftFloat
import Testing

private let rounds = 150_000
private let hostModes: [RoundingDirection] = [.nearestEven, .towardZero, .down, .up]

/// x86 gives the negative default NaN, so NaNs are compared by being NaNs.
private func same(_ a: UInt64, _ b: UInt64, _ format: FloatFormat) -> Bool { a == b || format.isNaN(a) && format.isNaN(b) }

private func compute(_ operation: Int, _ format: FloatFormat, _ a: UInt64, _ b: UInt64, _ c: UInt64, _ x: inout FloatEnvironment) -> UInt64 {
    switch operation {
    case HOST_ADD: format.add(a, b, &x)
    case HOST_SUB: format.subtract(a, b, &x)
    case HOST_MUL: format.multiply(a, b, &x)
    case HOST_DIV: format.divide(a, b, &x)
    case HOST_SQRT: format.squareRoot(a, &x)
    default: format.multiplyAdd(a, b, c, &x)
    }
}
private let HOST_ADD = 0, HOST_SUB = 1, HOST_MUL = 2, HOST_DIV = 3, HOST_SQRT = 4, HOST_FMA = 5

@Suite(.enabled(if: host_float_available() != 0)) struct HostComparison {
    @Test(arguments: 0 ..< 6) func arithmetic64(operation: Int) {
        var random = RandomBits(UInt64(operation) + 64), bad = Mismatches()
        func check(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ mode: RoundingDirection) {
            var x = FloatEnvironment(mode), flags: UInt32 = 0
            let mine = compute(operation, .f64, a, b, c, &x)
            let host = host_f64(Int32(operation), a, b, c, Int32(mode.rawValue), &flags)
            // Whether ∞ × 0 + quiet NaN is invalid is the implementation's choice; x86 says no.
            if operation == HOST_FMA, x.flags.rawValue == 16, flags == 0, FloatFormat.f64.isNaN(c) { return }
            bad.check(same(mine, host, .f64) && x.flags.rawValue == flags,
                      "\(mode) \(hex(a)) \(hex(b)) \(hex(c)): \(hex(mine)) \(x.flags.rawValue), host \(hex(host)) \(flags)")
        }
        for _ in 0 ..< rounds {
            let a = random.float(.f64), b = random.float(.f64), c = random.float(.f64)
            for mode in hostModes { check(a, b, c, mode) }
        }
        for a in corners(of: .f64) { for b in corners(of: .f64) { for mode in hostModes { check(a, b, random.float(.f64), mode) } } }
        #expect(bad.count == 0, "\(bad.described)")
    }

    @Test(arguments: 0 ..< 6) func arithmetic32(operation: Int) {
        var random = RandomBits(UInt64(operation) + 32), bad = Mismatches()
        func check(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ mode: RoundingDirection) {
            var x = FloatEnvironment(mode), flags: UInt32 = 0
            let mine = compute(operation, .f32, a, b, c, &x)
            let host = UInt64(host_f32(Int32(operation), UInt32(a), UInt32(b), UInt32(c), Int32(mode.rawValue), &flags))
            if operation == HOST_FMA, x.flags.rawValue == 16, flags == 0, FloatFormat.f32.isNaN(c) { return }
            bad.check(same(mine, host, .f32) && x.flags.rawValue == flags,
                      "\(mode) \(hex(a)) \(hex(b)) \(hex(c)): \(hex(mine)) \(x.flags.rawValue), host \(hex(host)) \(flags)")
        }
        for _ in 0 ..< rounds {
            let a = random.float(.f32), b = random.float(.f32), c = random.float(.f32)
            for mode in hostModes { check(a, b, c, mode) }
        }
        for a in corners(of: .f32) { for b in corners(of: .f32) { for mode in hostModes { check(a, b, random.float(.f32), mode) } } }
        #expect(bad.count == 0, "\(bad.described)")
    }

    /// With NaN propagation on, NaN payloads and signs match x86's too, save the default NaN's sign.
    @Test func propagatesNaNsAsX86() {
        var random = RandomBits(7), bad = Mismatches()
        let nans: [UInt64] = [0x7ff0_0000_0000_0001, 0x7ff8_0000_0000_1234, 0xfff0_0000_0000_5678, 0xfff8_0000_0000_0009]
        for round in 0 ..< 20_000 {
            let n = nans[round & 3], other = round & 64 != 0 ? random.float(.f64) : nans[(round >> 2) & 3]
            let a = round & 32 != 0 ? n : other, b = round & 32 != 0 ? other : n
            for operation in 0 ..< 5 where operation != HOST_SQRT || FloatFormat.f64.isNaN(a) {
                var x = FloatEnvironment(.nearestEven, defaultNaN: false), flags: UInt32 = 0
                let mine = compute(operation, .f64, a, b, 0, &x)
                let host = host_f64(Int32(operation), a, b, 0, 0, &flags)
                bad.check(mine == host && x.flags.rawValue == flags, "\(operation) \(hex(a)) \(hex(b)): \(hex(mine)), host \(hex(host))")
            }
        }
        #expect(bad.count == 0, "\(bad.described)")
    }

    @Test func convertsFormats() {
        var random = RandomBits(11), bad = Mismatches()
        for _ in 0 ..< rounds {
            let a = random.float(.f64), b = random.float(.f32)
            for mode in hostModes {
                var flags: UInt32 = 0
                var x = FloatEnvironment(mode, defaultNaN: false)
                let narrow = FloatFormat.f64.convert(a, to: .f32, &x)
                let hostNarrow = UInt64(host_f64_to_f32(a, Int32(mode.rawValue), &flags))
                bad.check(narrow == hostNarrow && x.flags.rawValue == flags, "f64→f32 \(mode) \(hex(a)): \(hex(narrow)) \(x.flags), host \(hex(hostNarrow)) \(flags)")
                x.flags = []
                let half = FloatFormat.f32.convert(b, to: .f16, &x)
                let hostHalf = UInt64(host_f32_to_f16(UInt32(b), Int32(mode.rawValue), &flags))
                bad.check(half == hostHalf && x.flags.rawValue == flags, "f32→f16 \(mode) \(hex(b)): \(hex(half)) \(x.flags), host \(hex(hostHalf)) \(flags)")
            }
            var flags: UInt32 = 0
            var x = FloatEnvironment(.nearestEven, defaultNaN: false)
            let wide = FloatFormat.f32.convert(b, to: .f64, &x)
            bad.check(wide == host_f32_to_f64(UInt32(b), &flags) && x.flags.rawValue == flags, "f32→f64 \(hex(b)): \(hex(wide))")
        }
        for a in UInt16.min ... UInt16.max {
            var flags: UInt32 = 0
            var x = FloatEnvironment(.nearestEven, defaultNaN: false)
            let wide = FloatFormat.f16.convert(UInt64(a), to: .f32, &x)
            bad.check(wide == UInt64(host_f16_to_f32(a, &flags)), "f16→f32 \(a): \(hex(wide))")
        }
        #expect(bad.count == 0, "\(bad.described)")
    }

    @Test func convertsIntegersAndRounds() {
        var random = RandomBits(13), bad = Mismatches()
        for _ in 0 ..< rounds {
            let integer = random.next() >> (random.next() & 63)
            let value = Int64(bitPattern: random.next() & 1 == 0 ? integer : 0 &- integer)
            let a = random.float(.f64)
            for mode in hostModes {
                var flags: UInt32 = 0
                var x = FloatEnvironment(mode)
                let d = FloatFormat.f64.fromInteger(UInt64(bitPattern: value), bits: 64, signed: true, &x)
                bad.check(d == host_i64_to_f64(value, Int32(mode.rawValue), &flags) && x.flags.rawValue == flags, "i64→f64 \(mode) \(value): \(hex(d))")
                x.flags = []
                let s = FloatFormat.f32.fromInteger(UInt64(bitPattern: value), bits: 64, signed: true, &x)
                bad.check(s == UInt64(host_i64_to_f32(value, Int32(mode.rawValue), &flags)) && x.flags.rawValue == flags, "i64→f32 \(mode) \(value): \(hex(s))")
                x.flags = []
                let i = FloatFormat.f64.toInteger(a, bits: 64, signed: true, &x)
                let host = host_f64_to_i64(a, Int32(mode.rawValue), &flags)
                bad.check((flags & 16 != 0 || i == UInt64(bitPattern: host)) && x.flags.rawValue == flags, "f64→i64 \(mode) \(hex(a)): \(hex(i)) \(flags)")
                x.flags = []
                x.defaultNaN = false
                let r = FloatFormat.f64.roundToIntegral(a, exact: true, &x)
                bad.check(r == host_f64_round(a, Int32(mode.rawValue), &flags) && x.flags.rawValue == flags, "round \(mode) \(hex(a)): \(hex(r))")
            }
        }
        #expect(bad.count == 0, "\(bad.described)")
    }
}
