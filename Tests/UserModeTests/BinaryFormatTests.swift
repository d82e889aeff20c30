import Testing
import Translation
import UserMode

private func guest(_ name: String, _ machine: UInt16, _ wordSize: Int, bigEndian: Bool) -> UserGuest {
    UserGuest(name: name, summary: "", machine: machine, model: DataModel(wordSize: wordSize, bigEndian: bigEndian), cpus: { [] },
              features: { [] }, makeABI: { (_: String?) throws(UserModeError) in throw UserModeError("none") })
}

/// The entries that Debian's qemu-user-binfmt has for the same guests.
@Test func magicIsDebians() {
    let riscv = BinaryFormat(guest("riscv64", 243, 8, bigEndian: false))
    #expect(riscv.registration(interpreter: "/usr/bin/apus", flags: "POCF")
        == ":apus-riscv64:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xf3\\x00"
        + ":\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/usr/bin/apus:POCF")
    let s390x = BinaryFormat(guest("s390x", 22, 8, bigEndian: true))
    #expect(Array(s390x.magic.suffix(4)) == [0, 2, 0, 22])
    #expect(Array(s390x.mask.suffix(4)) == [0xff, 0xfe, 0xff, 0xff])
    #expect(s390x.magic[5] == 2)
}

@Test func pathsThatTheKernelCannotTake() {
    let format = BinaryFormat(guest("riscv64", 243, 8, bigEndian: false))
    #expect(format.registration(interpreter: "/a:b/apus", flags: "F")?.hasPrefix("|apus-riscv64|M|") == true)
    #expect(format.registration(interpreter: "relative", flags: "F") == nil)
    #expect(format.registration(interpreter: "/a\nb", flags: "F") == nil)
    #expect(format.registration(interpreter: "/:|!%#", flags: "F") == nil)
    #expect(format.registration(interpreter: "/" + String(repeating: "x", count: 2000), flags: "F") == nil)
}

@Test func stateOfAnEntry() {
    let text = "enabled\ninterpreter /usr/bin/apus\nflags: POCF\noffset 0\nmagic 7f45\nmask ffff\n"
    #expect(BinaryFormat.State(parsing: text) == BinaryFormat.State(isEnabled: true, interpreter: "/usr/bin/apus", flags: "POCF"))
    #expect(BinaryFormat.State(parsing: "disabled\ninterpreter /x\nflags: \n")?.isEnabled == false)
    #expect(BinaryFormat.State(parsing: "") == nil)
}

@Test func kernelVersions() {
    #expect(KernelLaunch.kernelTellsBinaryFormat(release: "6.18.44-fc"))
    #expect(KernelLaunch.kernelTellsBinaryFormat(release: "5.12.0"))
    #expect(!KernelLaunch.kernelTellsBinaryFormat(release: "5.10.0-21-amd64"))
    #expect(!KernelLaunch.kernelTellsBinaryFormat(release: "4.19"))
    #expect(!KernelLaunch.kernelTellsBinaryFormat(release: "x"))
}
