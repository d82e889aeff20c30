// Integer instructions against GNU binutils; see Listing.
import Testing
import X64

@Suite(.enabled(if: Listing.isPossible, "needs GNU as and objdump for x86-64"))
struct IntegerFormsTests {
    private static func expectAgreement(_ listing: Listing) throws {
        let problems = try listing.disagreements()
        #expect(problems.isEmpty, "\(problems.joined(separator: "\n"))")
    }

    @Test func arithmetic() throws {
        let list = Listing()
        let operations: [(ALU, String)] = [(.add, "add"), (.or, "or"), (.adc, "adc"), (.sbb, "sbb"), (.and, "and"),
                                           (.sub, "sub"), (.xor, "xor"), (.cmp, "cmp")]
        for (op, word) in operations {
            for size in sizes {
                for a in registers {
                    let first = name(size, a)
                    for b in registers { list.check("\(word) \(first), \(name(size, b))") { $0.alu(op, size, a, b) } }
                    for (mem, text) in fewMemories {
                        list.check("\(word) \(first), \(pointer(size.bytes))\(text)") { $0.alu(op, size, a, mem) }
                        list.check("\(word) \(pointer(size.bytes))\(text), \(first)") { $0.alu(op, size, mem, a) }
                        if op != .cmp {
                            list.check("lock \(word) \(pointer(size.bytes))\(text), \(first)") {
                                $0.lockAlu(op, size, mem, a)
                            }
                        }
                    }
                    for imm in immediates(size) {
                        list.check("\(word) \(first), \(imm)") { $0.alu(op, size, a, imm: imm) }
                    }
                }
                for (mem, text) in memories {
                    for imm in immediates(size) {
                        list.check("\(word) \(pointer(size.bytes))\(text), \(imm)") { $0.alu(op, size, mem, imm: imm) }
                    }
                }
                if op != .cmp {
                    list.check("lock \(word) \(pointer(size.bytes))[rdi], 5") {
                        $0.lockAlu(op, size, .base(.rdi), imm: 5)
                    }
                }
            }
        }
        try Self.expectAgreement(list)
    }

    private func immediates(_ size: OperandSize) -> [Int32] {
        switch size {
        case .b8: [0, 1, -1, 127, -128]
        case .b16: [0, -1, 127, -128, 128, 0x7FFF]
        default: [0, -1, 127, -128, 128, -129, .max, .min]
        }
    }

    @Test func moves() throws {
        let list = Listing()
        for size in sizes {
            for a in registers {
                for b in registers {
                    list.check("mov \(name(size, a)), \(name(size, b))") { $0.mov(size, a, b) }
                    if a != .rax, b != .rax {
                        list.check("xchg \(name(size, a)), \(name(size, b))") { $0.xchg(size, a, b) }
                    }
                }
                for (mem, text) in memories where a == .rcx || a == .rsi || a == .r13 {
                    let place = pointer(size.bytes) + text
                    list.check("mov \(name(size, a)), \(place)") { $0.mov(size, a, mem) }
                    list.check("mov \(place), \(name(size, a))") { $0.mov(size, mem, a) }
                    list.check("xchg \(place), \(name(size, a))") { $0.xchg(size, mem, a) }
                    if size != .b8 {
                        list.check("lea \(name(size, a)), \(text)") { $0.lea(size, a, mem) }
                        list.check("movbe \(name(size, a)), \(place)") { $0.movbe(size, a, mem) }
                        list.check("movbe \(place), \(name(size, a))") { $0.movbe(size, mem, a) }
                    }
                }
            }
            for (mem, text) in memories {
                for imm in immediates(size) {
                    list.check("mov \(pointer(size.bytes))\(text), \(imm)") { $0.mov(size, mem, imm: imm) }
                }
            }
        }
        for a in registers {
            for value: UInt64 in [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF] {
                list.check("mov \(name(.b32, a)), \(value)") { $0.movImmediate(a, value) }
            }
            for value: Int64 in [-1, -0x8000_0000, 0x1_0000_0000, -0x8000_0001, .max, .min] {
                list.check("mov \(name(.b64, a)), \(value)") { $0.movImmediate(a, UInt64(bitPattern: value)) }
            }
            list.check("movabs \(name(.b64, a)), 5") { $0.movImmediate64(a, 5) }
            list.check("push \(name(.b64, a))") { $0.push(a) }
            list.check("pop \(name(.b64, a))") { $0.pop(a) }
            list.check("bswap \(name(.b32, a))") { $0.bswap(.b32, a) }
            list.check("bswap \(name(.b64, a))") { $0.bswap(.b64, a) }
        }
        for imm: Int32 in [0, -128, 127, 128, .min] { list.check("push \(imm)") { $0.push(imm: imm) } }
        for (mem, text) in memories {
            list.check("push QWORD PTR \(text)") { $0.push(mem) }
            list.check("pop QWORD PTR \(text)") { $0.pop(mem) }
        }
        try Self.expectAgreement(list)
    }

    @Test func extensions() throws {
        let list = Listing()
        for from in [.b8, .b16] as [OperandSize] {
            for a in registers {
                for b in registers {
                    list.check("movzx \(name(.b32, a)), \(name(from, b))") { $0.movzx(a, b, from: from) }
                    for size in wideSizes {
                        list.check("movsx \(name(size, a)), \(name(from, b))") { $0.movsx(size, a, b, from: from) }
                    }
                }
                for (mem, text) in fewMemories {
                    let place = pointer(from.bytes) + text
                    list.check("movzx \(name(.b32, a)), \(place)") { $0.movzx(a, mem, from: from) }
                    for size in wideSizes {
                        list.check("movsx \(name(size, a)), \(place)") { $0.movsx(size, a, mem, from: from) }
                    }
                }
            }
        }
        for a in registers {
            for b in registers {
                list.check("movsxd \(name(.b64, a)), \(name(.b32, b))") { $0.movsx(.b64, a, b, from: .b32) }
                list.check("mov \(name(.b32, a)), \(name(.b32, b))") { $0.movzx(a, b, from: .b32) }
                list.check("mov \(name(.b32, a)), \(name(.b32, b))") { $0.movsx(.b32, a, b, from: .b32) }
            }
            for (mem, text) in fewMemories {
                list.check("movsxd \(name(.b64, a)), DWORD PTR \(text)") { $0.movsx(.b64, a, mem, from: .b32) }
                list.check("mov \(name(.b32, a)), DWORD PTR \(text)") { $0.movzx(a, mem, from: .b32) }
                list.check("mov \(name(.b64, a)), QWORD PTR \(text)") { $0.movzx(a, mem, from: .b64) }
            }
        }
        list.check("cqo") { $0.cqo() }
        list.check("cdq") { $0.cdq() }
        list.check("cdqe") { $0.cdqe() }
        try Self.expectAgreement(list)
    }

    @Test func multiplicationAndUnary() throws {
        let list = Listing()
        for size in sizes {
            for a in registers {
                let first = name(size, a)
                list.check("not \(first)") { $0.not(size, a) }
                list.check("neg \(first)") { $0.neg(size, a) }
                list.check("mul \(first)") { $0.mul(size, a) }
                list.check("imul \(first)") { $0.imul1(size, a) }
                list.check("div \(first)") { $0.div(size, a) }
                list.check("idiv \(first)") { $0.idiv(size, a) }
                list.check("inc \(first)") { $0.inc(size, a) }
                list.check("dec \(first)") { $0.dec(size, a) }
                for b in registers { list.check("test \(first), \(name(size, b))") { $0.test(size, a, b) } }
                for imm in immediates(size) { list.check("test \(first), \(imm)") { $0.test(size, a, imm: imm) } }
                guard size != .b8 else { continue }
                for b in registers { list.check("imul \(first), \(name(size, b))") { $0.imul(size, a, b) } }
                for (mem, text) in fewMemories {
                    list.check("imul \(first), \(pointer(size.bytes))\(text)") { $0.imul(size, a, mem) }
                    for imm in immediates(size) {
                        list.check("imul \(first), \(pointer(size.bytes))\(text), \(imm)") {
                            $0.imul(size, a, mem, imm: imm)
                        }
                    }
                }
                for imm in immediates(size) {
                    list.check("imul \(first), r9\(["", "w", "d", ""][Int(size.rawValue)]), \(imm)") {
                        $0.imul(size, a, .r9, imm: imm)
                    }
                }
            }
            for (mem, text) in memories {
                let place = pointer(size.bytes) + text
                list.check("not \(place)") { $0.not(size, mem) }
                list.check("neg \(place)") { $0.neg(size, mem) }
                list.check("mul \(place)") { $0.mul(size, mem) }
                list.check("imul \(place)") { $0.imul1(size, mem) }
                list.check("div \(place)") { $0.div(size, mem) }
                list.check("idiv \(place)") { $0.idiv(size, mem) }
                list.check("inc \(place)") { $0.inc(size, mem) }
                list.check("dec \(place)") { $0.dec(size, mem) }
                list.check("test \(place), \(name(size, .rsi))") { $0.test(size, mem, .rsi) }
                for imm in immediates(size) { list.check("test \(place), \(imm)") { $0.test(size, mem, imm: imm) } }
            }
        }
        try Self.expectAgreement(list)
    }

    @Test func shiftsAndBits() throws {
        let list = Listing()
        let shifts: [(Shift, String)] = [(.rol, "rol"), (.ror, "ror"), (.rcl, "rcl"), (.rcr, "rcr"), (.shl, "shl"),
                                         (.shr, "shr"), (.sar, "sar")]
        for size in sizes {
            for (op, word) in shifts {
                for a in registers {
                    for count: UInt8 in [1, 2, 7] {
                        list.check("\(word) \(name(size, a)), \(count)") { $0.shift(op, size, a, count) }
                    }
                    list.check("\(word) \(name(size, a)), cl") { $0.shiftByCL(op, size, a) }
                }
                for (mem, text) in fewMemories {
                    list.check("\(word) \(pointer(size.bytes))\(text), 3") { $0.shift(op, size, mem, 3) }
                    list.check("\(word) \(pointer(size.bytes))\(text), cl") { $0.shiftByCL(op, size, mem) }
                }
            }
            guard size != .b8 else { continue }
            for a in registers {
                let first = name(size, a)
                for b in registers {
                    let second = name(size, b)
                    list.check("bt \(first), \(second)") { $0.bt(size, a, b) }
                    list.check("bts \(first), \(second)") { $0.bts(size, a, b) }
                    list.check("btr \(first), \(second)") { $0.btr(size, a, b) }
                    list.check("btc \(first), \(second)") { $0.btc(size, a, b) }
                    list.check("lzcnt \(first), \(second)") { $0.lzcnt(size, a, b) }
                    list.check("tzcnt \(first), \(second)") { $0.tzcnt(size, a, b) }
                    list.check("popcnt \(first), \(second)") { $0.popcnt(size, a, b) }
                    list.check("shld \(first), \(second), 5") { $0.shld(size, a, b, 5) }
                    list.check("shld \(first), \(second), cl") { $0.shldByCL(size, a, b) }
                    list.check("shrd \(first), \(second), 5") { $0.shrd(size, a, b, 5) }
                    list.check("shrd \(first), \(second), cl") { $0.shrdByCL(size, a, b) }
                }
                list.check("bt \(first), 13") { $0.bt(size, a, 13) }
                list.check("bts \(first), 13") { $0.bts(size, a, 13) }
                list.check("btr \(first), 13") { $0.btr(size, a, 13) }
                list.check("btc \(first), 13") { $0.btc(size, a, 13) }
                for (mem, text) in fewMemories {
                    let place = pointer(size.bytes) + text
                    list.check("lzcnt \(first), \(place)") { $0.lzcnt(size, a, mem) }
                    list.check("tzcnt \(first), \(place)") { $0.tzcnt(size, a, mem) }
                    list.check("popcnt \(first), \(place)") { $0.popcnt(size, a, mem) }
                    list.check("btr \(place), 3") { $0.bitTest(.btr, size, mem, 3) }
                }
            }
        }
        try Self.expectAgreement(list)
    }

    @Test func bitManipulationSets() throws {
        let list = Listing()
        for size in wideSizes {
            func text(_ r: GPR) -> String { name(size, r) }
            for a in registers {
                for b in registers {
                    list.check("rorx \(text(a)), \(text(b)), 9") { $0.rorx(size, a, b, 9) }
                    list.check("blsr \(text(a)), \(text(b))") { $0.blsr(size, a, b) }
                    list.check("blsmsk \(text(a)), \(text(b))") { $0.blsmsk(size, a, b) }
                    list.check("blsi \(text(a)), \(text(b))") { $0.blsi(size, a, b) }
                    for c in fewRegisters {
                        let three = "\(text(a)), \(text(b)), \(text(c))"
                        list.check("shlx \(three)") { $0.shlx(size, a, b, c) }
                        list.check("shrx \(three)") { $0.shrx(size, a, b, c) }
                        list.check("sarx \(three)") { $0.sarx(size, a, b, c) }
                        list.check("mulx \(three)") { $0.mulx(size, a, b, c) }
                        list.check("andn \(three)") { $0.andn(size, a, b, c) }
                        list.check("bzhi \(three)") { $0.bzhi(size, a, b, c) }
                        list.check("pdep \(three)") { $0.pdep(size, a, b, c) }
                        list.check("pext \(three)") { $0.pext(size, a, b, c) }
                    }
                }
                for (mem, place) in memories {
                    let first = text(a), second = pointer(size.bytes) + place
                    list.check("shlx \(first), \(second), \(text(.r9))") { $0.shlx(size, a, mem, .r9) }
                    list.check("shrx \(first), \(second), \(text(.r9))") { $0.shrx(size, a, mem, .r9) }
                    list.check("sarx \(first), \(second), \(text(.r9))") { $0.sarx(size, a, mem, .r9) }
                    list.check("rorx \(first), \(second), 5") { $0.rorx(size, a, mem, 5) }
                    list.check("mulx \(first), \(text(.rbx)), \(second)") { $0.mulx(size, a, .rbx, mem) }
                    list.check("andn \(first), \(text(.rbx)), \(second)") { $0.andn(size, a, .rbx, mem) }
                }
            }
        }
        try Self.expectAgreement(list)
    }

    @Test func conditionsAndAtomics() throws {
        let list = Listing()
        let names = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"]
        for (number, suffix) in names.enumerated() {
            guard let condition = ConditionCode(rawValue: UInt8(number)) else { continue }
            for a in registers {
                list.check("set\(suffix) \(name(.b8, a))") { $0.setcc(condition, a) }
                for size in [.b16, .b32, .b64] as [OperandSize] {
                    for b in fewRegisters {
                        list.check("cmov\(suffix) \(name(size, a)), \(name(size, b))") { $0.cmov(condition, size, a, b) }
                    }
                    for (mem, text) in fewMemories {
                        list.check("cmov\(suffix) \(name(size, a)), \(pointer(size.bytes))\(text)") {
                            $0.cmov(condition, size, a, mem)
                        }
                    }
                }
            }
            list.check("set\(suffix) BYTE PTR [rsi+4]") { $0.setcc(condition, .base(.rsi, 4)) }
        }
        for size in sizes {
            for a in registers {
                for (mem, text) in fewMemories {
                    let operands = "\(pointer(size.bytes))\(text), \(name(size, a))"
                    list.check("lock xadd \(operands)") { $0.lockXadd(size, mem, a) }
                    list.check("lock cmpxchg \(operands)") { $0.lockCmpxchg(size, mem, a) }
                }
            }
        }
        for (mem, text) in memories { list.check("lock cmpxchg16b XMMWORD PTR \(text)") { $0.lockCmpxchg16b(mem) } }
        list.check("mfence") { $0.mfence() }
        list.check("lfence") { $0.lfence() }
        list.check("sfence") { $0.sfence() }
        list.check("pause") { $0.pause() }
        try Self.expectAgreement(list)
    }

    @Test func controlAndRelativeAddresses() throws {
        let list = Listing()
        for a in registers {
            list.check("jmp \(name(.b64, a))") { $0.jmp(a) }
            list.check("call \(name(.b64, a))") { $0.call(a) }
        }
        for (mem, text) in memories {
            list.check("jmp QWORD PTR \(text)") { $0.jmp(mem) }
            list.check("call QWORD PTR \(text)") { $0.call(mem) }
        }
        list.check("ret") { $0.ret() }
        list.check("int3") { $0.int3() }
        list.check("ud2") { $0.ud2() }
        for distance: Int32 in [0, 5, -300, 0x10_0000] {
            let place = "[rip+(\(distance))]"
            list.checkRelative("mov rdx, QWORD PTR \(place)", distance) { $0.mov(.b64, .rdx, $1) }
            list.checkRelative("mov QWORD PTR \(place), r9", distance) { $0.mov(.b64, $1, .r9) }
            list.checkRelative("mov DWORD PTR \(place), 77", distance) { $0.mov(.b32, $1, imm: 77) }
            list.checkRelative("mov WORD PTR \(place), 77", distance) { $0.mov(.b16, $1, imm: 77) }
            list.checkRelative("add QWORD PTR \(place), 7", distance) { $0.alu(.add, .b64, $1, imm: 7) }
            list.checkRelative("lea r12, \(place)", distance) { $0.lea(.b64, .r12, $1) }
            list.checkRelative("jmp QWORD PTR \(place)", distance) { $0.jmp($1) }
            list.checkRelative("vaddsd xmm9, xmm1, QWORD PTR \(place)", distance) {
                $0.avx(.vaddsd, XMM(9), XMM(1), $1)
            }
            list.checkRelative("vroundsd xmm9, xmm1, QWORD PTR \(place), 3", distance) {
                $0.avx(.vroundsd, XMM(9), XMM(1), $1, imm: 3)
            }
            list.checkRelative("vaddsd xmm19, xmm1, QWORD PTR \(place)", distance) {
                $0.avx(.vaddsd, XMM(19), XMM(1), $1)
            }
        }
        try Self.expectAgreement(list)
    }
}
