import Translation

/// One system call under way.
struct SystemCall {
    let process: Process
    let thread: GuestThread
    let number: Int
    let arguments: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    var memory: GuestMemory { process.memory }
    var model: DataModel { process.abi.dataModel }

    /// Argument `index`, 0 to 5, as the raw register.
    subscript(index: Int) -> UInt64 {
        switch index {
        case 0: arguments.0
        case 1: arguments.1
        case 2: arguments.2
        case 3: arguments.3
        case 4: arguments.4
        default: arguments.5
        }
    }
    /// Argument `index` as C `int`.
    func int(_ index: Int) -> Int32 { Int32(truncatingIfNeeded: self[index]) }
    /// Argument `index` as guest `long` (sign-extended from the guest's word).
    func long(_ index: Int) -> Int64 {
        model.wordSize == 8 ? Int64(bitPattern: self[index]) : Int64(Int32(truncatingIfNeeded: self[index]))
    }
}

/// How a system call ends.
enum SystemCallResult {
    /// The value for the result register, or a negated host errno (equal to the guest's on all current guests but MIPS
    /// and SPARC, whose ABI translates it).
    case value(Int64)
    /// A host signal came before or during the call: deliver it; then restart if its action says so (`ERESTARTSYS`),
    /// else EINTR.
    case restart
    /// As `restart`, but never restarted after a handler ran (`ERESTARTNOHAND`: select, poll, sigsuspend, sleep…).
    case interrupted
    /// Registers and pc are already as they must be (`rt_sigreturn`).
    case registersReplaced
    /// This thread has ended.
    case threadExit
}

extension SystemCallResult {
    static func error(_ errno: Int32) -> SystemCallResult { .value(-Int64(errno)) }
}

/// How an argument or result is shown by `-strace`, and converted where a generic conversion exists.
enum ArgumentKind: Sendable {
    case int, unsigned, long, hex, pointer, fd, dirfd, string, size, mode, signal, pid
    /// A 64-bit offset: two registers on 32-bit guests.
    case offset
    /// A path to something that exists, looked up as the guest sees the file system; a link at its end is followed,
    /// or not. Paths that name something to be made or removed are `string`.
    case path, pathNoFollow
    /// A pointer to an `int` (or array of them) that the call writes.
    case integerOut
    /// A buffer whose length is argument n (in) or the result (out).
    case bufferIn(length: Int), bufferOut
    /// A `sockaddr` whose length is argument n.
    case socketAddress(length: Int)
    /// Bit flags or an enumeration by name.
    case flags(FlagSet)
    /// A structure of the shared layouts: in, out.
    case structIn(StructLayout), structOut(StructLayout), structInOut(StructLayout)
    /// An `ioctl` request.
    case ioctl
    case none
}

/// Who answers a system call: what the documentation's table says of it.
package enum SystemCallAnswer: Sendable, Equatable {
    /// Apus, with the host's help or without.
    case apus
    /// The host kernel, with arguments converted where the guest's differ.
    case host
    /// The host kernel, for guests whose words, byte order and addresses are the host's; ENOSYS for others.
    case hostUnconverted
    /// Nobody: the errno that the guest gets, and why.
    case refused(Int32, String)
}

/// One row of the shared system call table.
struct SystemCallDescription: Sendable {
    let name: String
    let arguments: [ArgumentKind]
    let answer: SystemCallAnswer
    let handler: @Sendable (SystemCall) -> SystemCallResult

    init(_ name: String, _ arguments: [ArgumentKind], answer: SystemCallAnswer = .apus,
         _ handler: @escaping @Sendable (SystemCall) -> SystemCallResult) {
        self.name = name
        self.arguments = arguments
        self.answer = answer
        self.handler = handler
    }
}
