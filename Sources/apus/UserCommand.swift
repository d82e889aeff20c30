import Glibc
import Registry
import Translation
import UserMode

/// `apus exec`, `apus-riscv64`, `qemu-riscv64`: QEMU's user-mode command line.
///
/// Scanned by hand: the options have one dash and long names, end at the program, and this is the path every program
/// start takes, so it costs no more than the scan.
struct UserCommand {
    /// The command's name in messages.
    let name: String
    /// The only guest wanted, or nil for any.
    let only: String?
    var options = UserOptions()
    var environment = GuestEnvironment()
    var logItems: LogItems = []

    init(name: String, only: String?) {
        self.name = name
        self.only = only
    }

    /// Runs the program of the command line; returns the exit status if that did not happen.
    static func run(name: String, only: String?, _ arguments: [String]) -> Int32 {
        execute(name: name, only: only) { command throws(CommandError) in
            let rest = try command.parse(arguments)
            // Program and arguments are bytes, which need not be text.
            return HostArguments.last(rest.count)
        }
    }

    /// Runs the program with the arguments that `prepare` returns.
    private static func execute(name: String, only: String?,
                                _ prepare: (inout UserCommand) throws(CommandError) -> [[UInt8]]) -> Int32 {
        var command = UserCommand(name: name, only: only)
        do {
            let raw = try prepare(&command)
            guard let program = raw.first else { throw CommandError.usage("no program named (-h prints help)") }
            try command.finish()
            try UserMode.run(command.options, program: program, arguments: Array(raw.dropFirst()), guests: Registry.guests,
                             engines: Registry.engines, only: only)
        } catch let error as UserModeError {
            command.complain(error.text)
            return error.status
        } catch CommandError.text(let text) {
            print(text, terminator: "")
            return 0
        } catch CommandError.usage(let text) {
            command.complain(text)
            return 2
        } catch {
            command.complain("\(error)")
            return 1
        }
    }

    /// Runs the program that the kernel started Apus for, by an entry of binfmt_misc: its path and its argv[0] come first,
    /// options only from the environment.
    static func runForKernel(name: String) -> Int32 {
        let arguments = HostArguments.last(HostArguments.count - 1)
        guard let program = arguments.first else {
            StandardError.write("\(name): the kernel named no program\n")
            return 2
        }
        let guest = ["apus-", "qemu-"].first { name.hasPrefix($0) }.map { String(name.dropFirst($0.utf8.count)) }
        let only = Registry.guests.contains { $0.name == guest } ? guest : nil
        return execute(name: name, only: only) { command throws(CommandError) in
            _ = try command.parse([])
            command.options.argv0 = arguments.count > 1 ? arguments[1] : nil
            command.options.programDescriptor = KernelLaunch.programDescriptor
            command.options.isStartedByKernel = command.options.passedOn.isEmpty
            return [program] + arguments.dropFirst(2)
        }
    }

    private func complain(_ text: String) {
        // One line, whatever was in the names it quotes.
        let line = String(text.map { $0.isNewline ? " " : $0 })
        StandardError.write("\(name): \(line)\n")
    }

    /// Applies environment and options; returns the program and its arguments.
    private mutating func parse(_ arguments: [String]) throws(CommandError) -> ArraySlice<String> {
        let inherited = arguments.contains("--inherited")
        // Who may start a set-user-ID program may not steer it.
        if !inherited, !KernelLaunch.isSecure { try applyVariables() }
        var index = 0
        while index < arguments.count {
            let word = arguments[index]
            guard word.utf8.first == UInt8(ascii: "-"), word.utf8.count > 1 else { break }
            index += 1
            if word == "--" { break }
            if word == "--inherited" { continue }
            let (option, joined) = try find(word)
            var value = joined ?? ""
            if option.argument != nil, joined == nil {
                guard index < arguments.count else { throw .usage("option '\(word)' needs an argument") }
                value = arguments[index]
                index += 1
            }
            try option.apply(&self, value)
            if option.inherited {
                options.passedOn.append(word)
                if option.argument != nil, joined == nil { options.passedOn.append(value) }
            }
        }
        return arguments[index...]
    }

    /// The option that `word` spells: one or two dashes, as QEMU; Apus's own may have their value after `=`.
    private func find(_ word: String) throws(CommandError) -> (UserOption, String?) {
        var spelled = Substring(word.dropFirst())
        if spelled.first == "-" {
            if let option = UserOption.all.first(where: { $0.names.contains(String(spelled)) }) { return (option, nil) }
            if let equals = spelled.firstIndex(of: "="),
               let option = UserOption.all.first(where: { $0.argument != nil && $0.names.contains(String(spelled[..<equals])) }) {
                return (option, String(spelled[spelled.index(after: equals)...]))
            }
            spelled = spelled.dropFirst()
        }
        if let option = UserOption.all.first(where: { $0.names.contains(String(spelled)) }) { return (option, nil) }
        if UserOption.refused.contains(where: { $0.names.contains(String(spelled)) }) {
            throw .usage("option '\(word)' is not supported")
        }
        throw .usage("unknown option '\(word)'")
    }

    private mutating func applyVariables() throws(CommandError) {
        for option in UserOption.all {
            guard let variable = option.variable, let value = getenv(variable) else { continue }
            let text = String(cString: value)
            try option.apply(&self, text)
            guard option.inherited, let name = option.names.first else { continue }
            options.passedOn += option.argument == nil ? ["-" + name] : ["-" + name, text]
        }
        for row in UserOption.refused {
            if let variable = row.variable, getenv(variable) != nil { throw .usage("environment variable \(variable) is not supported") }
        }
    }

    private mutating func finish() throws(CommandError) {
        // A child that the guest executes has a complete environment: QEMU's variables have had their effect.
        options.passedOn.insert("--inherited", at: 0)
        options.environment = environment.variables
        if let file = options.logFile, !UserLog.canWrite(file) { throw .usage("-D: cannot write '\(file)': \(String(cString: strerror(errno)))") }
        if logItems.contains(.strace) { options.strace = true }
        if !logItems.isEmpty {
            options.engineOptions.log = TranslationLog(items: logItems, write: UserLog.writer(options.logFile))
        }
    }

    var cpuHelp: String {
        var text = ""
        for guest in Registry.guests where only == nil || guest.name == only {
            text += "Available CPUs (\(guest.name)):\n"
            for cpu in guest.cpus() { text += "  \(cpu.name)\n" }
        }
        return text
    }

    var usage: String {
        var text = "usage: \(name) [options] program [arguments...]\nRuns a Linux program built for "
            + (only ?? Registry.guests.map(\.name).joined(separator: ", ")) + ".\n\n"
        for option in UserOption.all {
            var left = option.names.map { "-" + $0 }.joined(separator: ", ")
            if let argument = option.argument { left += " " + argument }
            func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.utf8.count)) }
            text += pad(left, 32) + pad(option.variable ?? "", 22) + option.help + "\n"
        }
        return text
    }
}

/// The environment that the guest gets: Apus's own, as options change it.
struct GuestEnvironment {
    /// Bytes, which need not be text.
    private(set) var variables: [[UInt8]]

    init() {
        variables = []
        var next = environ
        while let entry = next.pointee {
            variables.append(HostArguments.bytes(entry))
            next += 1
        }
    }

    mutating func set(_ assignment: String) throws(CommandError) {
        guard let equals = assignment.firstIndex(of: "="), equals != assignment.startIndex else {
            throw .usage("-E: '\(assignment)' is not of the form var=value")
        }
        let prefix = Array(assignment[...equals].utf8)
        if let index = variables.firstIndex(where: { $0.starts(with: prefix) }) {
            variables[index] = Array(assignment.utf8)
        } else {
            variables.append(Array(assignment.utf8))
        }
    }

    mutating func unset(_ name: String) throws(CommandError) {
        guard !name.contains("=") else { throw .usage("-U: '\(name)' is not a name") }
        variables.removeAll { $0.starts(with: Array((name + "=").utf8)) }
    }
}

/// Messages for people, unbuffered.
enum StandardError {
    static func write(_ text: String) {
        var text = text
        text.withUTF8 { _ = Glibc.write(2, $0.baseAddress, $0.count) }
    }
}
