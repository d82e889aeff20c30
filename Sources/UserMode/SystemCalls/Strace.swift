import CHost
import Glibc

/// `-strace`: a line for each system call in QEMU's form, `pid name(arguments) = result`.
///
/// Arguments are shown by their kinds: what goes in as it was before the call, what comes out as it is after it.
final class SystemCallTrace: Sendable {
    private let numbers: [Int: String]
    private let write: @Sendable (String) -> Void

    init(abi: any GuestABI, options: UserOptions) {
        numbers = abi.systemCallNumbers
        if let log = options.engineOptions.log, log.items.contains(.strace) {
            write = log.write
            return
        }
        write = UserLog.writer(options.logFile)
    }

    /// A line about something that is no call.
    func note(_ line: String) { write("\(getpid()) \(line)") }

    /// Calls that do not come back to have a result shown.
    private static let leaving: Set<String> = ["exit", "exit_group", "execve", "execveat", "rt_sigreturn"]
    /// Calls whose result is an address.
    private static let addresses: Set<String> = ["mmap", "mmap2", "brk", "mremap", "shmat"]

    func run(_ call: SystemCall, _ row: SystemCallDescription?) -> SystemCallResult {
        let head = "\(getpid()) "
        guard let row else {
            let name = numbers[call.number] ?? "Unknown syscall \(call.number)"
            let arguments = (0..<6).map { "0x" + String(call[$0], radix: 16) }.joined(separator: ",")
            write("\(head)\(name)(\(arguments)) = -1 errno=\(ENOSYS) (\(Self.errorText(ENOSYS)))\n")
            return .error(ENOSYS)
        }
        var arguments: [String?] = []
        var register = 0
        var registers: [Int] = []
        for kind in row.arguments.prefix(6) {
            registers.append(register)
            arguments.append(ArgumentText.before(call, kind, register))
            if case .offset = kind { register += call.offset(at: register).registers } else { register += 1 }
        }
        if Self.leaving.contains(row.name) {
            write("\(head)\(row.name)(\(arguments.map { $0 ?? "" }.joined(separator: ",")))\n")
        }
        let result = row.handler(call)
        for (index, kind) in row.arguments.prefix(6).enumerated() where arguments[index] == nil {
            arguments[index] = ArgumentText.after(call, kind, registers[index], result)
        }
        let ending: String
        switch result {
        case .value(let value) where value < 0 && value > -4096:
            let error = Int32(truncatingIfNeeded: -value)
            ending = " = -1 errno=\(error) (\(Self.errorText(error)))"
        case .value(let value):
            ending = Self.addresses.contains(row.name) ? " = 0x\(String(UInt64(bitPattern: value), radix: 16))" : " = \(value)"
        case .restart: ending = " = -1 errno=512 (to be restarted)"
        case .interrupted: ending = " = -1 errno=\(EINTR) (\(Self.errorText(EINTR)))"
        case .registersReplaced, .threadExit: return result
        }
        write("\(head)\(row.name)(\(arguments.map { $0 ?? "" }.joined(separator: ",")))\(ending)\n")
        return result
    }

    private static func errorText(_ error: Int32) -> String {
        strerror(error).map { String(cString: $0) } ?? "?"
    }
}
