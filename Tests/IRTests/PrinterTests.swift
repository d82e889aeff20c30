import IR
import Testing

/// Builds a trace in an arena of its own and hands it to `body`.
func withTrace<T>(capacity: Int = 256, _ build: (Builder) -> Void, _ body: (OpArena) -> T) -> T {
    withUnsafeTemporaryAllocation(of: OpArena.self, capacity: 1) { memory in
        memory.initializeElement(at: 0, to: OpArena(capacity: capacity))
        defer { memory[0].deallocate() }
        if let arena = memory.baseAddress { build(Builder(arena)) }
        return body(memory[0])
    }
}

@Test func printsEveryFormOfOp() {
    let text = withTrace({ x in
        x.instruction(at: 0x10078, length: 4)
        let a = x.get(-48)
        let b = x.load(a, -16, MemoryAccess(bytes: 4, signed: true))
        let c = x.load(a, 8, MemoryAccess(bytes: 2, bigEndian: true, aligned: true, atomic: true, mmuIndex: 3), .i32)
        x.store(a, 0, c, MemoryAccess(bytes: 1))
        let d = x.atomicRMW(.maxU, a, b, MemoryAccess(bytes: 4, signed: true))
        let e = x.compareAndSwap(a, expected: b, new: d, MemoryAccess(bytes: 8))
        _ = x.storeConditional(a, e, MemoryAccess(bytes: 4, aligned: true))
        x.emit(Op(.signExtend, .i64, aux: 32, e.ref))
        x.fence(.acquire)
        x.instruction(at: 0x1007c, length: 2)
        let f = e.low32 == b.low32
        let g = x.select(f, a, x.constant(-1))
        x.put(-40, g)
        let h = x.get(1536, .f64)
        let i = x.ternary(.fma, h, h, h, .f64, aux: FloatMode(.down, resident: true, negateAddend: true).rawValue)
        let j = x.unary(.floatToInt, i, .i32, aux: FloatMode(.towardZero, signed: true).rawValue)
        let k = x.binary(.fcompare, h, i, .i64, aux: FloatCompare.lessQuiet.rawValue)
        _ = x.helper(7, [.readsState, .mayFault], k, a)
        x.branch(.lessEqualS, j, c, to: 0x10100)
        x.call(0x20000, returningTo: 0x1007e)
    }, IRPrinter.text(of:))
    #expect(text == """
    ---- 0x10078 4
    %1 = get.i64 [-48]
    %2 = load.s32.i64 [%1 - 16]
    %3 = load.u16.big.aligned.atomic.mmu3.i32 [%1 + 8]
    store.u8.i32 [%1], %3
    %5 = atomicRMW.maxU.s32.i64 [%1], %2
    %6 = compareAndSwap.u64.i64 [%1], %2, %5
    %7 = storeConditional.u32.aligned.i64 [%1], %6
    %8 = signExtend.low32.i64 %6
    fence.acquire
    ---- 0x1007c 2
    %11 = truncate.i64.i32 %6
    %12 = truncate.i64.i32 %2
    %13 = compare.equal.i32 %11, %12
    %14 = const.i64 0xffffffffffffffff
    %15 = select.i64 %13, %1, %14
    put.i64 [-40], %15
    %17 = get.f64 [1536]
    %18 = fma.f64.dynamic(down).negateAddend %17, %17, %17
    %19 = floatToInt.f64.i32.towardZero.signed %18
    %20 = fcompare.lessQuiet.f64 %17, %18
    %21 = helper.readsState.mayFault 7(%20, %1)
    branch.lessEqualS.i32 %19, %3 -> 0x10100
    %23 = const.i64 0x1007e
    call 0x20000, return %23

    """)
}
