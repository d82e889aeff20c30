// The riscv64 and riscv32 guests: RV64IMAFDC, RV32IMAFDC and the extensions of `Extensions`, by "The RISC-V Instruction Set
// Manual, Volume I: Unprivileged Architecture". Machines add the privileged architecture: see Privileged.

import IR
import Translation

/// A RISC-V CPU model as the translator sees it.
public final class RISCVGuest: Guest {
    public let model: CPUModel
    public let layout: StateLayout
    let tree: DecodeTree
    private let hasCompressed: Bool
    /// The harts have privilege modes: see `RISCVMachineGuest`.
    private let isMachine: Bool
    private let vectors: VectorConfiguration

    /// The width of the registers.
    public var xlen: XLEN { model.xlen }
    public var name: String { xlen == .rv32 ? "riscv32" : "riscv64" }
    public var minimumInstructionLength: Int { 2 }
    public var maximumInstructionLength: Int { 4 }

    public convenience init(model: CPUModel = .default) { self.init(model: model, isMachine: false) }

    /// - Parameter privileged: what a machine's harts have beyond the extensions of the model.
    init(model: CPUModel, isMachine: Bool, privileged: Extensions = []) {
        self.model = model
        self.isMachine = isMachine
        vectors = VectorConfiguration(model)
        let hasVectors = model.extensions.contains(.zve32x)
        layout = RISCVGuest.stateLayout(guestBytes: hasVectors ? RISCVState.guestBytes(vectorBytes: vectors.bytes) : 32 * 8 + RISCVState.plainRegisterBytes,
                                        beliefOffset: hasVectors ? RISCVState.vectorMode : -1, addressMask: model.xlen.mask)
        tree = DecodeTree(isMachine ? model.extensions.union(privileged).union(.privileged) : model.extensions)
        hasCompressed = model.extensions.contains(.zca)
        // The helper table is filled while there is one thread only.
        _ = Clock.helper
        _ = ModularConversion.helper
        _ = EntropySource.helper
        _ = BrainFloat.narrow
        _ = PairSwap.helper
        _ = Crossbar.bytes
        _ = Crossbar.nibbles
        AES.prepare()
        _ = VectorUnit.helper
        _ = VectorConfiguration.helper
        _ = VectorConfiguration.refresh
        SM4.prepare()
        _ = (NarrowAES.helper, BitShuffle.zip, BitShuffle.unzip)
    }

    public func translate(_ window: CodeWindow, at pc: UInt64, context: UInt64, into builder: Builder) -> DecodedInstruction {
        guard let (bits, length) = RISCVGuest.fetch(window) else { return DecodedInstruction(length: 0, flow: .end) }
        var emit = Emit(builder, pc: pc, length: length, context: context, extensions: model.extensions, vectors: vectors)
        if let pattern = tree.find(bits), hasCompressed || pc & 2 == 0 {
            let instruction = Instruction(bits)
            if isMachine {
                emit.isMachine = true
                builder.arena.pointee.mmuIndex = UInt16(truncatingIfNeeded: context >> MachineContext.indexShift & 15)
                guard emit.claimUnit(isFloat: pattern.pointee.usesFloat, isVector: pattern.pointee.usesVectors) else {
                    return DecodedInstruction(length: Int(length), flow: emit.flow)
                }
            }
            if pattern.pointee.isRounded, !emit.setRounding(instruction.rm) {
                emit.illegal()
            } else {
                pattern.pointee.meaning(&emit, instruction)
            }
        } else {
            emit.illegal()
        }
        return DecodedInstruction(length: Int(length), flow: emit.flow)
    }

    /// The encoding at the start of `window` and its length; nil if the window is too short to hold it.
    static func fetch(_ window: CodeWindow) -> (bits: UInt32, length: UInt8)? {
        guard window.count >= 2 else { return nil }
        let low = UInt32(UInt16(littleEndian: window.bytes.loadUnaligned(as: UInt16.self)))
        if low & 3 != 3 { return (low, 2) }
        guard window.count >= 4 else { return nil }
        return (UInt32(littleEndian: window.bytes.loadUnaligned(as: UInt32.self)), 4)
    }

    /// The registers that compilers use most come first: stack, arguments, saved registers, return address, temporaries.
    static func stateLayout(guestBytes: Int, beliefOffset: Int32, addressMask: UInt64) -> StateLayout { StateLayout(
        guestBytes: guestBytes,
        hotIntegers: [2, 10, 11, 12, 13, 14, 15, 8, 9, 1, 16, 17, 18, 6, 28, 5, 7, 19, 20, 21, 29, 30, 31, 22, 23, 24, 25, 26, 27, 3, 4]
            .map(RISCVState.integer),
        hotFloats: [10, 11, 12, 13, 14, 15, 16, 17, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 18, 19, 28, 29, 30, 31, 20, 21, 22, 23, 24, 25, 26, 27]
            .map(RISCVState.float), beliefOffset: beliefOffset, addressMask: addressMask) }
}
