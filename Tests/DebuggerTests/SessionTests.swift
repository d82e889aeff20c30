import Debugger
import Glibc
import Testing
import Translation

/// A target with one process of two threads and a page of memory.
private final class FakeTarget: DebugTarget, DebugOperatingSystem {
    let architecture = "fake"
    let operatingSystem: String? = nil
    let registerFeatures = [RegisterFeature("fake.core", [
        DebugRegister("a", bits: 64, .zero), DebugRegister("wide", bits: 128, .zero), DebugRegister("pc", bits: 64, .programCounter),
    ])]
    var threads = [DebugThread(process: 7, thread: 7), DebugThread(process: 7, thread: 8)]
    var memory = [UInt8](repeating: 0x5a, count: 4096)
    var registers: [String: [UInt8]] = [:]
    var breakpoints = 0
    var actions: [ResumeAction] = []

    func name(of thread: DebugThread) -> String? { "<\(thread.thread)>" }
    func readRegister(_ register: DebugRegister, of thread: DebugThread) -> [UInt8]? {
        registers[register.name] ?? [UInt8](repeating: 1, count: register.byteCount)
    }
    func writeRegister(_ register: DebugRegister, of thread: DebugThread, _ bytes: [UInt8]) -> Bool {
        guard bytes.count == register.byteCount else { return false }
        registers[register.name] = bytes
        return true
    }
    func readMemory(_ address: UInt64, _ count: Int, of thread: DebugThread) -> [UInt8] {
        guard address >= 0x1000, address < 0x2000 else { return [] }
        return Array(memory[Int(address - 0x1000)...].prefix(count))
    }
    func writeMemory(_ address: UInt64, _ bytes: [UInt8], of thread: DebugThread) -> Bool {
        guard address >= 0x1000, address < 0x2000, UInt64(bytes.count) <= 0x2000 - address else { return false }
        memory.replaceSubrange(Int(address - 0x1000) ..< Int(address - 0x1000) + bytes.count, with: bytes)
        return true
    }
    func insertBreakpoint(_ kind: BreakpointKind, at address: UInt64, length: UInt64, of process: Int32) -> Bool {
        breakpoints += 1
        return true
    }
    func removeBreakpoint(_ kind: BreakpointKind, at address: UInt64, length: UInt64, of process: Int32) -> Bool { true }
    func resume(packet: [UInt8], _ action: (DebugThread) -> ResumeAction) -> Bool {
        actions = threads.map(action)
        return true
    }
    func interrupt() {}
    func detach(_ process: Int32) -> Bool { process == 7 }
    func kill() {}
    func monitor(_ command: String) -> String? { command == "help" ? "nothing\n" : nil }

    let auxiliaryVector: [UInt8] = [1, 2, 3]
    let executablePath = Array("/bin/true".utf8)
    func signalInformation(of thread: DebugThread) -> [UInt8]? { nil }
    var passed: Set<UInt8> = []
    func passSignals(_ signals: Set<UInt8>) { passed = signals }
    var caught: Set<Int>?
    func catchSystemCalls(_ numbers: Set<Int>?) { caught = numbers }
    func reportEvents(_ events: RemoteEvents) {}
    func openFile(_ path: [UInt8], flags: Int32, mode: UInt32) -> Int32 {
        path == Array("/dev/zero".utf8) ? open("/dev/zero", O_RDONLY) : -ENOENT
    }
    func readLink(_ path: [UInt8]) -> [UInt8]? { nil }
}

private func session() -> (RemoteSession, FakeTarget) {
    let target = FakeTarget()
    let session = RemoteSession(target: target)
    session.begin(with: Stop(thread: target.threads[0], event: .signal(5)))
    return (session, target)
}

private extension RemoteSession {
    func ask(_ text: String) -> String? { respond(to: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) } }
}

@Test func simpleQuestions() {
    let (session, target) = session()
    #expect(session.ask("?") == "T05thread:7;")
    #expect(session.ask("qSupported:multiprocess+;swbreak+")?.hasPrefix("PacketSize=") == true)
    #expect(session.ask("?") == "T05thread:p7.7;")
    #expect(session.ask("qfThreadInfo") == "mp7.7,p7.8")
    #expect(session.ask("Hgp7.8") == "OK")
    #expect(session.ask("qC") == "QCp7.8")
    #expect(session.ask("Tp7.9") == "E03")
    #expect(session.ask("m1000,4") == "5a5a5a5a")
    #expect(session.ask("m3000,4") == "E0e")
    #expect(session.ask("M1ffe,2:0102") == "OK")
    #expect(session.ask("m1ffe,8") == "0102")
    #expect(session.ask("g")?.count == 2 * 32)
    #expect(session.ask("P2=0807060504030201") == "OK")
    #expect(session.ask("p2") == "0807060504030201")
    #expect(session.ask("p3") == "E16")
    #expect(session.ask("Z0,1000,4") == "OK")
    #expect(session.ask("QPassSignals:e;10;1b") == "OK")
    #expect(target.passed == [14, 16, 27])
    #expect(session.ask("QCatchSyscalls:1;40;5d") == "OK")
    #expect(target.caught == [64, 93])
    #expect(session.ask("qRcmd,68656c70") == "6e6f7468696e670a")
    #expect(session.ask("qXfer:auxv:read::0,100") == "l\u{1}\u{2}\u{3}")
    #expect(session.ask("qXfer:features:read:target.xml:0,20")?.hasPrefix("m<?xml") == true)
    #expect(session.ask("qXfer:threads:read::0,fff")?.contains("name=\"&lt;7&gt;\"") == true)
    #expect(session.ask("vMustReplyEmpty") == "")
    #expect(session.ask("qSearch:memory:1000;1000;Z") == "1,1000")
    #expect(session.ask("qCRC:1000,0") == "Cffffffff")
}

@Test func filesAreReadOnly() {
    let (session, _) = session()
    #expect(session.ask("vFile:setfs:0") == "F0")
    #expect(session.ask("vFile:open:2f6465762f7a65726f,1,0") == "F-1,d")
    #expect(session.ask("vFile:open:2f6e6f7768657265,0,0") == "F-1,2")
    guard let opened = session.ask("vFile:open:2f6465762f7a65726f,0,0"), opened.hasPrefix("F") else {
        Issue.record("not opened")
        return
    }
    let descriptor = opened.dropFirst()
    #expect(session.ask("vFile:pread:\(descriptor),3,0") == "F3;\0\0\0")
    #expect(session.ask("vFile:fstat:\(descriptor)")?.hasPrefix("F40;") == true)
    #expect(session.ask("vFile:close:\(descriptor)") == "F0")
    #expect(session.ask("vFile:close:\(descriptor)") == "F-1,9")
    // A descriptor that the session did not open is not its own.
    #expect(session.ask("vFile:pread:0,10,0") == "F-1,9")
}

@Test func actionsGoToTheirThreads() {
    let (session, target) = session()
    #expect(session.ask("vCont;s:p7.8;C0a:p7.7;c") == nil)
    #expect(target.actions == [.run(signal: 10), .step(signal: 0)])
    // Nothing is looked at while it runs.
    #expect(session.ask("g") == "E01")
    #expect(String(decoding: session.didStop(Stop(thread: target.threads[1], event: .breakpoint(hardware: false))), as: UTF8.self) == "T05thread:8;")
    #expect(session.ask("vCont;r1000,1010:8") == nil)
    #expect(target.actions == [.hold, .stepRange(0x1000 ..< 0x1010)])
    _ = session.didStop(Stop(thread: target.threads[1], event: .step))
    #expect(session.ask("c") == nil)
    #expect(target.actions == [.run(signal: 0), .run(signal: 0)])
}

@Test func anyPacketIsAnswered() {
    var numbers = FixedNumbers(state: 3)
    let heads = ["", "?", "g", "G", "p", "P", "m", "M", "X", "x", "z0,", "Z2,", "Hg", "Hc", "T", "vCont;", "vCont?", "vFile:", "vFile:open:",
                 "vFile:pread:", "vFile:fstat:", "qXfer:", "qXfer:features:read:target.xml:", "qXfer:threads:read::", "qXfer:siginfo:read::",
                 "qSupported:", "qRcmd,", "qSearch:memory:", "qCRC:", "QPassSignals:", "QCatchSyscalls:1", "QNonStop:", "D", "vKill;", "C", "S",
                 "s", "c", "qThreadExtraInfo,", "QStartNoAckMode"].map { Array($0.utf8) }
    let usual = Array("0123456789abcdef,;:=-.p".utf8)
    for _ in 0 ..< 200 {
        let (session, target) = session()
        for _ in 0 ..< 500 {
            var packet = heads.randomElement(using: &numbers) ?? []
            for _ in 0 ..< Int.random(in: 0 ..< 40, using: &numbers) {
                let isUsual = UInt8.random(in: 0 ..< 10, using: &numbers) > 0
                packet.append(isUsual ? usual.randomElement(using: &numbers) ?? 0 : UInt8.random(in: 0 ... 255, using: &numbers))
            }
            if session.respond(to: packet) == nil {
                _ = session.didStop(Stop(thread: target.threads[0], event: .step))
            }
        }
    }
}
