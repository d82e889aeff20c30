// Progress of long work: one line that is written over. With `-p`, on standard output as QEMU shows it; without, on standard error
// once the work has taken more than a second. On a terminal only, and never with `-q`.

import Core
import Glibc
import Host

struct Progress: Sendable {
    private enum Kind: Sendable { case none, asked, unasked }
    private let kind: Kind
    private let began = EventLoop.now
    /// The unasked line is there.
    private let isThere = Locked(false)

    init(_ arguments: ParsedArguments) {
        if arguments.isQuiet { kind = .none } else if arguments.has("progress") { kind = isatty(1) == 1 ? .asked : .none } else { kind = isatty(2) == 1 ? .unasked : .none }
    }

    /// What jobs call; nil where nothing is shown.
    var report: (@Sendable (Double) -> Void)? {
        guard kind != .none else { return nil }
        return { @Sendable fraction in show(fraction) }
    }

    private func show(_ fraction: Double) {
        let hundredths = Int((max(0, min(1, fraction)) * 10000).rounded())
        let cents = hundredths % 100
        let line = "    (\(hundredths / 100).\(cents < 10 ? "0" : "")\(cents)/100%)\r"
        guard kind == .unasked else { return Output.standard(line) }
        guard EventLoop.now &- began > 1_000_000_000 else { return }
        isThere.withLock { $0 = true }
        Output.error(line)
    }

    /// Ends the line, or takes it away.
    func finish() {
        switch kind {
        case .none: break
        case .asked:
            show(1)
            Output.standard("\n")
        case .unasked: if isThere.withLock({ $0 }) { Output.error("\r\u{1b}[K") }
        }
    }
}
