import Glibc
import RISCV
import Translation

// The options of prctl(2) that riscv adds (`Documentation/arch/riscv/vector.rst`, `cmodx.rst`). Left out: switching vectors
// off in the next program, for Apus starts that one with the processor of this.
extension RISCVLinuxABI {
    public func processControl(_ option: Int32, _ arguments: [UInt64], _ vcpu: VCPU, memory: GuestMemory) -> Int64? {
        guard arguments.count == 4 else { return nil }
        let first = arguments[0], second = arguments[1], rest = arguments[2] | arguments[3]
        switch option {
        case 74...76 where model.extensions.contains(.zicfiss):
            return second | rest == 0 ? shadowStackControl(option, first, vcpu, memory) : nil
        case 80, 81:
            // Branch landing pads are the only thing there is to control.
            return first | rest == 0 && model.extensions.contains(.zicfilp) ? landingPadControl(option, second, vcpu, memory) : nil
        case 69 where hasVectors: return setVectorControl(first, vcpu)
        case 70 where hasVectors:
            // On in this thread.
            return Int64(vcpu[UInt64.self, RISCVState.vectorPolicy] & 0x1c | 2)
        case 71:
            // Whether `fence.i` is trusted when a thread moves to another processor: Apus's reaches all of them.
            return first <= 1 && second <= 1 ? 0 : -Int64(EINVAL)
        default: return nil
        }
    }

    /// Bits 1:0 for this thread, 3:2 for programs it starts (0 the default, 1 off, 2 on), 4: those pass it on.
    private func setVectorControl(_ control: UInt64, _ vcpu: VCPU) -> Int64 {
        let now = control & 3, next = control &>> 2 & 3
        guard control & ~0x1f == 0, now != 3, next != 3 else { return -Int64(EINVAL) }
        // Vectors that are on cannot be switched off.
        if now == 1 { return -Int64(EPERM) }
        if next == 1 { return -Int64(EINVAL) }
        vcpu[UInt64.self, RISCVState.vectorPolicy] = control & 0x1c
        return 0
    }
}
