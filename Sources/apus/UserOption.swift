import Glibc
import Registry
import Translation
import UserMode

/// One option of running a program, with QEMU's spelling and environment variable. Apus's own have two dashes.
struct UserOption: Sendable {
    let names: [String]
    /// The option's argument in the usage text; nil: it takes none.
    let argument: String?
    /// The environment variable that means the same.
    let variable: String?
    let help: String
    /// Whether a child program that the guest executes gets it too.
    var inherited = true
    let apply: @Sendable (inout UserCommand, String) throws(CommandError) -> Void
}

/// What ends the command before or instead of running a program.
enum CommandError: Error {
    /// Wrong usage: one line, exit status 2.
    case usage(String)
    /// Text for standard output, exit status 0.
    case text(String)
}

extension UserOption {
    /// Options that QEMU has and Apus does not: refused by name.
    static let refused: [(names: [String], variable: String?)] = [
        (["g"], "QEMU_GDB"), (["r"], "QEMU_UNAME"), (["t"], "QEMU_RTSIG_MAP"), (["dfilter"], "QEMU_DFILTER"),
        (["p"], "QEMU_PAGESIZE"), (["seed"], "QEMU_RAND_SEED"), (["trace"], "QEMU_TRACE"), (["plugin"], "QEMU_PLUGIN"),
        (["perfmap"], "QEMU_PERFMAP"), (["jitdump"], "QEMU_JITDUMP"),
    ]

    static let all: [UserOption] = [
        UserOption(names: ["h", "help"], argument: nil, variable: nil, help: "print this help") { command, _ throws(CommandError) in
            throw .text(command.usage)
        },
        UserOption(names: ["version"], argument: nil, variable: nil, help: "print the version") { command, _ throws(CommandError) in
            throw .text("\(command.name) version \(Version.text)\n")
        },
        UserOption(names: ["L"], argument: "path", variable: "QEMU_LD_PREFIX",
                   help: "look for the guest's interpreter and files under 'path' first") { command, value in
            command.options.sysroot = value
        },
        UserOption(names: ["s"], argument: "size", variable: "QEMU_STACK_SIZE", help: "size of the main stack in bytes (k, M, G)") {
            command, value throws(CommandError) in
            guard let size = Number.size(value), size > 0, size <= 1 << 40 else { throw .usage("-s: '\(value)' is not a size") }
            command.options.stackSize = Int(size)
        },
        UserOption(names: ["cpu"], argument: "model", variable: "QEMU_CPU", help: "CPU model and features ('-cpu help' lists them)") {
            command, value throws(CommandError) in
            if value == "help" || value == "?" { throw .text(command.cpuHelp) }
            command.options.cpu = value
        },
        UserOption(names: ["E"], argument: "var=value", variable: "QEMU_SET_ENV", help: "set variables of the guest, separated by commas",
                   inherited: false) { command, value throws(CommandError) in
            for assignment in value.split(separator: ",", omittingEmptySubsequences: true) {
                try command.environment.set(String(assignment))
            }
        },
        UserOption(names: ["U"], argument: "var", variable: "QEMU_UNSET_ENV", help: "unset variables of the guest, separated by commas",
                   inherited: false) { command, value throws(CommandError) in
            for name in value.split(separator: ",", omittingEmptySubsequences: true) { try command.environment.unset(String(name)) }
        },
        UserOption(names: ["0"], argument: "argv0", variable: "QEMU_ARGV0", help: "what the guest sees as its argv[0]", inherited: false) {
            command, value in
            command.options.argv0 = Array(value.utf8)
        },
        UserOption(names: ["B"], argument: "address", variable: "QEMU_GUEST_BASE", help: "where the guest's address 0 lies on the host") {
            command, value throws(CommandError) in
            guard let base = Number.integer(value), base & 4095 == 0, base < 1 << 46 else {
                throw .usage("-B: '\(value)' is not a page-aligned address")
            }
            command.options.guestBase = base
        },
        UserOption(names: ["R"], argument: "size", variable: "QEMU_RESERVED_VA", help: "size of the guest's address space (k, M, G)") {
            command, value throws(CommandError) in
            guard let size = Number.size(value) else { throw .usage("-R: '\(value)' is not a size") }
            command.options.reservedVirtualMemory = size
        },
        UserOption(names: ["d"], argument: "item,…", variable: "QEMU_LOG", help: "log what the translator does ('-d help' lists the items)") {
            command, value throws(CommandError) in
            if value == "help" { throw .text(LogItems.helpText) }
            command.logItems.formUnion(try LogItems(parsing: value))
        },
        UserOption(names: ["D"], argument: "file", variable: "QEMU_LOG_FILENAME", help: "write the log to 'file' ('%d': process id)") {
            command, value in
            command.options.logFile = value
        },
        UserOption(names: ["one-insn-per-tb", "singlestep"], argument: nil, variable: "QEMU_ONE_INSN_PER_TB",
                   help: "translate one instruction at a time") { command, _ in
            command.options.engineOptions.maximumBlockInstructions = 1
        },
        UserOption(names: ["tb-size"], argument: "size", variable: "QEMU_TB_SIZE", help: "size of the code cache in MiB, 4 to 2048") {
            command, value throws(CommandError) in
            guard let size = Number.integer(value), size >= 4, size <= 2048 else { throw .usage("-tb-size: '\(value)' is not 4 to 2048") }
            command.options.engineOptions.codeCacheBytes = Int(size) << 20
        },
        UserOption(names: ["strace"], argument: nil, variable: "QEMU_STRACE", help: "log system calls") { command, _ in
            command.options.strace = true
        },
        UserOption(names: ["-engine"], argument: "name", variable: nil, help: "x64 or interpreter") { command, value throws(CommandError) in
            guard Registry.engines.contains(where: { $0.name == value }) else {
                throw .usage("--engine: unknown engine '\(value)' (known: \(Registry.engines.map(\.name).joined(separator: ", ")))")
            }
            command.options.engine = value
        },
        UserOption(names: ["-no-optimize"], argument: nil, variable: nil, help: "leave out the passes over the intermediate code") {
            command, _ in
            command.options.engineOptions.optimize = false
        },
        UserOption(names: ["-setenv"], argument: "var=value", variable: nil, help: "set one variable of the guest; commas are part of it",
                   inherited: false) { command, value throws(CommandError) in
            try command.environment.set(value)
        },
    ]
}

/// Numbers as QEMU's options write them.
enum Number {
    /// Decimal, or hexadecimal with 0x.
    static func integer(_ text: some StringProtocol) -> UInt64? {
        if text.hasPrefix("0x") || text.hasPrefix("0X") { return UInt64(text.dropFirst(2), radix: 16) }
        return UInt64(text)
    }

    /// An integer with a binary suffix.
    static func size(_ text: String) -> UInt64? {
        var digits = Substring(text)
        var shift: UInt64 = 0
        switch digits.last {
        case "k", "K": shift = 10
        case "m", "M": shift = 20
        case "g", "G": shift = 30
        case "t", "T": shift = 40
        default: break
        }
        if shift != 0 { digits = digits.dropLast() }
        guard let value = integer(digits), value <= UInt64.max &>> shift else { return nil }
        return value &<< shift
    }
}

extension LogItems {
    static let names: [(name: String, item: LogItems, help: String)] = [
        ("in_asm", .inAsm, "guest instructions of each translated block"), ("op", .op, "intermediate code of each block"),
        ("op_opt", .opOpt, "intermediate code after the passes"), ("out_asm", .outAsm, "host code of each block"),
        ("cpu", .cpu, "registers before each block"), ("exec", .exec, "each block as it is entered"),
        ("page", .page, "the address space at the start"), ("strace", .strace, "each system call and its result"),
    ]

    static var helpText: String {
        names.reduce("Log items (comma separated):\n") { text, row in
            text + row.name + String(repeating: " ", count: max(1, 12 - row.name.utf8.count)) + row.help + "\n"
        }
    }

    init(parsing text: String) throws(CommandError) {
        self = []
        for word in text.split(separator: ",") {
            // QEMU's switch against chaining: Apus's log shows every block anyway.
            if word == "nochain" { continue }
            guard let row = LogItems.names.first(where: { $0.name == word }) else { throw .usage("-d: unknown log item '\(word)'") }
            formUnion(row.item)
        }
    }
}
