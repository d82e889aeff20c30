import RISCV
import Translation

/// The frame Linux pushes for a riscv64 signal handler: `struct rt_sigframe` = siginfo, then `struct ucontext`
/// (`asm/ucontext.h`, `asm/sigcontext.h`), as C libraries read it. No extension records follow the float state.
enum RISCV64SignalFrame {
    static let info = 0
    static let infoSize = 128
    /// Offsets from the frame's start.
    static let context = 128
    static let flags = context
    static let link = context + 8
    static let stackPointer = context + 16
    static let stackFlags = context + 24
    static let stackSize = context + 32
    static let mask = context + 40
    /// pc, x1 … x31.
    static let registers = context + 176
    /// f0 … f31, fcsr; then padding up to the quad-precision state, whose last words would name an extension record.
    static let floats = registers + 256
    static let floatControl = floats + 256
    static let size = floats + 528
}

extension RISCV64LinuxABI {
    public func pushSignalFrame(_ vcpu: VCPU, memory: GuestMemory, frame request: SignalFrameRequest) -> Bool {
        typealias Frame = RISCV64SignalFrame
        let address = (request.stack &- UInt64(Frame.size)) & ~15
        guard address < request.stack else { return false }
        var bytes = [UInt8](repeating: 0, count: Frame.size)
        bytes.withUnsafeMutableBytes { raw in
            func store(_ value: UInt64, _ offset: Int) { raw.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt64.self) }
            raw.copyBytes(from: request.info.prefix(Frame.infoSize))
            store(request.alternateStack.0, Frame.stackPointer)
            store(UInt64(request.alternateStack.2), Frame.stackFlags)
            store(request.alternateStack.1, Frame.stackSize)
            store(request.mask, Frame.mask)
            store(vcpu.pc, Frame.registers)
            for i in 1..<32 { store(vcpu[x: i], Frame.registers + 8 * i) }
            for i in 0..<32 { store(vcpu[UInt64.self, RISCVState.float(i)], Frame.floats + 8 * i) }
            store(UInt64(RISCVState.floatControl(of: vcpu)), Frame.floatControl)
        }
        guard memory.writeBytes(address, bytes) else { return false }
        vcpu[x: 1] = request.restorer != 0 ? request.restorer : memory.signalReturn
        vcpu[x: 2] = address
        vcpu[x: 10] = UInt64(truncatingIfNeeded: request.signal)
        vcpu[x: 11] = address &+ UInt64(Frame.info)
        vcpu[x: 12] = address &+ UInt64(Frame.context)
        vcpu.pc = request.handler
        return true
    }

    public func popSignalFrame(_ vcpu: VCPU, memory: GuestMemory) -> RestoredSignalFrame? {
        typealias Frame = RISCV64SignalFrame
        guard let bytes = memory.readBytes(vcpu[x: 2], Frame.size) else { return nil }
        return bytes.withUnsafeBytes { raw in
            func load(_ offset: Int) -> UInt64 { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
            // Words after the float state that are not zero announce a record this machine cannot hold.
            guard load(Frame.floats + 516) & 0xffff_ffff == 0, load(Frame.floats + 520) == 0 else { return nil }
            vcpu.pc = load(Frame.registers) & ~1
            for i in 1..<32 { vcpu[x: i] = load(Frame.registers + 8 * i) }
            for i in 0..<32 { vcpu[UInt64.self, RISCVState.float(i)] = load(Frame.floats + 8 * i) }
            // Bits beyond frm and fflags do not exist; an invalid frm stays, as in the register itself.
            RISCVState.setFloatControl(UInt32(truncatingIfNeeded: load(Frame.floatControl)) & 0xff, of: vcpu)
            vcpu[UInt64.self, StateHeader.reservationAddress] = ~0
            return RestoredSignalFrame(mask: load(Frame.mask),
                                       alternateStack: (load(Frame.stackPointer), load(Frame.stackSize),
                                                        UInt32(truncatingIfNeeded: load(Frame.stackFlags))))
        }
    }
}
