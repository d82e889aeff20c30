// `-d`, `-D` and the monitor's `log` and `logfile`: what is told of a guest's run, and where.

import Core
import Glibc
import Host
import MachineMonitor
import Monitor
import Translation

/// The log of a machine.
final class MachineLog: Sendable {
    static let names: [(name: String, item: LogItems, help: String)] = [
        ("in_asm", .inAsm, "show guest code of each translated block"), ("op", .op, "show intermediate code of each block"),
        ("op_opt", .opOpt, "show intermediate code after the passes"), ("out_asm", .outAsm, "show host code of each block"),
        ("int", .interrupts, "show interrupts and exceptions that are taken"), ("exec", .exec, "show each block as it is entered"),
        ("cpu", .cpu, "show registers before each block"), ("mmu", .mmu, "show translations of addresses"), ("guest_errors", .guestErrors, "show what guests do wrong"),
    ]
    static let help = "Log items (comma separated):\n" + names.map { $0.name + String(repeating: " ", count: max(1, 16 - $0.name.utf8.count)) + $0.help + "\n" }.joined()

    let translation: TranslationLog
    /// Every block is shown when it is entered only by engines that were told so from the beginning.
    private let showsBlocks: Bool
    /// A descriptor.
    private let file: Locked<Int32>

    /// - Throws: the file cannot be written.
    init(_ items: LogItems, file path: String?) throws(ConfigurationError) {
        let file = Locked(2 as Int32)
        self.file = file
        translation = TranslationLog(items: items) { text in
            var text = text
            let descriptor = file.withLock { $0 }
            text.withUTF8 { bytes in
                var done = 0
                while let base = bytes.baseAddress, done < bytes.count {
                    let count = write(descriptor, base + done, bytes.count - done)
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else { return }
                    done += count
                }
            }
        }
        showsBlocks = !items.isDisjoint(with: [.exec, .cpu])
        if let path { try open(path) }
        watchGuest()
    }

    static func items(_ text: String, _ option: String) throws(ConfigurationError) -> LogItems {
        var items: LogItems = []
        for word in text.split(separator: ",") {
            // QEMU's switch against chaining: every block is shown anyway.
            if word == "nochain" { continue }
            guard let row = names.first(where: { $0.name == word }) else { throw ConfigurationError("\(option): item '\(word)' is not supported, expected \(names.map(\.name).joined(separator: ", "))") }
            items.formUnion(row.item)
        }
        return items
    }

    private func open(_ path: String) throws(ConfigurationError) {
        // `%d` in the name stands for the process's number.
        var name = path
        if let mark = name.firstRange(of: "%d") { name.replaceSubrange(mark, with: String(getpid())) }
        let descriptor = Glibc.open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ConfigurationError("-D: '\(name)': \(String(cString: strerror(errno)))") }
        let old = file.withLock { file -> Int32 in
            defer { file = descriptor }
            return file
        }
        if old != 2 { close(old) }
    }

    private func watchGuest() {
        let translation = translation
        if translation.items.contains(.guestErrors) { GuestErrors.send { translation.write($0) } } else { GuestErrors.send(to: nil) }
    }

    func register(_ human: MachineMonitor) {
        human.add("log", "ITEM[,…]|none", "activate logging of the specified items") { [self] words throws(MonitorError) in
            guard let word = words.first, words.count == 1 else { throw MonitorError("log: expected items, or none") }
            if word == "help" { return Self.help }
            let items: LogItems
            do throws(ConfigurationError) { items = word == "none" ? [] : try Self.items(word, "log") } catch { throw MonitorError(error.description) }
            guard showsBlocks || items.isDisjoint(with: [.exec, .cpu]) else { throw MonitorError("log: exec and cpu need '-d exec' or '-d cpu' on the command line") }
            translation.items = items
            watchGuest()
            return ""
        }
        human.add("logfile", "FILE", "output logs to FILE") { [self] words throws(MonitorError) in
            guard let path = words.first, words.count == 1 else { throw MonitorError("logfile: expected a file") }
            do throws(ConfigurationError) { try open(path) } catch { throw MonitorError(error.description) }
            return ""
        }
    }
}
