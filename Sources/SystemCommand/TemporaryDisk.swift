// `-snapshot`: what a guest writes goes to an overlay that nobody can find any more and that ends with the process.

import Block
import Core
import Glibc

enum TemporaryDisk {
    /// A writable node over `base`, which it takes over and which stays as it is.
    static func over(_ base: Node, _ graph: BlockGraph) throws(BlockError) -> Node {
        do throws(BlockError) {
            guard let qcow2 = graph.catalogue.format("qcow2") as? any CreatableFormat.Type else { throw .unsupported("-snapshot needs qcow2") }
            let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
            var name = Array((folder + "/vl.XXXXXX").utf8CString)
            let descriptor = mkstemp(&name)
            guard descriptor >= 0 else { throw .host(errno, "a temporary file in '\(folder)'") }
            close(descriptor)
            let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            defer { unlink(path) }
            try graph.create(path, format: qcow2, size: try base.length(), options: OptionValues(qcow2.createOptions))
            let top = try graph.open(path, format: "qcow2", .readWrite)
            (top.storage as? ImageStorage)?.setBacking(base)
            return top
        } catch {
            try? base.close()
            throw error
        }
    }
}
