// The image behind a flash chip.

import Block
import Core
import Devices
import Machines

final class FlashFile: FlashStorage {
    private let node: Node

    private init(_ node: Node) { self.node = node }

    /// The contents of `node`, which stores go to.
    static func load(_ node: Node, isReadOnly: Bool) throws(ConfigurationError) -> FlashImage {
        do throws(BlockError) {
            let size = try node.length()
            guard size <= 32 << 20 else { throw BlockError.invalid("a flash chip of virt has 32 MiB") }
            let contents = try node.bytes(0, Int(size))
            return FlashImage(contents: contents, storage: isReadOnly ? nil : FlashFile(node), isReadOnly: isReadOnly)
        } catch {
            throw ConfigurationError("-drive if=pflash: \(error)")
        }
    }

    func store(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Bool {
        do throws(BlockError) {
            try node.write(offset, bytes: Array(bytes))
            return true
        } catch {
            return false
        }
    }
}
