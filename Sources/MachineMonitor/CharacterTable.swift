// The character back ends of a machine by their identifiers (`-chardev`, chardev-add).

import Core
import Host

public final class CharacterTable: Sendable {
    struct Entry: Sendable {
        var id: String
        var stream: any CharacterStream
        var isUsed = false
    }
    private let known = Locked<[Entry]>([])
    public init() {}

    var entries: [Entry] { known.withLock { $0 } }

    /// The stream, for a front end that keeps it.
    public func use(_ id: String) -> (any CharacterStream)? {
        known.withLock { known in
            guard let index = known.firstIndex(where: { $0.id == id }) else { return nil }
            known[index].isUsed = true
            return (known[index].stream as? any PortedStream)?.newPort() ?? known[index].stream
        }
    }
    public func has(_ id: String) -> Bool { known.withLock { $0.contains { $0.id == id } } }
    /// - Parameter isUsed: by a front end that came with it.
    public func add(_ id: String, _ stream: any CharacterStream, isUsed: Bool = false) { known.withLock { $0.append(Entry(id: id, stream: stream, isUsed: isUsed)) } }

    /// At the end of the process: sockets leave no files behind.
    public func removeSockets() { for entry in entries { (entry.stream as? any PlacedStream)?.removePath() } }

    func remove(_ id: String) throws(ConfigurationError) {
        let problem = known.withLock { known -> String? in
            guard let index = known.firstIndex(where: { $0.id == id }) else { return "Chardev '\(id)' not found" }
            if known[index].isUsed { return "Chardev '\(id)' is busy" }
            known.remove(at: index)
            return nil
        }
        if let problem { throw ConfigurationError(problem) }
    }
}
