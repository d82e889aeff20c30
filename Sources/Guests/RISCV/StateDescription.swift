// The registers as text, in the layout of QEMU's `-d cpu`, which leaves out the floating-point ones.

import Translation

extension RISCVGuest {
    public func describeState(of vcpu: VCPU) -> String {
        func leading(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
        func hex(_ value: UInt64) -> String {
            let digits = String(value & xlen.mask, radix: 16)
            return String(repeating: "0", count: xlen.bytes * 2 - digits.count) + digits
        }
        var text = " pc       " + hex(vcpu.pc) + "\n"
        for number in 0 ..< 32 {
            let value = number == 0 ? 0 : vcpu[UInt64.self, RISCVState.integer(number)]
            text += " " + leading("x\(number)/\(RegisterNames.integer[number])", 8) + " " + hex(value)
            if number & 3 == 3 { text += "\n" }
        }
        return text
    }
}
