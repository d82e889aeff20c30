// "Zcmp": push and pop of register lists, moves of two registers. Its encodings are those of c.fsdsp, so that a CPU has
// either this or Zcd.
//
// Every access comes before the first register changes; the manual lets an interrupted one begin anew.

import IR

/// The registers that an encoding of push or pop names: ra, s0 and on.
struct RegisterList {
    /// 4 to 15.
    let code: UInt32

    init(_ instruction: Instruction) { code = instruction.field(4, 4) }

    /// From the highest number down, as they lie in memory from the top.
    var registers: [Register] {
        // The list that would end with s10 has s11 too.
        let count = code == 15 ? 13 : Int(code) &- 3
        let all: [UInt32] = [1, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27]
        return all.prefix(max(0, count)).reversed().map { Register($0) }
    }

    /// By how much the stack pointer moves.
    func adjustment(_ instruction: Instruction, _ xlen: XLEN) -> Int64 {
        let bytes = Int64(registers.count &* xlen.bytes)
        return (bytes &+ 15) & ~15 &+ Int64(instruction.field(2, 2)) &* 16
    }

    /// As assemblers write it.
    var text: String {
        switch code {
        case 0 ... 4: "{ra}"
        case 5: "{ra,s0}"
        case 15: "{ra,s0-s11}"
        default: "{ra,s0-s\(code - 5)}"
        }
    }
}

extension Emit {
    func push(_ i: Instruction) {
        let list = RegisterList(i)
        var offset: Int64 = 0
        for register in list.registers {
            offset &-= Int64(xlen.bytes)
            store(.sp, offset, self[register], bytes: xlen.bytes)
        }
        self[.sp] = sum(.sp, -list.adjustment(i, xlen))
    }

    func pop(_ i: Instruction) {
        let list = RegisterList(i)
        var offset = list.adjustment(i, xlen)
        let loaded = list.registers.map { register in
            offset &-= Int64(xlen.bytes)
            return (register, load(.sp, offset, bytes: xlen.bytes))
        }
        let stack = sum(.sp, list.adjustment(i, xlen))
        for (register, value) in loaded { self[register] = value }
        self[.sp] = stack
    }
}

extension Pattern {
    private static let a0 = Register(10), a1 = Register(11)

    static let pushAndPop: [Pattern] = [
        Pattern("cm.push registerList, pushSize", "101 11 000 nn.. .. 10", .zcmp) { x, i in x.push(i) },
        Pattern("cm.pop registerList, popSize", "101 11 010 nn.. .. 10", .zcmp) { x, i in x.pop(i) },
        Pattern("cm.popretz registerList, popSize", "101 11 100 nn.. .. 10", .zcmp) { x, i in
            x.pop(i)
            x[a0] = x.constant(0 as UInt64)
            x.jump(link: .zero, base: .ra, 0)
        },
        Pattern("cm.popret registerList, popSize", "101 11 110 nn.. .. 10", .zcmp) { x, i in
            x.pop(i)
            x.jump(link: .zero, base: .ra, 0)
        },
        Pattern("cm.mvsa01 sreg1, sreg2", "101 011 ... 01 ... 10", .zcmp) { x, i in
            let first = x[a0], second = x[a1]
            x[i.savedRegister1] = first
            x[i.savedRegister2] = second
        },
        Pattern("cm.mva01s sreg1, sreg2", "101 011 ... 11 ... 10", .zcmp) { x, i in
            let first = x[i.savedRegister1], second = x[i.savedRegister2]
            x[a0] = first
            x[a1] = second
        },
    ]
}
