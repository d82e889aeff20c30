import RISCV
import Translation

/// The frame Linux pushes for a riscv64 signal handler: `struct rt_sigframe` = siginfo, then `struct ucontext`
/// (`asm/ucontext.h`, `asm/sigcontext.h`), as C libraries read it. Where the CPU has vectors, an extension record with
/// their state follows (`struct __riscv_v_ext_state`, `Documentation/arch/riscv/vector.rst`).
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

    /// The first extension record's magic number and size; its contents begin at `size`, where the float state ends.
    static let record = floats + 520
    static let vectorMagic: UInt32 = 0x5346_5457
    /// vstart, vl, vtype, vcsr, vlenb and a pointer to the registers.
    static let vectorHeader = 48
    /// What the record adds to the frame: header, registers, and the empty record that ends the list.
    static func vectorSize(_ bytes: Int) -> Int { vectorHeader + 32 * bytes + 8 }

    /// The record of a thread with a shadow stack, the last: where a token lies on it.
    static let shadowMagic: UInt32 = 0x9487
    static let shadowSize = 16
}

extension RISCV64LinuxABI {
    public func pushSignalFrame(_ vcpu: VCPU, memory: GuestMemory, frame request: SignalFrameRequest) -> Bool {
        typealias Frame = RISCV64SignalFrame
        let hasShadowStack = vcpu.context & RISCVState.shadowStackIsOn != 0
        let size = Frame.size + (hasVectors ? Frame.vectorSize(vectorBytes) : 0) + (hasShadowStack ? Frame.shadowSize : 0)
        let address = (request.stack &- UInt64(size)) & ~15
        guard address < request.stack else { return false }
        var token: UInt64 = 0
        if hasShadowStack {
            guard let pushed = pushShadowToken(vcpu, memory) else { return false }
            token = pushed
        }
        var bytes = [UInt8](repeating: 0, count: size)
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
            if hasVectors {
                store(UInt64(Frame.vectorMagic) | UInt64(8 + Frame.vectorHeader + 32 * vectorBytes) &<< 32, Frame.record)
                store(vcpu[UInt64.self, RISCVState.vectorStart], Frame.size)
                store(vcpu[UInt64.self, RISCVState.vectorLength], Frame.size + 8)
                store(vcpu[UInt64.self, RISCVState.vectorType], Frame.size + 16)
                store(vcpu[UInt64.self, RISCVState.vectorControl], Frame.size + 24)
                store(UInt64(vectorBytes), Frame.size + 32)
                store(address &+ UInt64(Frame.size + Frame.vectorHeader), Frame.size + 40)
                for i in 0..<32 {
                    let target = Frame.size + Frame.vectorHeader + i * vectorBytes
                    UnsafeMutableRawBufferPointer(rebasing: raw[target ..< target + vectorBytes])
                        .copyMemory(from: UnsafeRawBufferPointer(RISCVState.vectorRegister(i, of: vcpu, bytes: vectorBytes)))
                }
            }
        }
        if hasShadowStack {
            bytes.withUnsafeMutableBytes { raw in
                let at = shadowRecord
                raw.storeBytes(of: (UInt64(Frame.shadowMagic) | UInt64(Frame.shadowSize) &<< 32).littleEndian, toByteOffset: at, as: UInt64.self)
                raw.storeBytes(of: token.littleEndian, toByteOffset: at + 8, as: UInt64.self)
            }
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
            // Words after the float state that are not zero announce a record.
            let isPlain = load(Frame.record) & 0xffff_ffff == UInt64(Frame.shadowMagic)
            guard load(Frame.floats + 516) & 0xffff_ffff == 0, isPlain || restoreVectors(vcpu, memory, record: load(Frame.record)),
                  restoreShadowStack(vcpu, memory, follows: load(Frame.record) != 0) else { return nil }
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

    /// Where the record of the shadow stack stands in a frame: behind that of vectors, if this machine has them.
    private var shadowRecord: Int { hasVectors ? RISCV64SignalFrame.size + RISCV64SignalFrame.vectorSize(vectorBytes) - 8 : RISCV64SignalFrame.record }

    /// Takes the token of a thread with a shadow stack back; false if it is not there. A frame without records has none.
    private func restoreShadowStack(_ vcpu: VCPU, _ memory: GuestMemory, follows: Bool) -> Bool {
        guard vcpu.context & RISCVState.shadowStackIsOn != 0, follows, let header = memory.read(vcpu[x: 2] &+ UInt64(shadowRecord), as: UInt64.self),
              header == UInt64(RISCV64SignalFrame.shadowMagic) | UInt64(RISCV64SignalFrame.shadowSize) &<< 32 else { return true }
        guard let token = memory.read(vcpu[x: 2] &+ UInt64(shadowRecord) &+ 8, as: UInt64.self) else { return false }
        return popShadowToken(token, vcpu, memory)
    }

    /// Restores vector state from the extension record whose first words are `record`; false if this machine cannot hold it.
    private func restoreVectors(_ vcpu: VCPU, _ memory: GuestMemory, record: UInt64) -> Bool {
        typealias Frame = RISCV64SignalFrame
        guard record != 0 else { return true }
        let expected = 8 + Frame.vectorHeader + 32 * vectorBytes
        guard hasVectors, record & 0xffff_ffff == UInt64(Frame.vectorMagic), record &>> 32 == UInt64(expected),
              let bytes = memory.readBytes(vcpu[x: 2] &+ UInt64(Frame.size), Frame.vectorHeader) else { return false }
        let fields = bytes.withUnsafeBytes { raw in
            (0..<6).map { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self)) }
        }
        // The registers are where the pointer says, as the kernel has it.
        guard let registers = memory.readBytes(fields[5], 32 * vectorBytes) else { return false }
        registers.withUnsafeBytes { raw in
            for i in 0..<32 {
                RISCVState.vectorRegister(i, of: vcpu, bytes: vectorBytes)
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[i * vectorBytes ..< (i + 1) * vectorBytes]))
            }
        }
        RISCVState.setVectors(of: vcpu, length: fields[1], type: fields[2], start: fields[0], control: fields[3], bytes: vectorBytes)
        return true
    }
}
