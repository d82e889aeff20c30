// Registers, memory and breakpoints.

import Translation

extension RemoteSession {
    // MARK: registers

    func readRegisters() -> [UInt8] {
        guard let thread = current else { return Self.error(3) }
        var text: [UInt8] = []
        for register in registers {
            text += target.readRegister(register, of: thread).map { Hexadecimal.encode($0) }
                ?? [UInt8](repeating: UInt8(ascii: "x"), count: 2 &* register.byteCount)
        }
        return text
    }

    func writeRegisters(_ text: ArraySlice<UInt8>) -> [UInt8] {
        guard let thread = current, let bytes = Hexadecimal.decode(text) else { return Self.error(22) }
        var offset = 0
        for register in registers {
            guard offset &+ register.byteCount <= bytes.count else { break }
            _ = target.writeRegister(register, of: thread, Array(bytes[offset ..< offset &+ register.byteCount]))
            offset &+= register.byteCount
        }
        return Self.ok
    }

    func readRegister(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let thread = current, let number = scanner.count(limit: registers.count &- 1),
              let bytes = target.readRegister(registers[number], of: thread) else { return Self.error(22) }
        return Hexadecimal.encode(bytes)
    }

    func writeRegister(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let thread = current, let number = scanner.count(limit: registers.count &- 1), scanner.take("="),
              let bytes = Hexadecimal.decode(scanner.rest),
              target.writeRegister(registers[number], of: thread, bytes) else { return Self.error(22) }
        return Self.ok
    }

    // MARK: memory

    private func range(_ scanner: inout PacketScanner) -> (address: UInt64, count: Int)? {
        guard let address = scanner.number(), scanner.take(","), let count = scanner.count(limit: 1 << 20) else { return nil }
        return (address, count)
    }

    func readMemory(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let thread = current, let (address, count) = range(&scanner) else { return Self.error(22) }
        let bytes = target.readMemory(address, min(count, Self.packetSize / 2 &- 8), of: thread)
        return bytes.isEmpty && count > 0 ? Self.error(14) : Hexadecimal.encode(bytes)
    }

    func readBinaryMemory(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let thread = current, let (address, count) = range(&scanner) else { return Self.error(22) }
        let bytes = target.readMemory(address, min(count, Self.packetSize / 2 &- 8), of: thread)
        return bytes.isEmpty && count > 0 ? Self.error(14) : Self.bytes("b") + bytes
    }

    func writeMemory(_ scanner: inout PacketScanner, binary: Bool) -> [UInt8] {
        guard let thread = current, let (address, count) = range(&scanner), scanner.take(":") else { return Self.error(22) }
        guard let bytes = binary ? Array(scanner.rest) : Hexadecimal.decode(scanner.rest), bytes.count == count else {
            return Self.error(22)
        }
        return bytes.isEmpty || target.writeMemory(address, bytes, of: thread) ? Self.ok : Self.error(14)
    }

    // MARK: breakpoints

    func changeBreakpoint(_ scanner: inout PacketScanner, insert: Bool) -> [UInt8] {
        guard let process = current?.process, let type = scanner.number(), scanner.take(","), let address = scanner.number(),
              scanner.take(","), let length = scanner.number() else { return Self.error(22) }
        let kind: BreakpointKind
        switch type {
        case 0: kind = .software
        case 1: kind = .hardware
        case 2, 3, 4:
            guard let watch = WatchKind(rawValue: UInt8(type)), length > 0, length <= 1 << 20 else { return Self.error(22) }
            kind = .watch(watch)
        default: return []
        }
        let done = insert ? target.insertBreakpoint(kind, at: address, length: length, of: process)
            : target.removeBreakpoint(kind, at: address, length: length, of: process)
        return done ? Self.ok : Self.error(22)
    }

    // MARK: going on

    /// `c`, `s`, `C`, `S`: the forms that vCont replaced.
    func resume(_ letter: UInt8, _ scanner: inout PacketScanner, _ packet: [UInt8]) -> [UInt8]? {
        var signal: UInt8 = 0
        if letter == UInt8(ascii: "C") || letter == UInt8(ascii: "S") {
            guard let number = scanner.count(limit: 255) else { return Self.error(22) }
            signal = UInt8(number)
            _ = scanner.take(";")
        }
        if let address = scanner.number(), let thread = current, let pc = registers.first(where: { $0.name == "pc" }) {
            let bytes = (0 ..< pc.byteCount).map { UInt8(truncatingIfNeeded: address &>> UInt64(8 &* $0)) }
            _ = target.writeRegister(pc, of: thread, bytes)
        }
        let steps = letter == UInt8(ascii: "s") || letter == UInt8(ascii: "S")
        let chosen = lastStop?.thread ?? current
        let holdsOthers = continueThread.map { $0.thread > 0 } ?? false
        return goOn(packet) { thread in
            guard thread == chosen else { return holdsOthers ? .hold : .run(signal: 0) }
            return steps ? .step(signal: signal) : .run(signal: signal)
        }
    }

    /// `vCont;action:thread;…`: the first action whose thread matches is a thread's.
    func resume(_ scanner: inout PacketScanner, _ packet: [UInt8]) -> [UInt8]? {
        var actions: [(ResumeAction, ThreadPattern)] = []
        while !scanner.isAtEnd {
            var field = PacketScanner(scanner.field(until: UInt8(ascii: ";")))
            guard let action = action(&field) else { return Self.error(22) }
            var pattern = ThreadPattern(process: nil, thread: -1)
            if field.take(":") {
                guard let named = field.thread() else { return Self.error(22) }
                pattern = named
            }
            actions.append((action, pattern))
        }
        guard !actions.isEmpty else { return Self.error(22) }
        return goOn(packet) { thread in actions.first { $0.1.matches(thread) }?.0 ?? .hold }
    }

    private func action(_ field: inout PacketScanner) -> ResumeAction? {
        if field.take("c") { return .run(signal: 0) }
        if field.take("s") { return .step(signal: 0) }
        if field.take("C") { return field.count(limit: 255).map { .run(signal: UInt8($0)) } }
        if field.take("S") { return field.count(limit: 255).map { .step(signal: UInt8($0)) } }
        if field.take("r") {
            guard let low = field.number(), field.take(","), let high = field.number() else { return nil }
            return low < high ? .stepRange(low ..< high) : .step(signal: 0)
        }
        return nil
    }

    private func goOn(_ packet: [UInt8], _ action: (DebugThread) -> ResumeAction) -> [UInt8]? {
        isRunning = true
        if !target.resume(packet: packet, action) { ending = .handedOver }
        return nil
    }
}
