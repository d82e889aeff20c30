/// Whether an executable needs a dynamic loader.
public enum ProgramLinkage: Sendable {
    case `static`, dynamic

    /// Nil if the file at `path` is no ELF program of any machine.
    public init?(path: String) {
        guard let file = try? ProgramFile(path: Array(path.utf8)),
              let image = try? ELFImage(header: file.head, fileSize: file.size, limit: 1 << 47, fetch: file.bytes) else { return nil }
        self = image.interpreter == nil ? .static : .dynamic
    }
}
