import CHost
import Glibc

/// `fcntl(2)`: one row a command. Commands with an integer argument or none go straight to the host; those with a
/// structure name its layout.
enum FileControl {
    static let calls: [SystemCallDescription] = [
        SystemCallDescription("fcntl", [.fd, .flags(.fileControl), .hex]) { run($0, lock: .flock) },
        SystemCallDescription("fcntl64", [.fd, .flags(.fileControl), .hex]) { run($0, lock: .flock64) },
    ]

    private enum Argument {
        case integer
        case openFlags
        case resultIsOpenFlags
        case input(StructLayout), output(StructLayout), both(StructLayout)
        case waitingLock(StructLayout)
    }

    private static func argument(of command: Int32, lock: StructLayout) -> Argument? {
        switch command {
        // DUPFD, GETFD, SETFD, SETOWN, GETOWN, SETSIG, GETSIG, leases, NOTIFY, DUPFD_CLOEXEC, pipe sizes, seals
        case 0, 1, 2, 8, 9, 10, 11, 1024...1026, 1028, 1030...1034: .integer
        case 3: .resultIsOpenFlags
        case 4: .openFlags
        case 5: .both(lock)
        case 6: .input(lock)
        case 7: .waitingLock(lock)
        // On 32-bit guests F_GETLK64 and its kind.
        case 12: .both(.flock64)
        case 13: .input(.flock64)
        case 14: .waitingLock(.flock64)
        case 15: .input(.ownerEx)
        case 16: .output(.ownerEx)
        case 17: .integer
        case 36: .both(.flock64)
        case 37: .input(.flock64)
        case 38: .waitingLock(.flock64)
        // Read and write hints
        case 1035, 1037: .output(.cUnsigned64)
        case 1036, 1038: .input(.cUnsigned64)
        // F_CREATED_QUERY, F_DUPFD_QUERY
        case 1027: .integer
        default: nil
        }
    }

    private static func run(_ call: SystemCall, lock: StructLayout) -> SystemCallResult {
        let command = call.int(1)
        guard let argument = argument(of: command, lock: lock) else { return .error(EINVAL) }
        let flavour = call.process.abi.flavour
        // Hosts have one set of lock commands, with 64-bit offsets.
        let hostCommand = (12...14).contains(command) ? Int(command) - 7 : Int(command)
        let fd = Int(call.int(0))
        func perform(_ value: Int, _ waiting: Waiting = .never) -> SystemCallResult {
            call.host(waiting, SYS_fcntl, fd, hostCommand, value)
        }
        switch argument {
        case .integer:
            return perform(Int(call.long(2)))
        case .openFlags:
            return perform(Int(truncatingIfNeeded: FlagSet.open.toHost(call[2], from: flavour)))
        case .resultIsOpenFlags:
            guard case .value(let flags) = perform(0), flags >= 0 else { return perform(0) }
            return .value(Int64(bitPattern: FlagSet.open.toGuest(UInt64(flags), of: flavour)))
        case .input(let layout): return call.withInput(layout, call[2]) { perform($0) }
        case .output(let layout): return call.withOutput(layout, call[2]) { perform($0) }
        case .both(let layout): return call.withOutput(layout, call[2], alsoInput: true) { perform($0) }
        case .waitingLock(let layout): return call.withInput(layout, call[2]) { perform($0, .waits) }
        }
    }
}
