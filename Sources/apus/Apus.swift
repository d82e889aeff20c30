import ImageTool
import Registry
import StorageTool

/// The verbs of the command line, one file each.
///
/// Parsed by hand: QEMU's options have one dash and long names, and a general argument parser brings Foundation with
/// it, which costs each program start more than a millisecond.
enum Apus {
    private struct Verb {
        let name: String
        let help: String
        let run: ([String]) -> Int32
    }

    private static func verbs() -> [Verb] {
        [
            Verb(name: "exec", help: "run a Linux program built for another instruction set ('apus exec -h')") {
                UserCommand.run(name: "apus exec", only: nil, $0)
            },
            Verb(name: "system", help: "run a whole computer ('apus system -help')") { MachineCommand.run("apus system", $0) },
            Verb(name: "binfmt", help: "let the kernel start guest programs by itself ('apus binfmt -h')", run: BinaryFormatCommand.run),
            Verb(name: "img", help: "make, change and tell about disk images ('apus img --help')") {
                ImageTool.run(name: "apus img", $0, catalogue: Registry.blockDrivers)
            },
            Verb(name: "io", help: "send single requests to a disk image ('apus io --help')") {
                BlockShell.run(name: "apus io", $0, catalogue: Registry.blockDrivers)
            },
            Verb(name: "nbd", help: "serve a disk image over the network ('apus nbd --help')") {
                NBDTool.run(name: "apus nbd", $0, catalogue: Registry.blockDrivers)
            },
            Verb(name: "storage", help: "hold block nodes, export them, obey a monitor ('apus storage --help')") {
                StorageDaemon.run(name: "apus storage", $0, catalogue: Registry.blockDrivers)
            },
            Verb(name: "list", help: "list guests, cpus, features or engines ('apus list -h')", run: List.run),
        ]
    }

    /// Runs the verb of the command line without the command's name; returns the exit status.
    static func run(_ arguments: [String]) -> Int32 {
        guard let word = arguments.first else {
            StandardError.write(usage)
            return 2
        }
        if let verb = verbs().first(where: { $0.name == word }) { return verb.run(Array(arguments.dropFirst())) }
        switch word {
        case "-h", "-help", "--help", "help":
            print(usage, terminator: "")
            return 0
        case "-version", "--version":
            print("apus version \(Version.text)")
            return 0
        default:
            StandardError.write("apus: unknown \(word.hasPrefix("-") ? "option" : "command") '\(word)' ('apus help' lists the commands)\n")
            return 2
        }
    }

    private static var usage: String {
        verbs().reduce("usage: apus COMMAND …\nRuns what was built for another machine.\n\n") { text, verb in
            text + "  " + verb.name + String(repeating: " ", count: max(1, 8 - verb.name.utf8.count)) + verb.help + "\n"
        } + "\nCalled as apus-GUEST or qemu-GUEST it is 'apus exec' for that guest.\n"
    }
}

enum Version {
    static let text = "0.1"
}
