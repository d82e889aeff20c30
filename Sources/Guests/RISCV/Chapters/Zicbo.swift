// Cache-block operations: Zicboz and Zicbom, with blocks of 64 bytes. The hints of Zicbop (`ori x0, …`) are ordinary
// instructions that write x0.
//
// Management of blocks (Zicbom) is what the operating system allows a program: Linux does not (senvcfg is 0), and neither
// does QEMU's user mode.

import IR

extension Emit {
    static var cacheBlockBytes: Int64 { 64 }

    /// All stores are in one page: the first one faults or none does.
    func zeroCacheBlock(_ base: Register) {
        let block = self[base] & constant(-Emit.cacheBlockBytes), zero = constant64(0)
        for offset in stride(from: Int64(0), to: Emit.cacheBlockBytes, by: 8) {
            builder.store(block, offset, zero, MemoryAccess(bytes: 8))
        }
    }
}

extension Pattern {
    static let cacheBlocks: [Pattern] = [
        Pattern("cbo.inval (rs1)", "000000000000 ..... 010 00000 0001111", .zicbom) { x, i in x.manageCacheBlock(i, isInvalidate: true) },
        Pattern("cbo.clean (rs1)", "000000000001 ..... 010 00000 0001111", .zicbom) { x, i in x.manageCacheBlock(i) },
        Pattern("cbo.flush (rs1)", "000000000010 ..... 010 00000 0001111", .zicbom) { x, i in x.manageCacheBlock(i) },
        Pattern("cbo.zero (rs1)", "000000000100 ..... 010 00000 0001111", .zicboz) { x, i in x.zeroCacheBlock(i.rs1) },
    ]
}
