// What an engine must get right in a machine, on each engine.

import Core
import Glibc
import IR
import Testing
import Translated
import Translation

@Suite(.serialized) struct MachineTests {
    /// x10 = the sum of 1 to 1000, stored at 0x1000.
    @Test(arguments: EngineKind.allCases) func runsALoop(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        machine.put([
            Code.addi(5, 0, 1000), Code.add(10, 10, 5), Code.addi(5, 5, -1), Code.bne(5, 0, -8),
            Code.lui(6, 0x80001), Code.slli(6, 6, 32), Code.i(0x13, 5, 6, 6, 32), Code.sd(10, 6, 0), Code.ld(11, 6, 0), Code.lw(12, 6, 4), Code.ecall,
        ], at: 0)
        machine.run()
        #expect(machine.register(10) == 500_500)
        #expect(machine.register(11) == 500_500)
        #expect(machine.word(0x1000) == 500_500)
        #expect(machine.guest.traps.withLock { $0.isEmpty })
    }

    @Test(arguments: EngineKind.allCases) func reachesDevices(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        machine.put([
            Code.lui(6, 0x10000), Code.addi(7, 0, 77), Code.sw(7, 6, 0x20), Code.sd(7, 6, 0x28), Code.lbu(10, 6, 3), Code.lw(11, 6, 0x40),
            Code.fld(0, 6, 0x48), Code.fsd(0, 6, 0x50), Code.addi(12, 10, 1), Code.ecall,
        ], at: 0)
        machine.run()
        let stores = machine.device.stores.withLock { $0 }
        #expect(stores.map(\.offset) == [0x20, 0x28, 0x50])
        #expect(stores.map(\.width) == [4, 8, 8])
        #expect(stores.map(\.value) == [77, 77, 0xABCD_0048])
        #expect(machine.register(10) == 3)
        #expect(machine.register(11) == UInt64(bitPattern: Int64(Int32(bitPattern: 0xABCD_0040))))
        #expect(machine.register(12) == 4)
    }

    /// A load where nothing answers, a store where nothing is mapped: exact, with nothing changed.
    @Test(arguments: EngineKind.allCases) func faultsExactly(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        machine.put([Code.lui(6, 0x20000), Code.addi(10, 0, 5), Code.ld(10, 6, 8), Code.addi(10, 0, 6), Code.ecall], at: 0)
        machine.run()
        #expect(machine.register(10) == 5)
        #expect(machine.register(30) == 0x8000_0008)
        #expect(machine.register(31) == UInt64(ExitReason.memoryFault.rawValue))
        #expect(machine.guest.traps.withLock { $0.map(\.address) } == [0x2000_0008])
    }

    /// Accesses and an instruction across two pages that are not neighbours in memory.
    @Test(arguments: EngineKind.allCases) func crossesPages(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        let all: AccessRights = [.load, .store, .fetch]
        machine.guest.pages.withLock {
            $0 = [0x8000_0000: .init(physical: 0x8000_0000, rights: all), 0x4000: .init(physical: 0x8000_9000, rights: all),
                  0x5000: .init(physical: 0x8000_3000, rights: all)]
        }
        // `addi x11, x0, 99` begins two bytes before the end of page 0x4000.
        let word = Code.addi(11, 0, 99)
        _ = machine.space.write(0x8000_9FFE, UInt64(word & 0xFFFF), width: 2)
        _ = machine.space.write(0x8000_3000, UInt64(word >> 16), width: 2)
        // Behind it, at 0x5002, is `ecall`.
        machine.put([Code.lui(6, 5), Code.ld(10, 6, -3), Code.addi(5, 6, -2), Code.jalr(0, 5, 0)], at: 0)
        _ = machine.space.write(0x8000_3002, UInt64(Code.ecall), width: 4)
        machine.run()
        #expect(machine.register(10) >> 8 == UInt64(word) | UInt64(Code.ecall & 0xFFFF) << 32 | UInt64(Code.ecall >> 16) << 48)
        #expect(machine.register(11) == 99)

        // The second page becomes another one: the same bytes of the first half mean something else.
        _ = machine.space.write(0x8000_6000, UInt64(Code.addi(11, 0, 55) >> 16), width: 2)
        _ = machine.space.write(0x8000_6002, UInt64(Code.ecall), width: 4)
        machine.guest.pages.withLock { $0?[0x5000]?.physical = 0x8000_6000 }
        machine.set[0].mmu.flush(page: 0x5000)
        machine.restart(at: 0)
        machine.run()
        #expect(machine.register(11) == 55)
        // And is gone.
        machine.guest.pages.withLock { _ = $0?.removeValue(forKey: 0x5000) }
        machine.set[0].mmu.flush(page: 0x5000)
        machine.set[0].vcpu.pc = 0x4FFE
        machine.run()
        #expect(machine.register(30) == 0x4FFE)
        #expect(machine.guest.traps.withLock { $0.last.map(\.reason) } == .fetchFault)
        #expect(machine.guest.traps.withLock { $0.last.map(\.address) } == 0x5000)
    }

    /// Data across pages of which the second may not be written.
    @Test(arguments: EngineKind.allCases) func crossingStoresFaultBeforeAnythingIsStored(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        machine.guest.pages.withLock {
            $0 = [0x8000_0000: .init(physical: 0x8000_0000, rights: [.load, .store, .fetch]), 0x4000: .init(physical: 0x8000_9000, rights: [.load, .store]),
                  0x5000: .init(physical: 0x8000_3000, rights: [.load])]
        }
        machine.put([Code.lui(6, 5), Code.addi(7, 0, -1), Code.ld(10, 6, -4), Code.sd(7, 6, -4), Code.ecall], at: 0)
        machine.setWord(0x9FF8, 0x1111_1111_1111_1111)
        machine.setWord(0x3000, 0x2222_2222_2222_2222)
        machine.run()
        #expect(machine.register(10) == 0x2222_2222_1111_1111)
        #expect(machine.register(30) == 0x8000_000C)
        #expect(machine.word(0x9FF8) == 0x1111_1111_1111_1111)
        #expect(machine.word(0x3000) == 0x2222_2222_2222_2222)
        #expect(machine.guest.traps.withLock { $0.last.map(\.address) } == 0x5000)
    }

    /// Links between blocks on different pages, and indirect jumps, follow a change of the mapping.
    @Test(arguments: EngineKind.allCases) func remapsWhileChained(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        let all: AccessRights = [.load, .store, .fetch]
        machine.guest.pages.withLock {
            $0 = [0x8000_0000: .init(physical: 0x8000_0000, rights: all), 0x8000_1000: .init(physical: 0x8000_1000, rights: all)]
        }
        // A loop that calls a function on the next page, by a direct call and through a register.
        machine.put([
            Code.addi(5, 0, 100), Code.addi(10, 0, 0), Code.lui(6, 0x80001), Code.slli(6, 6, 32), Code.i(0x13, 5, 6, 6, 32),
            Code.jal(1, 0x1000 - 0x14), Code.jalr(1, 6, 0), Code.addi(5, 5, -1), Code.bne(5, 0, -12), Code.ecall,
        ], at: 0)
        machine.put([Code.addi(10, 10, 1), Code.ret], at: 0x1000)
        machine.put([Code.addi(10, 10, 3), Code.ret], at: 0x2000)
        machine.run()
        #expect(machine.register(10) == 200)
        machine.guest.pages.withLock { $0?[0x8000_1000]?.physical = 0x8000_2000 }
        machine.set[0].mmu.flush(page: 0x8000_1000)
        machine.restart(at: 0)
        machine.run()
        #expect(machine.register(10) == 600)
        machine.guest.pages.withLock { $0?[0x8000_1000]?.physical = 0x8000_1000 }
        machine.set[0].mmu.flush()
        machine.restart(at: 0)
        machine.run()
        #expect(machine.register(10) == 200)
    }

    /// A return to a page whose mapping changed while the function ran.
    @Test(arguments: EngineKind.allCases) func returnsToTheMappingThatHolds(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        let all: AccessRights = [.load, .store, .fetch]
        machine.guest.pages.withLock {
            $0 = [0x8000_0000: .init(physical: 0x8000_0000, rights: all), 0x8000_1000: .init(physical: 0x8000_1000, rights: all),
                  0x1000_0000: .init(physical: 0x1000_0000, rights: [.load, .store])]
        }
        let guest = machine.guest, set = machine.set
        machine.device.onRead.withLock {
            $0 = {
                guest.pages.withLock { $0?[0x8000_1000]?.physical = 0x8000_2000 }
                set[0].perform { _ in set[0].mmu.flush(page: 0x8000_1000) }
            }
        }
        machine.put([Code.lui(7, 0x10000), Code.lui(6, 0x80001), Code.slli(6, 6, 32), Code.i(0x13, 5, 6, 6, 32), Code.jalr(0, 6, 0)], at: 0)
        machine.put([Code.jal(1, -0x1000 + 0x40), Code.addi(10, 0, 1), Code.ecall], at: 0x1000)
        machine.put([Code.jal(1, -0x1000 + 0x40), Code.addi(10, 0, 2), Code.ecall], at: 0x2000)
        machine.put([Code.lw(8, 7, 0x100), Code.addi(8, 8, 0), Code.addi(8, 8, 0), Code.ret], at: 0x40)
        machine.run()
        #expect(machine.register(10) == 2)
    }

    /// A function that the program changes, with `fence.i`; and data that stands beside code.
    @Test(arguments: EngineKind.allCases) func seesItsOwnStoresToCode(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        machine.setWord(0x2000, UInt64(Code.addi(10, 10, 7)) | UInt64(Code.ret) << 32)
        machine.put([
            Code.lui(6, 0x80001), Code.slli(6, 6, 32), Code.i(0x13, 5, 6, 6, 32), Code.lui(7, 1), Code.add(7, 7, 6), Code.ld(8, 7, 0),
            Code.addi(5, 0, 50), Code.jalr(1, 6, 0), Code.addi(5, 5, -1), Code.sd(5, 6, 0x400), Code.bne(5, 0, -12),
            Code.sd(8, 6, 0), Code.fenceI, Code.jalr(1, 6, 0), Code.ecall,
        ], at: 0)
        machine.put([Code.addi(10, 10, 1), Code.ret], at: 0x1000)
        machine.run()
        #expect(machine.register(10) == 57)
        #expect(machine.word(0x1400) == 0)
        // A device writes code by itself.
        machine.put([Code.addi(10, 10, 100), Code.ret], at: 0x1000)
        machine.setWord(0x2000, UInt64(Code.addi(10, 10, 100)) | UInt64(Code.ret) << 32)
        machine.set[0].vcpu[UInt64.self, -128 + 8 * 10] = 0
        machine.restart(at: 0)
        machine.run()
        #expect(machine.register(10) == 5100)
    }

    @Test(arguments: EngineKind.allCases) func doesAtomics(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind)
        machine.setWord(0x1000, 40)
        machine.put([
            Code.lui(6, 0x80001), Code.slli(6, 6, 32), Code.i(0x13, 5, 6, 6, 32), Code.addi(7, 0, 2), Code.amoaddD(10, 7, 6), Code.addi(8, 0, 100),
            Code.amomaxD(11, 8, 6), Code.lrD(12, 6), Code.addi(13, 12, 1), Code.scD(14, 13, 6), Code.scD(15, 7, 6),
            Code.lrD(16, 6), Code.sd(8, 6, 0), Code.scD(17, 7, 6), Code.addi(6, 6, 4), Code.amoaddD(18, 7, 6), Code.ecall,
        ], at: 0)
        machine.run()
        #expect(machine.register(10) == 40)
        #expect(machine.register(11) == 42)
        #expect(machine.register(12) == 100)
        #expect(machine.register(14) == 0)
        #expect(machine.register(15) == 1)
        #expect(machine.register(16) == 101)
        #expect(machine.register(17) == 1)
        #expect(machine.word(0x1000) == 100)
        #expect(machine.register(31) == UInt64(ExitReason.misaligned.rawValue))
        #expect(machine.set[0].vcpu[UInt32.self, StateHeader.faultCode] == UInt32(AccessKind.store.rawValue))
        #expect(machine.guest.traps.withLock { $0.last.map(\.address) } == 0x8000_1004)
    }

    /// Four vCPUs add to one word, each in its own loop.
    @Test(arguments: EngineKind.allCases, [true, false]) func sharesMemory(_ kind: EngineKind, _ isThreaded: Bool) throws {
        let machine = try BareMachine(kind, vcpus: 4, isThreaded: isThreaded)
        machine.put([
            Code.lui(6, 0x80001), Code.slli(6, 6, 32), Code.i(0x13, 5, 6, 6, 32), Code.lui(5, 5), Code.addi(7, 0, 1),
            Code.amoaddD(0, 7, 6), Code.lrD(12, 6), Code.addi(12, 12, 1), Code.scD(13, 12, 6), Code.bne(13, 0, -12), Code.addi(5, 5, -1),
            Code.bne(5, 0, -24), Code.ecall,
        ], at: 0)
        machine.run(calls: 4)
        #expect(machine.word(0x1000) == 4 * 2 * (5 << 12))
    }

    /// A loop without end notices an interrupt soon; so does a vCPU that sleeps.
    @Test(arguments: EngineKind.allCases, [true, false]) func isInterrupted(_ kind: EngineKind, _ sleeps: Bool) throws {
        let machine = try BareMachine(kind)
        machine.put(sleeps ? [Code.wfi, Code.jal(0, -4)] : [Code.addi(5, 5, 1), Code.addi(6, 6, 1), Code.jal(0, -8)], at: 0)
        #expect(machine.set.start())
        usleep(20_000)
        let clock = ContinuousClock()
        let took = clock.measure {
            machine.run {
                machine.guest.pending.store(true, ordering: .sequentiallyConsistent)
                machine.set[0].requestInterrupt()
            }
        }
        #expect(machine.register(31) == 1000)
        // x30 is exact: x5 and x6 say which instruction comes next.
        if !sleeps { #expect(machine.register(5) - machine.register(6) == (machine.register(30) == 0x8000_0004 ? 1 : 0)) }
        #expect(took < .milliseconds(500))
    }

    /// Pages that one vCPU takes from the others, as a kernel does: none of them ever stores to the old page afterwards.
    @Test(arguments: EngineKind.allCases) func shootsDown(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind, vcpus: 3)
        let all: AccessRights = [.load, .store, .fetch]
        machine.guest.pages.withLock {
            $0 = [0x8000_0000: .init(physical: 0x8000_0000, rights: all), 0x4000: .init(physical: 0x8001_0000, rights: all)]
        }
        machine.put([Code.lui(6, 4), Code.addi(7, 7, 1), Code.sd(7, 6, 0), Code.jal(0, -8)], at: 0)
        #expect(machine.set.start())
        for round in 0 ..< 50 {
            let old = UInt64(round & 1) << 12, new = UInt64(~round & 1) << 12
            machine.guest.pages.withLock { $0?[0x4000]?.physical = 0x8001_0000 | new }
            for processor in machine.set.processors { processor.performAndWait { _ in processor.mmu.flush(page: 0x4000) } }
            let before = machine.word(0x10000 + old)
            usleep(300)
            #expect(machine.word(0x10000 + old) == before)
        }
        machine.set.pause()
        #expect(machine.register(7, 0) > 1000)
        #expect(machine.register(7, 2) > 1000)
    }

    @Test(arguments: EngineKind.allCases) func pausesAndResets(_ kind: EngineKind) throws {
        let machine = try BareMachine(kind, vcpus: 2)
        machine.put([Code.addi(5, 5, 1), Code.jal(0, -4)], at: 0)
        #expect(machine.set.start(paused: true))
        #expect(machine.register(5) == 0)
        machine.set.resume()
        usleep(20_000)
        machine.set.pause()
        let first = machine.register(5)
        #expect(first > 0)
        usleep(5000)
        #expect(machine.register(5) == first)
        machine.set[1].performAndWait { $0[UInt64.self, -128 + 8 * 9] = 9 }
        #expect(machine.register(9, 1) == 9)
        machine.set.reset()
        machine.set[0].performAndWait { _ in }
        #expect(machine.register(5) == 0)
        machine.set.resume()
        usleep(20_000)
        machine.set.stop()
        #expect(machine.register(5) > 0)
    }
}
