import Testing
import UserMode

/// Flags by name and by the numbering of each kernel flavour.
@Suite struct FlagSetTests {
    @Test func openFlagsDifferOnARM() {
        // O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_RDWR
        let generic: UInt64 = 0o2600002, arm: UInt64 = 0o2140002
        #expect(FlagSet.open.convert(generic, .generic, .arm) == arm)
        #expect(FlagSet.open.convert(arm, .arm, .x86) == generic)
        #expect(FlagSet.open.convert(generic, .generic, .x86) == generic)
    }

    @Test func everyFlagRoundTrips() {
        var wrong: [String] = []
        for flag in FlagSet.open.flags {
            let there = FlagSet.open.convert(flag.value, .generic, .arm)
            if FlagSet.open.convert(there, .arm, .generic) != flag.value { wrong.append(flag.name) }
        }
        #expect(wrong == [])
    }

    @Test func names() {
        #expect(FlagSet.open.text(0, .generic) == "O_RDONLY")
        #expect(FlagSet.open.text(0o2000101, .generic) == "O_WRONLY|O_CREAT|O_CLOEXEC")
        #expect(FlagSet.open.text(0o40000, .arm) == "O_RDONLY|O_DIRECTORY")
        #expect(FlagSet.clock.text(1, .generic) == "CLOCK_MONOTONIC")
        #expect(FlagSet.clock.text(77, .generic) == "0x4d")
        #expect(FlagSet.access.text(0, .generic) == "F_OK")
        #expect(FlagSet.access.text(5, .generic) == "R_OK|X_OK")
        #expect(FlagSet.mapping.text(0x22, .generic) == "MAP_PRIVATE|MAP_ANONYMOUS")
        #expect(FlagSet.futex.text(128 | 9, .generic) == "FUTEX_WAIT_BITSET|FUTEX_PRIVATE_FLAG")
        #expect(FlagSet.unlink.text(0, .generic) == "0")
    }
}
