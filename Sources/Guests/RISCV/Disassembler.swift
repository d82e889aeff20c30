// stub
import Translation
extension RISCV64 {
    public func disassemble(_ window: CodeWindow, at pc: UInt64) -> (text: String, length: Int) { ("", 4) }
    public func describeState(of vcpu: VCPU) -> String { "" }
}
