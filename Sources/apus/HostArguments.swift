import CHost
import Glibc

/// The command line as the kernel gave it: bytes, not text. Swift's own view replaces what is not UTF-8.
enum HostArguments {
    /// The last `count` arguments.
    static func last(_ count: Int) -> [[UInt8]] {
        let all = Int(apus_argument_count())
        guard count > 0, count <= all else { return [] }
        return (all - count ..< all).map { index in apus_argument(Int32(index)).map { bytes($0) } ?? [] }
    }

    static var count: Int { Int(apus_argument_count()) }

    /// All arguments as text, the command's name first.
    static var words: [String] { last(count).map { String(decoding: $0, as: UTF8.self) } }

    /// A C string's bytes without the terminating zero.
    static func bytes(_ string: UnsafePointer<CChar>) -> [UInt8] {
        let count = strlen(string)
        return (0 ..< count).map { UInt8(bitPattern: string[$0]) }
    }
}
