import IR
import Translation

// Indirect jumps and calls. Each site compares its target with the one that it met first, and is linked to that
// target's block as a direct branch is: a call through a table of imports or to a virtual method has but one. Other
// targets are looked up in the vCPU's jump cache. Returns have the shadow stack instead.
//
// A site begins with a key that no address equals and a jump to its `siteLearn` stub. The dispatcher, told of the first
// target, links the direct branch, then writes the key, then lets the jump lead to the probe: each one aligned store,
// so other threads may be running the site meanwhile. Nothing of it ever changes again but the link.
extension Lowering {
    /// What the engine must know of the indirect branch that ends a block.
    struct PendingSite: BitwiseCopyable {
        /// The number of the block's link that is taken where the key matches; -1: the block has no site.
        var link = -1
        /// The rel32 field of the jump taken where it does not, in the writable view.
        var field = UnsafeMutablePointer<UInt8>(bitPattern: 16)
        /// Where that jump leads in the end.
        var probe = UnsafeMutablePointer<UInt8>(bitPattern: 16)
    }

    /// A target that no guest instruction has: the link of a site that has not met one.
    static let noTarget: UInt64 = 1

    /// Compares `target` with the jump cache's entry for it. Behind it the entry's host address is at the returned
    /// operand if the condition `e` holds.
    private mutating func probe(_ target: GPR, _ index: GPR, _ cache: GPR) -> Mem {
        site.probe = a.cursor
        a.mov(.b32, index, target)
        a.alu(.and, .b32, index, imm: JumpCache.mask)
        a.mov(.b64, cache, Self.mem(BackendState.jumpCache))
        a.alu(.cmp, .b64, target, .indexed(cache, index, 8, 0))
        return .indexed(cache, index, 8, 8)
    }

    mutating func lowerJumpIndirect(_ op: Op) {
        let target = use(op.a), index = takeInteger(), cache = takeInteger()
        a.alu(.cmp, .b64, target, .ripRelative(address: siteKey))
        a.alignForPatch(fieldOffset: 2)
        link(a.jccForward(.e), to: Self.noTarget, .siteLink)
        a.alignForPatch(fieldOffset: 1)
        var learn = ColdCode(.siteLearn)
        let other = a.jmpForward()
        learn.jump = other
        learn.x = target.rawValue
        cold.append(learn)
        site.field = other.field
        let entry = probe(target, index, cache)
        var miss = ColdCode(.indirectMiss)
        miss.jump = a.jccForward(.ne)
        miss.x = target.rawValue
        cold.append(miss)
        a.jmp(entry)
    }

    mutating func lowerCallIndirect(_ op: Op) {
        let target = use(op.a)
        pushReturn(op.imm, heldBy: -1)
        let index = takeInteger(), cache = takeInteger()
        a.alu(.cmp, .b64, target, .ripRelative(address: siteKey))
        a.alignForPatch(fieldOffset: 2)
        let other = a.jccForward(.ne)
        a.alignForPatch(fieldOffset: 1)
        a.call(a.here)
        link(ForwardJump(field: a.cursor - 4, isShort: false), to: Self.noTarget, .siteLink)
        let resume = a.cursor
        a.lea(.b64, .rsp, .base(.rsp, 8))
        jump(to: op.imm, isReturn: true)
        var learn = ColdCode(.siteCall)
        learn.jump = other
        learn.x = target.rawValue
        learn.y = index.rawValue
        learn.z = cache.rawValue
        learn.resume = resume
        cold.append(learn)
        site.field = other.field
    }

    /// Tells the dispatcher of the site's first target, at the bound jump.
    private mutating func tellTarget(_ target: UInt8) {
        a.mov(.b64, Self.mem(StateHeader.pc), GPR(rawValue: target))
        a.mov(.b32, .direct(.rax), imm: Int32(truncatingIfNeeded: siteNumber))
    }

    mutating func writeSiteLearn(_ code: ColdCode) {
        bind(code)
        tellTarget(code.x)
        a.jmp(trampolines.siteExit)
    }

    /// The rest of a call: where the callee returns to, it jumps back into the hot code.
    mutating func writeSiteCall(_ code: ColdCode) {
        bind(code)
        tellTarget(code.x)
        a.call(trampolines.siteExit)
        a.jmp(executable(code.resume))
        let entry = probe(GPR(rawValue: code.x), GPR(rawValue: code.y), GPR(rawValue: code.z))
        var miss = ColdCode(.indirectCallMiss)
        miss.jump = a.jccForward(.ne)
        miss.x = code.x
        miss.resume = code.resume
        cold.append(miss)
        a.call(entry)
        a.jmp(executable(code.resume))
    }
}
