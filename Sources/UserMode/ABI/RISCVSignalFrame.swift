import RISCV
import Translation

/// The frame Linux pushes for a signal handler of riscv64 or riscv32: `struct rt_sigframe` = siginfo, then `struct ucontext`
/// (`asm/ucontext.h`, `asm/sigcontext.h`), as C libraries read it. Where the CPU has vectors, an extension record with
/// their state follows (`struct __riscv_v_ext_state`, `Documentation/arch/riscv/vector.rst`).
struct RISCVSignalFrame: Sendable {
    /// Bytes of a register.
    let word: Int
    let info = 0
    let infoSize = 128
    // Offsets from the frame's start: the context begins behind the information, with flags and a link.
    let context = 128
    let stackPointer: Int
    let stackFlags: Int
    let stackSize: Int
    let mask: Int
    /// pc, x1 … x31; behind 128 bytes for the mask, a multiple of 16.
    let registers: Int
    /// f0 … f31, fcsr; then padding up to the quad-precision state, whose last words would name an extension record.
    let floats: Int
    let floatControl: Int
    let size: Int

    init(_ xlen: XLEN) {
        word = xlen.bytes
        stackPointer = context + 2 * word
        stackFlags = stackPointer + word
        stackSize = stackFlags + word
        mask = stackSize + word
        registers = (mask + 128 + 15) & ~15
        floats = registers + 32 * word
        floatControl = floats + 256
        record = floats + 520
        size = floats + 528
    }

    /// The first extension record's magic number and size; its contents begin at `size`, where the float state ends.
    let record: Int
    static let vectorMagic: UInt32 = 0x5346_5457
    /// vstart, vl, vtype, vcsr, vlenb and a pointer to the registers.
    var vectorHeader: Int { 6 * word }
    /// What the record adds to the frame: header, registers, and the empty record that ends the list.
    func vectorSize(_ bytes: Int) -> Int { vectorHeader + 32 * bytes + 8 }

    /// The record of a thread with a shadow stack, the last: where a token lies on it.
    static let shadowMagic: UInt32 = 0x9487
    static let shadowSize = 16
}

extension RISCVState {
    /// A control register of vectors as XLEN bits: the mark of an illegal type is the last of them.
    static func control(_ slot: Int32, of vcpu: VCPU, _ xlen: XLEN) -> UInt64 {
        let value = vcpu[UInt64.self, slot]
        return xlen == .rv64 ? value : (value | value &>> 32) & 0xffff_ffff
    }
}

extension RISCVLinuxABI {
    public func pushSignalFrame(_ vcpu: VCPU, memory: GuestMemory, frame request: SignalFrameRequest) -> Bool {
        let hasShadowStack = vcpu.context & RISCVState.shadowStackIsOn != 0
        let size = frame.size + (hasVectors ? frame.vectorSize(vectorBytes) : 0) + (hasShadowStack ? RISCVSignalFrame.shadowSize : 0)
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
            func word(_ value: UInt64, _ offset: Int) {
                if xlen == .rv64 { return store(value, offset) }
                raw.storeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian, toByteOffset: offset, as: UInt32.self)
            }
            raw.copyBytes(from: request.info.prefix(frame.infoSize))
            word(request.alternateStack.0, frame.stackPointer)
            word(UInt64(request.alternateStack.2), frame.stackFlags)
            word(request.alternateStack.1, frame.stackSize)
            store(request.mask, frame.mask)
            word(vcpu.pc, frame.registers)
            for i in 1..<32 { word(vcpu[x: i], frame.registers + frame.word * i) }
            for i in 0..<32 { store(vcpu[UInt64.self, RISCVState.float(i)], frame.floats + 8 * i) }
            store(UInt64(RISCVState.floatControl(of: vcpu)), frame.floatControl)
            if hasVectors {
                store(UInt64(RISCVSignalFrame.vectorMagic) | UInt64(8 + frame.vectorHeader + 32 * vectorBytes) &<< 32, frame.record)
                let controls = [RISCVState.vectorStart, RISCVState.vectorLength, RISCVState.vectorType, RISCVState.vectorControl]
                for (i, slot) in controls.enumerated() { word(RISCVState.control(slot, of: vcpu, xlen), frame.size + frame.word * i) }
                word(UInt64(vectorBytes), frame.size + 4 * frame.word)
                word(address &+ UInt64(frame.size + frame.vectorHeader), frame.size + 5 * frame.word)
                for i in 0..<32 {
                    let target = frame.size + frame.vectorHeader + i * vectorBytes
                    UnsafeMutableRawBufferPointer(rebasing: raw[target ..< target + vectorBytes])
                        .copyMemory(from: UnsafeRawBufferPointer(RISCVState.vectorRegister(i, of: vcpu, bytes: vectorBytes)))
                }
            }
            if hasShadowStack {
                store(UInt64(RISCVSignalFrame.shadowMagic) | UInt64(RISCVSignalFrame.shadowSize) &<< 32, shadowRecord)
                store(token, shadowRecord + 8)
            }
        }
        guard memory.writeBytes(address, bytes) else { return false }
        vcpu[x: 1] = request.restorer != 0 ? request.restorer : memory.signalReturn
        vcpu[x: 2] = address
        vcpu[x: 10] = UInt64(truncatingIfNeeded: request.signal)
        vcpu[x: 11] = address &+ UInt64(frame.info)
        vcpu[x: 12] = address &+ UInt64(frame.context)
        vcpu.pc = request.handler
        return true
    }

    public func popSignalFrame(_ vcpu: VCPU, memory: GuestMemory) -> RestoredSignalFrame? {
        guard let bytes = memory.readBytes(vcpu[x: 2], frame.size) else { return nil }
        return bytes.withUnsafeBytes { raw in
            func load(_ offset: Int) -> UInt64 { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
            func word(_ offset: Int) -> UInt64 { load(offset) & xlen.mask }
            // Words after the float state that are not zero announce a record.
            let isPlain = load(frame.record) & 0xffff_ffff == UInt64(RISCVSignalFrame.shadowMagic)
            guard load(frame.floats + 516) & 0xffff_ffff == 0, isPlain || restoreVectors(vcpu, memory, record: load(frame.record)),
                  restoreShadowStack(vcpu, memory, follows: load(frame.record) != 0) else { return nil }
            vcpu.pc = word(frame.registers) & ~1
            for i in 1..<32 { vcpu[x: i] = word(frame.registers + frame.word * i) }
            for i in 0..<32 { vcpu[UInt64.self, RISCVState.float(i)] = load(frame.floats + 8 * i) }
            // Bits beyond frm and fflags do not exist; an invalid frm stays, as in the register itself.
            RISCVState.setFloatControl(UInt32(truncatingIfNeeded: load(frame.floatControl)) & 0xff, of: vcpu)
            vcpu[UInt64.self, StateHeader.reservationAddress] = ~0
            return RestoredSignalFrame(mask: load(frame.mask),
                                       alternateStack: (word(frame.stackPointer), word(frame.stackSize),
                                                        UInt32(truncatingIfNeeded: word(frame.stackFlags))))
        }
    }

    /// Where the record of the shadow stack stands in a frame: behind that of vectors, if this machine has them.
    private var shadowRecord: Int { hasVectors ? frame.size + frame.vectorSize(vectorBytes) - 8 : frame.record }

    /// Takes the token of a thread with a shadow stack back; false if it is not there. A frame without records has none.
    private func restoreShadowStack(_ vcpu: VCPU, _ memory: GuestMemory, follows: Bool) -> Bool {
        let at = vcpu[x: 2] &+ UInt64(shadowRecord)
        guard vcpu.context & RISCVState.shadowStackIsOn != 0, follows, let header = memory.read(at, as: UInt64.self),
              header == UInt64(RISCVSignalFrame.shadowMagic) | UInt64(RISCVSignalFrame.shadowSize) &<< 32 else { return true }
        guard let token = memory.read(at &+ 8, as: UInt64.self) else { return false }
        return popShadowToken(token, vcpu, memory)
    }

    /// Restores vector state from the extension record whose first words are `record`; false if this machine cannot hold it.
    private func restoreVectors(_ vcpu: VCPU, _ memory: GuestMemory, record: UInt64) -> Bool {
        guard record != 0 else { return true }
        let expected = 8 + frame.vectorHeader + 32 * vectorBytes
        guard hasVectors, record & 0xffff_ffff == UInt64(RISCVSignalFrame.vectorMagic), record &>> 32 == UInt64(expected),
              let bytes = memory.readBytes(vcpu[x: 2] &+ UInt64(frame.size), frame.vectorHeader) else { return false }
        let fields = bytes.withUnsafeBytes { raw in
            (0..<6).map { field in
                xlen == .rv64 ? UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: 8 * field, as: UInt64.self))
                    : UInt64(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 * field, as: UInt32.self)))
            }
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
