// What was loaded into memory, for monitors.

import Core
import Firmware

extension Virt {
    /// Names, addresses and bytes of what a reset puts back.
    public var contents: [(name: String, address: UInt64, size: UInt64)] {
        loaded.flatMap { image, name in image.parts.map { (name, $0.address, $0.size) } }
    }
}
