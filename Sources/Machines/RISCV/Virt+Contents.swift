// What was loaded into memory, for monitors.

import Core
import Firmware

extension Virt {
    /// Names, addresses and bytes of what a reset puts back.
    public var contents: [(name: String, address: UInt64, size: UInt64)] {
        loader.contents
    }
}
