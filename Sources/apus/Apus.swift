import ArgumentParser

@main
struct Apus: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "apus", abstract: "Runs what was built for another machine.")
}
