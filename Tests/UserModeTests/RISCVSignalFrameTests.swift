import Glibc
import Host
import RISCV
import Testing
import Translation
import UserMode

@Suite struct RISCVSignalFrameTests {
    @Test func registersSurviveARoundTrip() throws {
        HostFaults.install()
        let abi = RISCVLinuxABI(model: .default)
        let memory = GuestMemory(layout: AddressLayout(wordSize: 8, hostLimit: AddressLayout.hostLimit(), reserved: 0, stackSize: 8 << 20, random: 0))
        let area: UInt64 = 0x1100_0000_0000
        try #require(memory.mmap(area, 0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == Int64(area))
        defer { _ = memory.munmap(area, 0x4000) }
        let vcpu = VCPU(layout: abi.guest.layout)
        abi.start(vcpu, entry: 0x1_2344, stack: area &+ 0x3ff0)
        for i in 3..<32 { vcpu[UInt64.self, RISCVState.integer(i)] = UInt64(i) &* 0x0101_0101_0101 }
        for i in 0..<32 { vcpu[UInt64.self, RISCVState.float(i)] = ~UInt64(i) }
        RISCVState.setFloatControl(0xf5, of: vcpu)
        let before = VCPU(layout: abi.guest.layout)
        before.copyGuestState(from: vcpu)

        let request = SignalFrameRequest(signal: 11, handler: 0x5000, restorer: 0x6000, info: [UInt8](1...128), mask: 0x1234,
                                         stack: area &+ 0x3ff0, alternateStack: (7, 8, 2))
        #expect(abi.pushSignalFrame(vcpu, memory: memory, frame: request))
        let frame = abi.stackPointer(of: vcpu)
        #expect(frame % 16 == 0 && vcpu.pc == 0x5000 && vcpu[UInt64.self, RISCVState.integer(1)] == 0x6000)
        #expect(vcpu[UInt64.self, RISCVState.integer(10)] == 11)
        #expect(vcpu[UInt64.self, RISCVState.integer(11)] == frame && vcpu[UInt64.self, RISCVState.integer(12)] == frame &+ 128)
        #expect(memory.readBytes(frame, 128) == [UInt8](1...128))
        // The offsets C libraries know: uc_sigmask 40, uc_mcontext 176, fcsr 176 + 512.
        #expect(memory.read(frame &+ 128 &+ 40, as: UInt64.self) == 0x1234)
        #expect(memory.read(frame &+ 128 &+ 176, as: UInt64.self) == 0x1_2344)
        #expect(memory.read(frame &+ 128 &+ 176 &+ 512, as: UInt32.self) == 0xf5)

        for i in 1..<32 where i != 2 { vcpu[UInt64.self, RISCVState.integer(i)] = 0 }
        for i in 0..<32 { vcpu[UInt64.self, RISCVState.float(i)] = 0 }
        RISCVState.setFloatControl(0, of: vcpu)
        let restored = try #require(abi.popSignalFrame(vcpu, memory: memory))
        #expect(restored.mask == 0x1234 && restored.alternateStack == (7, 8, 2))
        #expect(vcpu.pc == before.pc && RISCVState.floatControl(of: vcpu) == 0xf5)
        let same = (1..<32).allSatisfy { vcpu[UInt64.self, RISCVState.integer($0)] == before[UInt64.self, RISCVState.integer($0)] }
            && (0..<32).allSatisfy { vcpu[UInt64.self, RISCVState.float($0)] == before[UInt64.self, RISCVState.float($0)] }
        #expect(same)
        // No stack, no frame.
        #expect(!abi.pushSignalFrame(vcpu, memory: memory, frame: SignalFrameRequest(
            signal: 11, handler: 0, restorer: 0, info: [], mask: 0, stack: area, alternateStack: (0, 0, 2))))
        #expect(!abi.pushSignalFrame(vcpu, memory: memory, frame: SignalFrameRequest(
            signal: 11, handler: 0, restorer: 0, info: [], mask: 0, stack: 8, alternateStack: (0, 0, 2))))
    }
}
