// What the device tree says of the harts, from the CPU model.

import Machines
import RISCV

extension RISCVMachineGuest {
    /// The ISA string gets the privileged extensions, in canonical order: `h` behind the other letters, S-extensions last.
    var description: HartDescription {
        var parts = model.extensions.isaString.split(separator: "_").map(String.init)
        var base = parts.removeFirst()
        if configuration.hasHypervisor { base += "h" }
        let privileged: [(String, Bool)] = [
            ("smaia", configuration.hasSmaia), ("smepmp", configuration.hasSmepmp), ("smmpm", configuration.hasSmmpm), ("smnpm", configuration.hasSmnpm), ("smrnmi", configuration.hasSmrnmi), ("smstateen", configuration.hasSmstateen), ("ssaia", configuration.hasSsaia),
            ("sscofpmf", configuration.hasSscofpmf), ("ssnpm", configuration.hasSsnpm), ("ssstateen", configuration.hasSmstateen), ("sstc", configuration.hasSstc), ("svadu", configuration.hasSvadu), ("svinval", configuration.hasSvinval),
            ("svnapot", configuration.hasSvnapot), ("svpbmt", configuration.hasSvpbmt),
        ]
        parts += privileged.filter(\.1).map(\.0)
        let letters = base.dropFirst(4).map(String.init)
        let bits = model.xlen.bits
        return HartDescription(registerBits: bits, isaString: ([base] + parts).joined(separator: "_"), extensions: letters + parts,
                               mmuType: configuration.addressBits == 0 ? "riscv,none" : "riscv,sv\(configuration.addressBits)", hasSupervisor: configuration.hasSupervisor,
                               eventCounters: configuration.hartCounters)
    }
}
