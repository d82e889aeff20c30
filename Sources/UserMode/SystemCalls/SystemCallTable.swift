/// The shared system call table: the rooms' rows, in one list, by name.
///
/// Numbers belong to each guest's ABI, names to all: an ABI maps its numbers to these names. A room is a list of rows
/// in a file of `Rooms`, or an extension of this type in a file beside it.
package enum SystemCallTable {
    /// The names of all rows, in the order of the rooms.
    package static var names: [String] { rooms.flatMap { $0.map(\.name) } }

    /// The rooms whose rows make the table.
    static let rooms: [[SystemCallDescription]] = [
        FileCalls.files, FileCalls.attributes, FileControl.calls, VectoredFiles.calls, DirectoryCalls.directories,
        IoctlCalls.calls, PollingCalls.polling, SocketCalls.sockets, TimeCalls.time, InformationCalls.identity,
        InformationCalls.scheduling, InformationCalls.limits, InformationCalls.system, ProcessControl.calls,
        IPCCalls.ipc, memory, signals, threads, execution,
    ]

    /// All rows by name.
    static let all: [String: SystemCallDescription] = {
        var table: [String: SystemCallDescription] = [:]
        table.reserveCapacity(512)
        for room in rooms {
            for row in room { table[row.name] = row }
        }
        return table
    }()
}
