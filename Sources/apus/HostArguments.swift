import Glibc

/// The command line as the kernel gave it: bytes, not text. Swift's own view replaces what is not UTF-8.
enum HostArguments {
    /// The last `count` arguments.
    static func last(_ count: Int) -> [[UInt8]] {
        let all = Int(CommandLine.argc)
        guard count > 0, count <= all else { return [] }
        return (all - count ..< all).map { index in CommandLine.unsafeArgv[index].map { bytes($0) } ?? [] }
    }

    /// A C string's bytes without the terminating zero.
    static func bytes(_ string: UnsafePointer<CChar>) -> [UInt8] {
        let count = strlen(string)
        return (0 ..< count).map { UInt8(bitPattern: string[$0]) }
    }
}
