// One debugger's session: packets in, answers out. Knows nothing of sockets, so tests feed it what they like. The packets
// are those of "Packets" and "General Query Packets" in appendix E of gdb's manual; what it does not know it answers, as
// the protocol wants, by an empty packet. Left out: non-stop mode, tracepoints, starting and attaching to programs.

import Translation

public final class RemoteSession {
    let target: any DebugTarget
    var system: (any DebugOperatingSystem)? { target as? any DebugOperatingSystem }
    /// What the debugger said it understands.
    package internal(set) var events: RemoteEvents
    /// What ended the session.
    package enum Ending: Sendable { case detached, killed, handedOver, programGone }
    package internal(set) var ending: Ending?
    package internal(set) var isRunning = false

    let registers: [DebugRegister]
    var lastStop: Stop?
    /// The threads that `Hg` and `Hc` chose.
    var generalThread: DebugThread?
    var continueThread: ThreadPattern?
    var files = OpenFiles()
    /// The last answer of `qXfer`, of which it fetches part after part.
    var document: (name: [UInt8], text: [UInt8]) = ([], [])

    /// The longest packet the debugger may send, and the longest answer.
    static let packetSize = 0x4000

    public init(target: any DebugTarget, events: RemoteEvents = []) {
        self.target = target
        self.events = events
        registers = target.registerFeatures.flatMap(\.registers)
    }

    /// The answer to `packet`, or nil if there is none (yet): the target runs, or the session is over.
    package func respond(to packet: [UInt8]) -> [UInt8]? {
        var scanner = PacketScanner(packet)
        guard let letter = packet.first else { return [] }
        // Nothing is looked at while it moves.
        if isRunning, !(letter == UInt8(ascii: "k") || scanner.take("vCtrlC") || scanner.take("vKill")) { return Self.error(1) }
        scanner = PacketScanner(packet.dropFirst())
        switch letter {
        case UInt8(ascii: "?"): return lastStop.map { text(of: $0) } ?? Self.bytes("S05")
        case UInt8(ascii: "g"): return readRegisters()
        case UInt8(ascii: "G"): return writeRegisters(scanner.rest)
        case UInt8(ascii: "p"): return readRegister(&scanner)
        case UInt8(ascii: "P"): return writeRegister(&scanner)
        case UInt8(ascii: "m"): return readMemory(&scanner)
        case UInt8(ascii: "x"): return readBinaryMemory(&scanner)
        case UInt8(ascii: "M"): return writeMemory(&scanner, binary: false)
        case UInt8(ascii: "X"): return writeMemory(&scanner, binary: true)
        case UInt8(ascii: "Z"), UInt8(ascii: "z"): return changeBreakpoint(&scanner, insert: letter == UInt8(ascii: "Z"))
        case UInt8(ascii: "H"): return chooseThread(&scanner)
        case UInt8(ascii: "T"): return isAlive(&scanner)
        case UInt8(ascii: "c"), UInt8(ascii: "s"), UInt8(ascii: "C"), UInt8(ascii: "S"): return resume(letter, &scanner, packet)
        case UInt8(ascii: "v"): return verbose(&scanner, packet)
        case UInt8(ascii: "q"), UInt8(ascii: "Q"): return query(PacketScanner(packet))
        case UInt8(ascii: "D"): return detach(&scanner)
        case UInt8(ascii: "k"):
            // Whoever serves the session does it, after the answer.
            ending = .killed
            return nil
        default: return []
        }
    }

    /// The packet that says why the target stopped. The session may look at it again.
    package func didStop(_ stop: Stop) -> [UInt8] {
        isRunning = false
        lastStop = stop
        generalThread = stop.thread
        if case .exited = stop.event { ending = .programGone }
        if case .killed = stop.event { ending = .programGone }
        return text(of: stop)
    }

    /// The target was let go on by a process before this one.
    package func continueSilently() { isRunning = true }

    /// The target is stopped before the first packet.
    package func begin(with stop: Stop) {
        lastStop = stop
        generalThread = stop.thread
    }

    // MARK: texts

    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    static let ok = bytes("OK")
    static func error(_ number: UInt8) -> [UInt8] { bytes("E") + Hexadecimal.encode([number]) }

    func name(_ thread: DebugThread) -> String {
        let tid = String(thread.thread, radix: 16)
        return events.contains(.multiprocess) ? "p" + String(thread.process, radix: 16) + "." + tid : tid
    }

    private func text(of stop: Stop) -> [UInt8] {
        func head(_ signal: UInt8) -> [UInt8] { Self.bytes("T") + Hexadecimal.encode([signal]) }
        func hex(_ number: Int) -> String { String(number, radix: 16) }
        let process = events.contains(.multiprocess) ? ";process:" + String(stop.thread.process, radix: 16) : ""
        var text: [UInt8]
        switch stop.event {
        case .exited(let status): return Self.bytes("W") + Hexadecimal.encode([status]) + Self.bytes(process)
        case .killed(let signal): return Self.bytes("X") + Hexadecimal.encode([signal]) + Self.bytes(process)
        case .signal(let signal): text = head(signal)
        case .step: text = head(5)
        case .breakpoint(hardware: false): text = head(5) + (events.contains(.softwareBreakpoint) ? Self.bytes("swbreak:;") : [])
        case .breakpoint(hardware: true): text = head(5) + (events.contains(.hardwareBreakpoint) ? Self.bytes("hwbreak:;") : [])
        case .watchpoint(let kind, let address):
            let name = switch kind { case .write: "watch"; case .read: "rwatch"; case .access: "awatch" }
            text = head(5) + Self.bytes("\(name):\(String(address, radix: 16));")
        case .systemCallEntry(let number): text = head(5) + Self.bytes("syscall_entry:\(hex(number));")
        case .systemCallReturn(let number): text = head(5) + Self.bytes("syscall_return:\(hex(number));")
        case .fork(let child): text = head(5) + Self.bytes("fork:\(name(child));")
        case .vfork(let child): text = head(5) + Self.bytes("vfork:\(name(child));")
        case .vforkDone: text = head(5) + Self.bytes("vforkdone:;")
        case .execution(let path): text = head(5) + Self.bytes("exec:") + Hexadecimal.encode(path) + Self.bytes(";")
        }
        return text + Self.bytes("thread:\(name(stop.thread));")
    }

    // MARK: threads

    /// The thread that packets about registers and memory mean.
    var current: DebugThread? { generalThread ?? target.threads.first }

    func find(_ pattern: ThreadPattern) -> DebugThread? {
        if let current, pattern.matches(current) { return current }
        return target.threads.first { pattern.matches($0) }
    }

    private func chooseThread(_ scanner: inout PacketScanner) -> [UInt8] {
        let isGeneral = scanner.take("g")
        guard isGeneral || scanner.take("c"), let pattern = scanner.thread() else { return Self.error(22) }
        guard let thread = find(pattern) else { return Self.error(3) }
        if isGeneral { generalThread = thread } else { continueThread = pattern }
        return Self.ok
    }

    private func isAlive(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let pattern = scanner.thread() else { return Self.error(22) }
        return target.threads.contains { pattern.matches($0) } ? Self.ok : Self.error(3)
    }

    private func detach(_ scanner: inout PacketScanner) -> [UInt8]? {
        var process = current?.process ?? 0
        if scanner.take(";") {
            guard let number = scanner.count(limit: Int(Int32.max)) else { return Self.error(22) }
            process = Int32(truncatingIfNeeded: number)
        }
        if target.detach(process) { ending = .detached }
        return Self.ok
    }
}
