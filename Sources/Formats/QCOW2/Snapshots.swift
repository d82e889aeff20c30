import Block
import Core

struct QCOW2Snapshot: Sendable { var l1Offset: UInt64 = 0 }
struct QCOW2Bitmap: Sendable { var described: JSONValue { .null } }
extension QCOW2Tables {
    mutating func readSnapshots() throws(BlockError) {}
    mutating func readBitmaps() throws(BlockError) {}
    mutating func repairAfterCrash() throws(BlockError) { throw .unsupported("the image was not closed: its refcounts must be repaired") }
    func refuseUnlessBitmapsResize() throws(BlockError) {}
    mutating func resizeBitmaps(from: UInt64) throws(BlockError) {}
    mutating func dropState() throws(BlockError) {}
}
