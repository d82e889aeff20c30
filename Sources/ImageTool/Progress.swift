// Progress of long work: one line that is written over, as QEMU shows it. Shown on a terminal only.

import Glibc

struct Progress {
    private let isShown: Bool

    init(_ arguments: ParsedArguments) {
        isShown = arguments.has("progress") && !arguments.isQuiet && isatty(1) == 1
    }

    /// What jobs call; nil where nothing is shown.
    var report: (@Sendable (Double) -> Void)? {
        guard isShown else { return nil }
        return { @Sendable fraction in Progress.line(fraction) }
    }

    private static func line(_ fraction: Double) {
        let hundredths = Int((max(0, min(1, fraction)) * 10000).rounded())
        let cents = hundredths % 100
        Output.standard("    (\(hundredths / 100).\(cents < 10 ? "0" : "")\(cents)/100%)\r")
    }

    /// Ends the line.
    func finish() { if isShown { Progress.line(1); Output.standard("\n") } }
}
