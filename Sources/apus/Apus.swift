import ArgumentParser

/// The command line apart from `exec`.
struct Apus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus", abstract: "Runs what was built for another machine.", version: Version.text,
        subcommands: [Exec.self, List.self])
}

enum Version {
    static let text = "0.1"
}

/// Stands for `exec` in the help; `main.swift` runs it.
struct Exec: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a Linux program built for another instruction set (-h prints its options).")
    @Argument(parsing: .captureForPassthrough, help: "Options, the program and its arguments.")
    var arguments: [String] = []

    func run() throws { throw ExitCode(UserCommand.run(name: "apus exec", only: nil, arguments)) }
}
