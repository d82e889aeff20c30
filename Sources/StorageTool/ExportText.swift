// What `-L` prints, in QEMU's words.

import NBD

enum ExportText {
    static func describe(_ exports: [ExportInformation]) -> String {
        "exports available: \(exports.count)\n" + exports.map(describe).joined()
    }

    private static func describe(_ export: ExportInformation) -> String {
        var lines = [" export: '\(export.name)'"]
        if let text = export.description { lines.append("  description: \(text)") }
        if export.flags.contains(.hasFlags) {
            lines.append("  size:  \(export.size)")
            let words = ExportFlags.names.filter { export.flags.contains($0.0) }.map(\.1)
            lines.append("  flags: 0x\(String(export.flags.rawValue, radix: 16)) ( \(words.map { $0 + " " }.joined()))")
        }
        if let sizes = export.blockSizes {
            lines += ["  min block: \(sizes.minimum)", "  opt block: \(sizes.preferred)", "  max block: \(sizes.maximum)"]
        }
        lines.append("  transaction size: \(export.isExtended ? "64" : "32")-bit")
        if !export.contexts.isEmpty {
            lines.append("  available meta contexts: \(export.contexts.count)")
            lines += export.contexts.map { "   \($0)" }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
