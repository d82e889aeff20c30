import Glibc

// Limits outlive execve(2), but the host kernel does not know these. So they are handed down in a variable of the
// environment, through programs of the host too, and taken out of it before a guest program sees it.
extension VirtualLimits {
    private static let variable = Array("APUS_LIMITS=".utf8)

    /// `RESOURCE=SOFT:HARD,…`; nil if the guest set none.
    package static func text(_ limits: [Int32: (UInt64, UInt64)]) -> String? {
        guard !limits.isEmpty else { return nil }
        return limits.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.0):\($0.value.1)" }.joined(separator: ",")
    }

    /// The limits that `text` names; nil if it is not what `text(_:)` makes.
    package static func parse(_ text: String) -> [Int32: (UInt64, UInt64)]? {
        var limits: [Int32: (UInt64, UInt64)] = [:]
        for entry in text.split(separator: ",") {
            let parts = entry.split(whereSeparator: { $0 == "=" || $0 == ":" })
            guard parts.count == 3, let resource = Int32(parts[0]), resources.contains(resource),
                  let soft = UInt64(parts[1]), let hard = UInt64(parts[2]), soft <= hard else { return nil }
            limits[resource] = (soft, hard)
        }
        return limits
    }

    /// Takes the variable out of `environment`, and its limits as this process's.
    /// - Parameter heeded: false for a program with more rights than who started it, whom that one may not steer.
    package static func inherit(from environment: inout [[UInt8]], heeded: Bool) {
        guard let index = environment.lastIndex(where: { $0.starts(with: variable) }) else { return }
        let text = String(decoding: environment[index].dropFirst(variable.count), as: UTF8.self)
        environment.removeAll { $0.starts(with: variable) }
        if heeded, let limits = parse(text) { replace(limits) }
    }

    /// `environment`, whose strings end with NUL, with this process's limits for the program that gets it.
    static func handedDown(_ environment: [[CChar]]) -> [[CChar]] {
        let name = variable.map { CChar(bitPattern: $0) }
        var result = environment.filter { !$0.starts(with: name) }
        if let text = text(all) { result.append(name + Array(text.utf8CString)) }
        return result
    }

    /// The size of the main stack: Linux lets it grow to its limit, here all of it is set aside (which costs nothing
    /// until it is used). At least 8 MiB; at most 1 GiB, or a sixteenth of a 32-bit address space.
    static func stackSize(wordSize: Int) -> Int {
        var limit = rlimit()
        let isKnown = getrlimit(__rlimit_resource_t(3) /* RLIMIT_STACK */, &limit) == 0
        let wanted = soft(3) ?? (isKnown ? UInt64(limit.rlim_cur) : 0)
        return Int(min(max(wanted, 8 << 20), wordSize == 4 ? 256 << 20 : 1 << 30))
    }
}
