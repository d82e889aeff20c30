import CHost
import Glibc

/// Paths as the guest must see them: the files of `/proc` that would show Apus instead of the guest, and the guest's
/// root given by `-L`.
///
/// Recognised are absolute paths and those relative to a directory below `/proc`, for the process itself. A program that
/// gets there through a symbolic link of its own, or that looks at another guest's process, sees the host's.

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
        guard var parts = components(path) else { return nil }
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

    /// The names that Apus answers for, as a path may end.
    static let names = ["maps", "smaps", "cmdline", "environ", "auxv", "stat", "exe", "cpuinfo"].map { Array($0.utf8) }

    /// The path's components without `.` and `..`; nil where what `..` leads to depends on a link.
    private static func components(_ path: [UInt8]) -> ArraySlice<ArraySlice<UInt8>>? {
        var parts: [ArraySlice<UInt8>] = []
        for part in path.split(separator: UInt8(ascii: "/")) {
            if part.elementsEqual(".".utf8) { continue }
            guard part.elementsEqual("..".utf8) else {
                parts.append(part)
                continue
            }
            guard let last = parts.popLast() else { continue }
            let isLink = ["cwd", "root", "exe"].contains { last.elementsEqual($0.utf8) } || parts.last.map { $0.elementsEqual("fd".utf8) } == true
            if isLink { return nil }
        }
        return parts[...]
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
    /// What the path at `address` stands for, if relative then to the directory open as `directory`.
    func lookUp(_ address: UInt64, in directory: Int32 = AT_FDCWD, follow: Bool) -> PathLookup {
        guard mayNeedTranslation(address) else {
            guard let path = relativePath(address, directory) else { return .unchanged }
            return known(path, follow: follow) ?? .unchanged
        }
        guard let path = readString(address) else { return .unchanged }
        if let known = known(path, follow: follow) { return known }
        guard !process.paths.root.isEmpty else { return .unchanged }
        return .replaced(HostPath(process.paths.host(path, follow: follow)))
    }

    private func known(_ path: [UInt8], follow: Bool) -> PathLookup? {
        switch ProcPaths.match(path) {
        case .file(let file): .generated(file)
        case .executable: follow ? .replaced(HostPath(process.image.executable)) : .unchanged
        case nil: nil
        }
    }

    /// Runs `body` with a host pointer to the path that the guest's at `address` stands for.
    func withPath(_ address: UInt64, in directory: Int32 = AT_FDCWD, follow: Bool,
                  _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        guard case .replaced(let path) = lookUp(address, in: directory, follow: follow) else { return body(pointer(address)) }
        return path.withPointer(body)
    }

    /// Where the link at `address` points, if it is one that Apus answers for.
    func linkTarget(_ address: UInt64, in directory: Int32 = AT_FDCWD) -> [UInt8]? {
        guard let path = mayNeedTranslation(address) ? readString(address) : relativePath(address, directory),
              case .executable = ProcPaths.match(path) else { return nil }
        return process.image.executable
    }

    /// A relative path with its directory before it, if it ends as one of the names that Apus answers for and the
    /// directory lies below /proc.
    private func relativePath(_ address: UInt64, _ directory: Int32) -> [UInt8]? {
        let longest = 64
        guard let start = UnsafeRawPointer(bitPattern: pointer(address)) else { return nil }
        let length = Int(apus_guarded_string(start.assumingMemoryBound(to: CChar.self), longest))
        guard length > 2, length < longest, let path = memory.readBytes(address, length), path.first != UInt8(ascii: "/") else {
            return nil
        }
        let name = path.split(separator: UInt8(ascii: "/")).last ?? []
        guard ProcPaths.names.contains(where: { name.elementsEqual($0) }) else { return nil }
        let link = Array((directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/\(directory)").utf8) + [0]
        let place = [UInt8](unsafeUninitializedCapacity: longest) { buffer, count in
            let read = link.withUnsafeBytes { link in
                host(SYS_readlinkat, Int(AT_FDCWD), Int(bitPattern: link.baseAddress), Int(bitPattern: buffer.baseAddress), longest)
            }
            count = max(0, min(Int(read), longest))
        }
        guard place.starts(with: "/proc".utf8), place.count < longest else { return nil }
        return place + [UInt8(ascii: "/")] + path
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
