import CHost
import Glibc

/// Where the parts of a guest's address space go, as Linux places them for a guest of its word size.
///
/// Apus's own memory (executable, heap, libraries, thread stacks, code cache) lies where the host kernel puts it:
/// above `limit`. So the two never meet, and the guest sees an address space that simply ends there.
package struct AddressLayout: Sendable {
    /// The first address that the guest can never map.
    package var limit: UInt64
    /// The end of the area in which the kernel chooses addresses unasked (RISC-V's Sv39 user space: 256 GiB).
    package var taskSize: UInt64
    /// The highest address of the main stack's area.
    package var stackTop: UInt64
    /// The top of the area for mappings without a hint.
    package var mapTop: UInt64
    /// Where position-independent programs are loaded.
    package var programBase: UInt64

    /// The lowest address handed out unasked.
    package static let lowest: UInt64 = 0x10000
    package static let page: UInt64 = 4096

    /// - Parameters:
    ///   - hostLimit: guest addresses from here on belong to Apus.
    ///   - reserved: `-R`, or 0.
    ///   - random: entropy for the placement, or 0 for the same layout every time.
    package init(wordSize: Int, hostLimit: UInt64, reserved: UInt64, stackSize: UInt64, random: UInt64) {
        let page = AddressLayout.page
        limit = hostLimit & ~(page &- 1)
        if wordSize == 4 { limit = min(limit, 0xffff_0000) }
        if reserved != 0 { limit = min(limit, max(reserved & ~(page &- 1), 0x100_0000)) }
        taskSize = min(limit, 0x40_0000_0000)
        // Small spaces get less entropy, so that programs still fit.
        let bits: UInt64 = taskSize >= 0x40_0000_0000 ? 18 : 8
        func shift(_ n: UInt64) -> UInt64 { ((random &>> (n &* 20)) & ((1 &<< bits) &- 1)) &* page }
        stackTop = taskSize &- page &- shift(0)
        let gap = min(max(stackSize &+ 0x10_0000, 0x800_0000), taskSize / 6 &* 5)
        mapTop = (stackTop &- min(gap, stackTop / 2) &- shift(1)) & ~(page &- 1)
        programBase = (taskSize / 3 &* 2 &+ shift(2)) & ~(page &- 1)
        if programBase >= mapTop { programBase = (taskSize / 3) & ~(page &- 1) }
    }

    /// The lowest address that Apus itself uses or that the host kernel may give it, rounded down generously.
    package static func hostLimit() -> UInt64 {
        let usual: UInt64 = 0x5000_0000_0000
        var lowest = UInt64(getauxval(UInt(AT_BASE)))
        if lowest == 0 { lowest = ~0 }
        // A fresh mapping tells whether the host's layout is bottom-up (unlimited stack, legacy personality).
        let probe = Glibc.mmap(nil, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if let probe, probe != MAP_FAILED {
            lowest = min(lowest, UInt64(UInt(bitPattern: probe)))
            Glibc.munmap(probe, 4096)
        }
        if lowest > usual { return usual }
        let margin: UInt64 = 1 &<< 36
        return lowest > 4 &* margin ? (lowest &- margin) & ~(margin &- 1) : lowest
    }

    /// Whether the executable itself was linked into the guest's part of the address space (not position-independent).
    package static func executableIsLow(limit: UInt64) -> Bool {
        UInt64(getauxval(UInt(AT_PHDR))) < limit
    }
}
