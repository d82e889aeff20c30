// Loss of power at random points: what a flush has acknowledged is there, and `check` finds nothing beyond leaks.

import Block
import Formats
import Foundation
import Testing

@Suite struct CrashTests {
    /// Points a format; `APUS_FULL=1` makes it a thousand.
    private static let points = ProcessInfo.processInfo.environment["APUS_FULL"] == nil ? 60 : 1000

    @Test(arguments: subjects) func lossOfPower(_ subject: Subject) throws {
        let scratch = Scratch()
        let path = try scratch.create(subject.format, "", size: subject.size)
        let empty = try scratch.contents(path)
        var random = Seeded(31)
        for point in 0..<CrashTests.points {
            let disk = PowerLossStorage(empty)
            let file = Node(name: "file", driver: "file", filename: "power-loss", storage: disk, access: .readWrite)
            let node = try scratch.graph.open(on: file, format: subject.format.name, .readWrite)
            var now = [UInt8](repeating: 0, count: Int(subject.size))
            // Sector by sector: what it may hold after the loss.
            var acknowledged = now
            var touched = Set<Int>()
            for _ in 0..<random.below(30) {
                let start = random.below(subject.size), count = min(subject.size - start, random.below(40000) + 1)
                switch random.below(6) {
                case 0:
                    try node.flush()
                    acknowledged = now
                    touched = []
                    continue
                case 1:
                    try node.writeZeroes(start, count)
                    now.replaceSubrange(Int(start)..<Int(start + count), with: repeatElement(0, count: Int(count)))
                default:
                    let bytes = (0..<Int(count)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                    try node.write(start, bytes: bytes)
                    now.replaceSubrange(Int(start)..<Int(start + count), with: bytes)
                }
                for sector in Int(start) / 512 ... Int(start + count - 1) / 512 { touched.insert(sector) }
            }
            let after = PowerLossStorage(disk.contentsAfterLoss(&random))
            let reopened = Node(name: "file", driver: "file", filename: "power-loss", storage: after, access: .readWrite)
            let image = try scratch.graph.open(on: reopened, format: subject.format.name, .readWrite)
            if let checkable = image.image as? any CheckableImage {
                let result = try checkable.check(.nothing)
                #expect(result.corruptions == 0 && result.checkErrors == 0, "\(subject) point \(point): \(result.messages.prefix(3))")
            }
            let bytes = try image.bytes(0, Int(subject.size))
            let lost = (0..<Int(subject.size) / 512).first { sector in
                !touched.contains(sector) && bytes[sector * 512..<sector * 512 + 512] != acknowledged[sector * 512..<sector * 512 + 512]
            }
            #expect(lost == nil, "\(subject) point \(point): sector \(lost ?? 0) was acknowledged by a flush")
            if lost != nil { return }
        }
    }
}
