// transaction: several actions at one moment, all or none.

import Block
import Core
import Glibc
import Host
import Monitor

extension BlockService {
    private static var actions: [String: [Parameter]] {
        var actions = bitmapParameters
        actions.merge(snapshotParameters) { first, _ in first }
        actions["blockdev-backup"] = backupParameters
        actions["abort"] = []
        return actions
    }

    var transactionCommands: [CommandDeclaration] {
        let action = ValueType.object("TransactionAction", [
            Parameter("type", .enumeration("TransactionActionKind", BlockService.actions.keys.sorted())), Parameter("data", .open("TransactionData", [])),
        ])
        let properties = ValueType.object("TransactionProperties", [Parameter("completion-mode", .enumeration("ActionCompletionMode", ["individual"]), optional: true)])
        return [CommandDeclaration("transaction", [Parameter("actions", .array(action)), Parameter("properties", properties, optional: true)]) { [self] arguments throws(MonitorError) in
            let actions = arguments.array("actions")
            // Nothing is done until all is known to be well formed.
            for action in actions {
                guard let name = action["type"]?.string, let parameters = BlockService.actions[name] else { throw MonitorError("Parameter 'type' is missing") }
                try BlockService.check(action["data"] ?? .nothing, parameters)
            }
            try BlockService.reporting { () throws(BlockError) in
                try changing.withLock { (_) throws(BlockError) in
                    try quiesced { () throws(BlockError) in try perform(actions) }
                }
            }
            return .nothing
        }]
    }

    static func check(_ data: JSONValue, _ parameters: [Parameter]) throws(MonitorError) {
        // A declaration that is never registered: its check is what is wanted.
        try CommandDeclaration("", parameters) { _ in .nothing }.check(data)
    }

    private func perform(_ actions: [JSONValue]) throws(BlockError) {
        var undo: [Undo] = []
        do throws(BlockError) {
            for action in actions {
                let name = action["type"]?.string ?? "", arguments = Arguments(action["data"] ?? .nothing)
                switch name {
                case "abort": throw .invalid("Transaction aborted using Abort action")
                case "blockdev-backup": undo.append(try backup(arguments))
                case _ where BlockService.snapshotParameters[name] != nil: undo.append(try snapshotAction(name, arguments))
                default: undo.append(try bitmapAction(name, arguments))
                }
            }
        } catch {
            for step in undo.reversed() { step() }
            throw error
        }
    }

    static func removeFile(_ path: String) { unlink(path) }
}
