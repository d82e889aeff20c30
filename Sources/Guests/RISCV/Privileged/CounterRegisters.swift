// "Hardware Performance Monitor", the counters of Zicntr and Zihpm, and "Physical Memory Protection CSRs": registers that come in rows.

import Translation

extension ControlRegister {
    private static let word: UInt64 = 0xffff_ffff

    static let protection: [ControlRegister] = (0 ..< 16).map(protectionConfiguration) + (0 ..< 64).map(protectionAddress) + [
        ControlRegister(0x747, "mseccfg", exists: { $0.extensions.contains(.zkr) || $0.configuration.hasSmepmp || $0.configuration.hasSmmpm }, read: { $0.mseccfg | $0.pmp.securityBits }, write: { hart, value in
            hart.mseccfg = (hart.extensions.contains(.zkr) ? value & 0x300 : 0) | hart.pointerMasking(hart.mseccfg, value, isThere: hart.configuration.hasSmmpm)
            if hart.configuration.hasSmepmp { hart.pmp.setSecurityBits(value) }
            if hart.configuration.hasSmepmp || hart.configuration.hasSmmpm { SoftMMU.of(hart.vcpu.state)?.flush() }
        }),
        ControlRegister(0x757, "mseccfgh", exists: { $0.xlen == .rv32 && ($0.extensions.contains(.zkr) || $0.configuration.hasSmepmp) }, read: { _ in 0 }, write: { _, _ in }),
    ]

    private static func protectionConfiguration(_ index: Int) -> ControlRegister {
        ControlRegister(0x3a0 + UInt16(index), "pmpcfg\(index)", exists: { hart in
            (hart.xlen == .rv32 || index % 2 == 0) && hart.configuration.pmpEntries > 0
        }, read: { hart in
            var value: UInt64 = 0
            for part in 0 ..< hart.xlen.bytes { value |= UInt64(hart.pmp.configurations[index * 4 + part]) << UInt64(part * 8) }
            return value
        }, write: { hart, value in
            for part in 0 ..< hart.xlen.bytes { hart.pmp.setConfiguration(index * 4 + part, UInt8(truncatingIfNeeded: value >> UInt64(part * 8))) }
            SoftMMU.of(hart.vcpu.state)?.flush()
        })
    }

    private static func protectionAddress(_ index: Int) -> ControlRegister {
        ControlRegister(0x3b0 + UInt16(index), "pmpaddr\(index)", exists: { $0.configuration.pmpEntries > index },
                        read: { $0.pmp.addresses[index] & $0.xlen.mask }, write: { hart, value in
            hart.pmp.setAddress(index, value)
            SoftMMU.of(hart.vcpu.state)?.flush()
        })
    }

    static let counters: [ControlRegister] = (0 ..< 32).filter { $0 != 1 }.flatMap(counter) + [
        ControlRegister(0xc01, "time", exists: { $0.extensions.contains(.zicntr) }, check: { $0.counterDenial(1) }, read: { $0.time & $0.xlen.mask }),
        ControlRegister(0xc81, "timeh", exists: { $0.xlen == .rv32 && $0.extensions.contains(.zicntr) }, check: { $0.counterDenial(1) },
                        read: { $0.time >> 32 }),
        ControlRegister(0xda0, "scountovf", exists: { $0.configuration.hasSscofpmf && $0.configuration.hasSupervisor }, read: { $0.overflowBits }),
    ]

    private static func counter(_ number: Int) -> [ControlRegister] {
        let name = number == 0 ? "cycle" : number == 2 ? "instret" : "hpmcounter\(number)"
        let offset = UInt16(number), bit = UInt64(number)
        let isShown: @Sendable (Hart) -> Bool = { number < 3 ? $0.extensions.contains(.zicntr) : $0.hasEventCounter(number) }
        let isThere: @Sendable (Hart) -> Bool = { number < 3 || $0.hasEventCounter(number) }
        var list = [
            ControlRegister(0xb00 + offset, "m" + name, exists: isThere, read: { $0.counter(number) & $0.xlen.mask }, write: { hart, value in
                hart.setCounter(number, hart.xlen == .rv64 ? value : hart.counter(number) & ~word | value)
            }),
            ControlRegister(0xb80 + offset, "m" + name + "h", exists: { $0.xlen == .rv32 && isThere($0) }, read: { $0.counter(number) >> 32 },
                            write: { hart, value in hart.setCounter(number, hart.counter(number) & word | value << 32) }),
            ControlRegister(0xc00 + offset, name, exists: isShown, check: { $0.counterDenial(bit) }, read: { $0.counter(number) & $0.xlen.mask }),
            ControlRegister(0xc80 + offset, name + "h", exists: { $0.xlen == .rv32 && isShown($0) }, check: { $0.counterDenial(bit) },
                            read: { $0.counter(number) >> 32 }),
        ]
        if number >= 3 {
            list.append(ControlRegister(0x320 + offset, "mhpmevent\(number)", read: { $0.event(number) & $0.xlen.mask }, write: { hart, value in
                hart.setEvent(number, hart.widened(value, hart.counters.events[number]))
            }))
            list.append(ControlRegister(0x720 + offset, "mhpmevent\(number)h", exists: { $0.xlen == .rv32 && $0.configuration.hasSscofpmf },
                                        read: { $0.event(number) >> 32 }, write: { hart, value in
                hart.setEvent(number, hart.counters.events[number] & word | value << 32)
            }))
        }
        return list
    }
}
