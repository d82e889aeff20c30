import CHost
import Glibc

/// `ioctl(2)`: one row a request, in `IoctlRequests.swift`. A request without a row is passed on as it is for a guest
/// whose words, byte order and addresses are the host's: its structures are, too (loop, FUSE, TUN and TAP, RTC, DRM,
/// file systems, …). For other guests its argument cannot be known, and it is answered as by a device that does not have
/// it: ENOTTY. So are the requests that would make a host processor run guest code.
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

    /// Types of requests that are not passed on: KVM's, whose processors are the host's.
    private static let refusedTypes: Set<UInt8> = [0xae]

    private static func run(_ call: SystemCall) -> SystemCallResult {
        let number = UInt32(truncatingIfNeeded: call[1])
        let fd = Int(call.int(0))
        guard let request = requests[number] else {
            // A closed descriptor is reported before an unknown request.
            let valid = call.host(SYS_fcntl, fd, Int(F_GETFD))
            guard valid >= 0, call.hasHostMemory, !refusedTypes.contains(UInt8(truncatingIfNeeded: number >> 8)) else {
                return valid < 0 ? .value(valid) : .error(ENOTTY)
            }
            return call.host(.waits, SYS_ioctl, fd, Int(number), call.pointer(at: 2))
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
