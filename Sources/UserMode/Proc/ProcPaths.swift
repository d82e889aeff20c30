import CHost
import Glibc

/// Paths as the guest must see them: the files of `/proc` that would show Apus instead of the guest, and the guest's
/// root given by `-L`.
///
/// Recognised are absolute paths in their plain spelling; a program that reaches `/proc/self/maps` through a directory
/// descriptor or a link sees the host's.

/// Files of /proc that Apus writes itself.
enum ProcFile: Sendable {
    case maps, smaps, commandLine, environment, auxiliaryVector, status, processorInformation
}

enum PathLookup {
    /// The guest's own string will do.
    case unchanged
    /// Another path stands for it.
    case replaced(HostPath)
    /// A file that Apus writes.
    case generated(ProcFile)
}

/// A path for the host kernel.
struct HostPath {
    private let bytes: [UInt8]
    init(_ path: [UInt8]) { bytes = path + [0] }
    func withPointer<R>(_ body: (Int) -> R) -> R { bytes.withUnsafeBytes { body(Int(bitPattern: $0.baseAddress)) } }
}

enum ProcPaths {
    /// What an absolute path below /proc names, if Apus answers for it.
    enum Match { case file(ProcFile), executable }

    static func match(_ path: [UInt8]) -> Match? {
        var parts = path.split(separator: UInt8(ascii: "/"))[...]
        guard parts.popFirst().map({ $0.elementsEqual("proc".utf8) }) == true, let first = parts.popFirst() else { return nil }
        if parts.isEmpty { return first.elementsEqual("cpuinfo".utf8) ? .file(.processorInformation) : nil }
        guard first.elementsEqual("self".utf8) || first.elementsEqual("thread-self".utf8) || isOwn(first) else { return nil }
        // Threads show the same files as their process.
        if parts.count == 3, let task = parts.first, task.elementsEqual("task".utf8) { parts = parts.dropFirst(2) }
        guard parts.count == 1, let last = parts.first else { return nil }
        switch String(decoding: last, as: UTF8.self) {
        case "maps": return .file(.maps)
        case "smaps": return .file(.smaps)
        case "cmdline": return .file(.commandLine)
        case "environ": return .file(.environment)
        case "auxv": return .file(.auxiliaryVector)
        case "stat": return .file(.status)
        case "exe": return .executable
        default: return nil
        }
    }

    private static func isOwn(_ component: ArraySlice<UInt8>) -> Bool {
        guard component.count <= 10 else { return false }
        var value = 0
        for digit in component {
            guard digit >= 48, digit <= 57 else { return false }
            value = value &* 10 &+ Int(digit &- 48)
        }
        return value == Int(getpid())
    }
}

extension SystemCall {
    /// What the path at `address` stands for.
    func lookUp(_ address: UInt64, follow: Bool) -> PathLookup {
        guard mayNeedTranslation(address), let path = readString(address) else { return .unchanged }
        switch ProcPaths.match(path) {
        case .file(let file): return .generated(file)
        case .executable: return follow ? .replaced(HostPath(process.image.executable)) : .unchanged
        case nil: break
        }
        guard !process.paths.root.isEmpty else { return .unchanged }
        return .replaced(HostPath(process.paths.host(path, follow: follow)))
    }

    /// Runs `body` with a host pointer to the path that the guest's at `address` stands for.
    func withPath(_ address: UInt64, follow: Bool, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        guard case .replaced(let path) = lookUp(address, follow: follow) else { return body(pointer(address)) }
        return path.withPointer(body)
    }

    /// Where the link at `address` points, if it is one that Apus answers for.
    func linkTarget(_ address: UInt64) -> [UInt8]? {
        guard mayNeedTranslation(address), let path = readString(address), case .executable = ProcPaths.match(path) else {
            return nil
        }
        return process.image.executable
    }

    /// A quick look at the first bytes: most paths are no concern of ours.
    private func mayNeedTranslation(_ address: UInt64) -> Bool {
        guard let start = UnsafeRawPointer(bitPattern: pointer(address)) else { return false }
        var failed: Int32 = 0
        guard UInt8(truncatingIfNeeded: apus_guarded_load(start, 1, &failed)) == UInt8(ascii: "/"), failed == 0 else { return false }
        if !process.paths.root.isEmpty { return true }
        let first = apus_guarded_load(start, 8, &failed)
        // "/proc", or a string so near an unreadable page that it is cheaper to read it whole.
        return failed != 0 || first & 0xff_ffff_ffff == 0x63_6f72_702f
    }
}
