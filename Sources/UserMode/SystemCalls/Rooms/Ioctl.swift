import CHost
import Glibc

/// `ioctl(2)`: one row a request, in `IoctlRequests.swift`. The argument of a request without a row cannot be known,
/// so it is answered as by a device that does not have it: ENOTTY.
enum IoctlCalls {
    /// What a request's argument is.
    enum Argument: Sendable {
        case none
        /// An integer in the register itself.
        case value
        case input(StructLayout), output(StructLayout), both(StructLayout)
        /// Opaque memory with no pointers or words in it: passed on.
        case opaque
        /// A request with a conversion of its own.
        case special(@Sendable (SystemCall) -> SystemCallResult)
    }

    struct Request: Sendable {
        let number: UInt32
        let name: String
        let argument: Argument
        let waits: Bool

        init(_ number: UInt32, _ name: String, _ argument: Argument, waits: Bool = false) {
            self.number = number
            self.name = name
            self.argument = argument
            self.waits = waits
        }
    }

    static let calls: [SystemCallDescription] = [
        SystemCallDescription("ioctl", [.fd, .ioctl, .pointer], run),
    ]

    /// All rows by number; made when the first `ioctl` comes.
    static let requests: [UInt32: Request] = {
        var table: [UInt32: Request] = [:]
        for room in [terminalRequests, fileRequests, networkRequests] {
            for request in room { table[request.number] = request }
        }
        return table
    }()

    private static func run(_ call: SystemCall) -> SystemCallResult {
        let number = UInt32(truncatingIfNeeded: call[1])
        let fd = Int(call.int(0))
        guard let request = requests[number] else {
            // A closed descriptor is reported before an unknown request.
            let valid = call.host(SYS_fcntl, fd, Int(F_GETFD))
            return valid < 0 ? .value(valid) : .error(ENOTTY)
        }
        let waiting: Waiting = request.waits ? .waits : .never
        func perform(_ value: Int) -> SystemCallResult { call.host(waiting, SYS_ioctl, fd, Int(number), value) }
        switch request.argument {
        case .none: return perform(0)
        case .value: return perform(Int(call.long(2)))
        case .opaque: return perform(call.pointer(at: 2))
        case .input(let layout):
            return call[2] == 0 ? perform(0) : call.withInput(layout, call[2]) { perform($0) }
        case .output(let layout):
            return call.withOutput(layout, call[2]) { perform($0) }
        case .both(let layout):
            return call.withOutput(layout, call[2], alsoInput: true) { perform($0) }
        case .special(let body): return body(call)
        }
    }
}
