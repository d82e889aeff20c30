import CHost
import Glibc

/// Opens and writes the files of `/proc` that Apus answers for (proc(5)), each as a memory file filled when it is
/// opened.
extension SystemCall {
    func openGenerated(_ file: ProcFile, flags: Int) -> SystemCallResult {
        if flags & Int(O_DIRECTORY) != 0 { return .error(ENOTDIR) }
        if flags & Int(O_CREAT) != 0 && flags & Int(O_EXCL) != 0 { return .error(EEXIST) }
        let text = ProcText(process).bytes(of: file)
        let name: StaticString = "proc"
        let descriptor = host(SYS_memfd_create, Int(bitPattern: name.utf8Start), flags & Int(O_CLOEXEC) != 0 ? 1 : 0)
        guard descriptor >= 0 else { return .value(descriptor) }
        let written = text.withUnsafeBytes { bytes in
            host(SYS_pwrite64, Int(descriptor), Int(bitPattern: bytes.baseAddress), bytes.count, 0)
        }
        guard written == Int64(text.count) else {
            _ = host(SYS_close, Int(descriptor))
            return written < 0 ? .value(written) : .error(ENOMEM)
        }
        return .value(descriptor)
    }
}

/// The texts themselves.
struct ProcText {
    let process: Process

    init(_ process: Process) { self.process = process }

    func bytes(of file: ProcFile) -> [UInt8] {
        switch file {
        case .maps: Array(MemoryMapText(process.memory).maps().utf8)
        case .smaps: Array(MemoryMapText(process.memory).details().utf8)
        case .commandLine:
            strings(process.image.argumentRange) ?? terminated(process.image.arguments)
        case .environment:
            strings(process.image.environmentRange) ?? terminated(process.image.environment)
        case .auxiliaryVector: Self.auxiliaryVector(process.image, process.abi.dataModel)
        case .status: Array(status().utf8)
        case .processorInformation:
            Array(process.abi.cpuInfo(processors: max(sysconf(Int32(_SC_NPROCESSORS_CONF)), 1)).utf8)
        }
    }

    /// What the strings are now: programs overwrite them to set their title.
    private func strings(_ range: Range<UInt64>) -> [UInt8]? {
        guard range.count > 0, range.count <= 1 << 24 else { return nil }
        return process.memory.readBytes(range.lowerBound, Int(range.upperBound &- range.lowerBound))
    }

    private func terminated(_ strings: [[UInt8]]) -> [UInt8] { strings.reduce(into: []) { $0 += $1 + [0] } }

    static func auxiliaryVector(_ image: ProgramImage, _ model: DataModel) -> [UInt8] {
        var bytes: [UInt8] = []
        for (key, value) in image.auxiliary + [(0, 0)] {
            for word in [key, value] {
                for index in 0..<model.wordSize {
                    let shift = UInt64(model.bigEndian ? model.wordSize - 1 - index : index) * 8
                    bytes.append(UInt8(truncatingIfNeeded: word >> shift))
                }
            }
        }
        return bytes
    }

    /// The host's fields with the guest's addresses: numbers as in proc_pid_stat(5).
    private func status() -> String {
        let text = String(decoding: HostFile.read("/proc/self/stat"), as: UTF8.self)
        // The second field, the name, may hold spaces and parentheses.
        guard let end = text.lastIndex(of: ")") else { return text }
        var fields = text[text.index(after: end)...].split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init)
        func set(_ number: Int, _ value: UInt64) {
            let index = number - 3
            if fields.indices.contains(index) { fields[index] = String(value) }
        }
        let image = process.image
        set(26, image.program.lowerBound)
        set(27, image.program.upperBound)
        set(28, image.stackPointer)
        set(29, 0)
        set(30, 0)
        set(47, process.memory.programBreak.start)
        set(48, image.argumentRange.lowerBound)
        set(49, image.argumentRange.upperBound)
        set(50, image.environmentRange.lowerBound)
        set(51, image.environmentRange.upperBound)
        return text[...end] + " " + fields.joined(separator: " ") + "\n"
    }
}

/// A small file of the host, read whole.
enum HostFile {
    static func read(_ path: StaticString, chunk size: Int = 65536) -> [UInt8] {
        let descriptor = apus_syscall(Int(SYS_openat), Int(AT_FDCWD), Int(bitPattern: path.utf8Start), Int(O_RDONLY | O_CLOEXEC), 0, 0, 0)
        guard descriptor >= 0 else { return [] }
        defer { _ = apus_syscall(Int(SYS_close), descriptor, 0, 0, 0, 0, 0) }
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: size)
        while true {
            let count = chunk.withUnsafeMutableBytes {
                apus_syscall(Int(SYS_read), descriptor, Int(bitPattern: $0.baseAddress), $0.count, 0, 0, 0)
            }
            guard count > 0 else { return result }
            result += chunk[..<count]
        }
    }
}
