import Debugger
import Testing

/// A generator that gives the same numbers every time (xorshift).
struct FixedNumbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state ^= state &<< 13
        state ^= state &>> 7
        state ^= state &<< 17
        return state
    }
}

private func inputs(_ bytes: [UInt8]) -> [RemoteInput] {
    var reader = PacketReader()
    return bytes.compactMap { reader.take($0) }
}

@Test func packetsSurviveTheWire() {
    var numbers = FixedNumbers(state: 1)
    var failures = 0
    for _ in 0 ..< 2000 {
        let payload = (0 ..< Int.random(in: 0 ..< 300, using: &numbers)).map { _ in UInt8.random(in: 0 ... 255, using: &numbers) }
        if inputs(PacketWriter.packet(payload)) != [.packet(payload)] { failures += 1 }
    }
    #expect(failures == 0)
}

@Test func readerTellsWhatComes() {
    #expect(inputs(Array("+-\u{3}".utf8)) == [.acknowledged, .refused, .interrupt])
    #expect(inputs(Array("$OK#9a".utf8)) == [.packet(Array("OK".utf8))])
    #expect(inputs(Array("$OK#00".utf8)) == [.damaged])
    // The beginning of one packet is lost, and the next one is whole.
    #expect(inputs(Array("$OK$OK#9a".utf8)) == [.packet(Array("OK".utf8))])
    #expect(inputs(Array("noise#$#00".utf8)) == [.packet([])])
}

@Test func readerTakesAnything() {
    var numbers = FixedNumbers(state: 2)
    var reader = PacketReader()
    var packets = 0
    for _ in 0 ..< 1_000_000 {
        // Mostly characters that mean something.
        let byte = Bool.random(using: &numbers) ? Array("$#}+-\u{3}0a".utf8).randomElement(using: &numbers) : UInt8.random(in: 0 ... 255, using: &numbers)
        if case .packet = reader.take(byte ?? 0) { packets += 1 }
    }
    #expect(packets > 0)
}

@Test func endlessPacketsAreDropped() {
    var reader = PacketReader()
    _ = reader.take(UInt8(ascii: "$"))
    for _ in 0 ..< 2 * PacketReader.limit { _ = reader.take(0) }
    _ = reader.take(UInt8(ascii: "#"))
    _ = reader.take(UInt8(ascii: "0"))
    #expect(reader.take(UInt8(ascii: "0")) == .damaged)
}

@Test func threadsAreScanned() {
    func thread(_ text: String) -> ThreadPattern? {
        var scanner = PacketScanner(Array(text.utf8))
        return scanner.thread()
    }
    #expect(thread("1f") == ThreadPattern(process: nil, thread: 31))
    #expect(thread("p2.3") == ThreadPattern(process: 2, thread: 3))
    #expect(thread("p2.-1") == ThreadPattern(process: 2, thread: -1))
    #expect(thread("p2") == ThreadPattern(process: 2, thread: -1))
    #expect(thread("-1") == ThreadPattern(process: nil, thread: -1))
    #expect(thread("pffffffffff.1") == nil)
    #expect(thread("") == nil)
}
