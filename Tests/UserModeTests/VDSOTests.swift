import Glibc
import Testing
import RISCV
import UserMode

@Suite struct VDSOTests {
    @Test func isAProgramTheLoaderAccepts() throws {
        let abi = RISCVLinuxABI(model: .default)
        let bytes = try #require(abi.vdso)
        let image = try ELFImage(header: Array(bytes.prefix(256)), fileSize: UInt64(bytes.count), limit: 1 << 38) { offset, count in
            Array(bytes[Int(offset)..<Int(offset) + count])
        }
        #expect(image.isPositionIndependent && image.identity.machine == 243 && image.high == 4096)
        // li a7, 139; ecall: what unwinders look for.
        let at = Int(abi.vdsoSignalReturn)
        #expect(Array(bytes[at..<at + 8]) == [0x93, 0x08, 0xb0, 0x08, 0x73, 0, 0, 0])
    }

    /// binutils must read it without a warning and find every symbol with its version.
    @Test func satisfiesReadelf() throws {
        let tool = ["/usr/bin/riscv64-linux-gnu-readelf", "/usr/bin/readelf"].first { (path: String) in access(path, X_OK) == 0 }
        guard let tool else { return }
        var name = Array("/tmp/apus-vdso-XXXXXX".utf8CString)
        let descriptor = mkstemp(&name)
        try #require(descriptor >= 0)
        let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        let bytes = try #require(RISCVLinuxABI(model: .default).vdso)
        #expect(write(descriptor, bytes, bytes.count) == bytes.count)
        close(descriptor)
        let command: String = "\(tool) -aW --dyn-syms \(path) 2>&1"
        let pipe = try #require(popen(command, "r"))
        var text = ""
        var line = [CChar](repeating: 0, count: 4096)
        while fgets(&line, 4096, pipe) != nil { text += line.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" } }
        #expect(pclose(pipe) == 0)
        for symbol in ["rt_sigreturn", "clock_gettime", "gettimeofday", "clock_getres", "getcpu", "flush_icache", "riscv_hwprobe"] {
            #expect(text.contains("__vdso_\(symbol)@@LINUX_4.15"))
        }
        #expect(!text.contains("Warning") && !text.contains("Error"))
    }

    @Test func symbolHashIsTheABIs() {
        #expect(SharedObjectWriter.hash("LINUX_2.6") == 0x03ae_75f6)
    }
}
