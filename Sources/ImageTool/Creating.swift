// Making a new image from options: shared by `create` and by the verbs that make their target.

import Block
import Core

/// A new image about to be made.
struct NewImage {
    let format: any CreatableFormat.Type
    var options: OptionValues

    init(_ formatName: String, _ name: String, _ tool: Tool) throws(ToolFailure) {
        guard let format = tool.catalogue.format(formatName) else { throw ToolFailure("\(name): Unknown file format '\(formatName)'") }
        guard let creatable = format as? any CreatableFormat.Type else {
            throw ToolFailure("\(name): Format driver '\(formatName)' does not support image creation")
        }
        self.format = creatable
        options = OptionValues(creatable.createOptions)
    }

    /// Applies `-o` words.
    mutating func apply(_ words: [String], _ name: String) throws(ToolFailure) {
        do {
            for word in words { for option in OptionValues.split(word) { try options.set(option.name, option.value) } }
        } catch { throw ToolFailure("\(name): \(error.text)") }
    }

    /// Names the backing file.
    mutating func back(by file: String?, format: String?, _ name: String) throws(ToolFailure) {
        if let file {
            guard options.declares("backing_file") else { throw ToolFailure("\(name): Backing file not supported for file format '\(self.format.name)'") }
            do { try options.set("backing_file", file) } catch { throw ToolFailure("\(name): \(error.text)") }
        }
        if let format {
            guard options.declares("backing_fmt") else { throw ToolFailure("\(name): Backing format not supported for file format '\(self.format.name)'") }
            do { try options.set("backing_fmt", format) } catch { throw ToolFailure("\(name): \(error.text)") }
        }
    }

    /// The table of options, as `-o help` prints it.
    static func help(_ format: any CreatableFormat.Type) -> String {
        "Supported \(format.name) options:\n" + table(format.createOptions)
            + "\nThe protocol level may support further options.\nSpecify the target filename to include those options.\n"
    }

    /// The rows of such a table.
    static func table(_ options: [OptionDeclaration]) -> String {
        var text = ""
        for option in options.sorted(by: { $0.name < $1.name }) {
            let left = "  \(option.name)=<\(option.typeText)>"
            text += left + String(repeating: " ", count: max(0, 24 - left.utf8.count)) + " - " + option.help + "\n"
        }
        return text
    }

    static func asksForHelp(_ words: [String]) -> Bool {
        words.contains { OptionValues.split($0).contains { ["help", "?", "list"].contains($0.name) } }
    }

    /// `Formatting 'x', fmt=vdi size=… static=off`
    func announcement(_ name: String) -> String {
        "Formatting '\(name)', fmt=\(format.name)" + options.summary.map { " \($0.name)=\($0.value)" }.joined() + "\n"
    }

    func make(_ name: String, _ graph: BlockGraph) throws(ToolFailure) {
        let size = options.number("size") ?? 0
        do { try graph.create(name, format: format, size: size, options: options) } catch {
            throw ToolFailure("\(name): \(error.file == nil || error.file == name ? error.place : "\(error)")")
        }
    }

    /// Options that opening the new image takes over from making it: the names of its passwords.
    var openOptions: [JSONValue.Member] {
        options.summary.filter { $0.name == "key-secret" || $0.name.hasSuffix(".key-secret") }.map { JSONValue.Member($0.name, .text($0.value)) }
    }

    /// Completes size and backing format from the backing file. - Parameter unsafe: it need not be there.
    mutating func inspectBacking(_ name: String, _ graph: BlockGraph, unsafe: Bool) throws(ToolFailure) {
        guard let backing = options.text("backing_file"), !backing.isEmpty else { return }
        guard options.text("backing_fmt") != nil || unsafe && options.has("size") else {
            var hint = ""
            if let node = try? graph.open(ImageName.resolve(backing, relativeTo: name), .readOnly) {
                hint = "\nDetected format of \(node.driver)."
                try? node.close()
            }
            throw ToolFailure("\(name): Backing file specified without backing format" + hint)
        }
        if unsafe, options.has("size") { return }
        do {
            let node = try graph.open(ImageName.resolve(backing, relativeTo: name), format: options.text("backing_fmt"), .readOnly)
            let length = try node.length()
            try node.close()
            if !options.has("size") { try options.set("size", String(length)) }
        } catch {
            throw ToolFailure("\(name): Could not open '\(backing)': \(error)\nCould not open backing image.")
        }
    }
}
