// SiFive's test finisher (`sifive,test1`): a word by which the guest ends the emulator or resets the machine.

import Core

public final class TestFinisher: Device {
    public let banks = [Bank("riscv.sifive.test", size: 0x1000, widths: 2 ... 4)]
    private let requests: MachineRequests

    public init(requests: MachineRequests) { self.requests = requests }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 { 0 }

    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        guard offset == 0 else { return }
        switch value & 0xffff {
        case 0x3333: requests.post(.powerOff(status: Int32(truncatingIfNeeded: value >> 16 & 0xffff)))
        case 0x5555: requests.post(.powerOff(status: 0))
        case 0x7777: requests.post(.reset)
        default: break
        }
    }

    public func reset() {}
    public func transfer(_ state: inout StateTransfer) throws(StateError) {}
}
