// The registers as text, in the layout of QEMU's `-d cpu`.

import Translation

extension RISCV64 {
    public func describeState(of vcpu: VCPU) -> String {
        func leading(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
        func hex(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        var text = " pc       " + hex(vcpu.pc) + "\n"
        func registers(_ names: [String], _ letter: String, _ value: (Int) -> UInt64) {
            for number in 0 ..< 32 {
                text += " " + leading("\(letter)\(number)/\(names[number])", 8) + " " + hex(value(number))
                if number & 3 == 3 { text += "\n" }
            }
        }
        registers(RegisterNames.integer, "x") { $0 == 0 ? 0 : vcpu[UInt64.self, RISCVState.integer($0)] }
        if model.extensions.contains(.f) {
            registers(RegisterNames.float, "f") { vcpu[UInt64.self, RISCVState.float($0)] }
            text += " fcsr     " + hex(UInt64(RISCVState.floatControl(of: vcpu))) + "\n"
        }
        return text
    }
}
