// `q`, `Q` and `v` packets: what both sides can do, documents about the target, host files.

import Translation

extension RemoteSession {
    // MARK: q and Q

    func query(_ packet: PacketScanner) -> [UInt8]? {
        var scanner = packet
        if scanner.take("qSupported") { return supported(scanner.rest) }
        if scanner.take("qXfer:") { return transfer(&scanner) }
        if scanner.take("qC") && scanner.isAtEnd { return current.map { Self.bytes("QC" + name($0)) } ?? Self.error(3) }
        scanner = packet
        if scanner.take("qfThreadInfo") { return Self.bytes("m" + target.threads.map { name($0) }.joined(separator: ",")) }
        if scanner.take("qsThreadInfo") { return Self.bytes("l") }
        if scanner.take("qThreadExtraInfo,") {
            guard let pattern = scanner.thread(), let thread = find(pattern) else { return Self.error(3) }
            return Hexadecimal.encode((target.name(of: thread) ?? "").utf8)
        }
        // A program that Apus started is killed when gdb quits.
        if scanner.take("qAttached") { return Self.bytes(target.wasRunning ? "1" : "0") }
        if scanner.take("qSymbol:") { return Self.ok }
        if scanner.take("qRcmd,") { return monitor(scanner.rest) }
        if scanner.take("qSearch:memory:") { return search(&scanner) }
        if scanner.take("qCRC:") { return checksum(&scanner) }
        if scanner.take("QStartNoAckMode") {
            events.insert(.noAcknowledgement)
            system?.reportEvents(events)
            return Self.ok
        }
        if scanner.take("QNonStop:") { return scanner.take("0") ? Self.ok : Self.error(22) }
        if scanner.take("QThreadSuffixSupported") { return [] }
        if let answer = target.answer(String(decoding: packet.rest, as: UTF8.self)) { return Self.bytes(answer) }
        guard let system else { return [] }
        if scanner.take("QPassSignals:") {
            system.passSignals(Set(numbers(&scanner).compactMap { UInt8(exactly: $0) }))
            return Self.ok
        }
        // Every signal but those the program ignores is delivered anyway.
        if scanner.take("QProgramSignals:") { return Self.ok }
        if scanner.take("QCatchSyscalls:") {
            if scanner.take("0") {
                system.catchSystemCalls(nil)
            } else {
                guard scanner.take("1") else { return Self.error(22) }
                _ = scanner.take(";")
                system.catchSystemCalls(Set(numbers(&scanner)))
            }
            return Self.ok
        }
        return []
    }

    /// Hexadecimal numbers between semicolons.
    private func numbers(_ scanner: inout PacketScanner) -> [Int] {
        var result: [Int] = []
        while !scanner.isAtEnd {
            var field = PacketScanner(scanner.field(until: UInt8(ascii: ";")))
            if let number = field.count(limit: 1 << 20) { result.append(number) }
        }
        return result
    }

    private func supported(_ text: ArraySlice<UInt8>) -> [UInt8] {
        let known: [(String, RemoteEvents)] = [
            ("multiprocess+", .multiprocess), ("swbreak+", .softwareBreakpoint), ("hwbreak+", .hardwareBreakpoint),
            ("fork-events+", .fork), ("vfork-events+", .vfork), ("exec-events+", .execution),
        ]
        events.formIntersection([.noAcknowledgement])
        for word in text.split(whereSeparator: { $0 == UInt8(ascii: ";") || $0 == UInt8(ascii: ":") }) {
            for (name, event) in known where word.elementsEqual(name.utf8) { events.insert(event) }
        }
        var answer = "PacketSize=\(String(Self.packetSize, radix: 16));QStartNoAckMode+;multiprocess+;swbreak+;hwbreak+;"
            + "vContSupported+;qXfer:features:read+;qXfer:threads:read+;binary-upload+"
        if let system {
            answer += ";qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:siginfo:read+;QPassSignals+;QProgramSignals+;"
                + "QCatchSyscalls+;fork-events+;vfork-events+;exec-events+"
            system.reportEvents(events)
        }
        return Self.bytes(answer)
    }

    private func monitor(_ text: ArraySlice<UInt8>) -> [UInt8] {
        guard let bytes = Hexadecimal.decode(text) else { return Self.error(22) }
        let command = String(decoding: bytes, as: UTF8.self)
        let answer = target.monitor(command) ?? "unknown command '\(command)' ('monitor help' lists the commands)\n"
        return Hexadecimal.encode(answer.utf8)
    }

    /// `qSearch:memory:address;length;pattern`
    private func search(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let thread = current, let address = scanner.number(), scanner.take(";"), let length = scanner.number(),
              scanner.take(";"), !scanner.isAtEnd, length <= 1 << 30 else { return Self.error(22) }
        let pattern = Array(scanner.rest)
        var done: UInt64 = 0
        while done < length {
            let count = Int(min(65536 &+ UInt64(pattern.count), length &- done))
            let bytes = target.readMemory(address &+ done, count, of: thread)
            guard bytes.count >= pattern.count else { break }
            for start in 0 ... bytes.count &- pattern.count where bytes[start ..< start &+ pattern.count].elementsEqual(pattern) {
                return Self.bytes("1," + String(address &+ done &+ UInt64(start), radix: 16))
            }
            if bytes.count < count { break }
            done &+= 65536
        }
        return Self.bytes("0")
    }

    /// `qCRC:address,length`: CRC-32 with polynomial 0x04c11db7, most significant bit first, starting from all ones.
    private func checksum(_ scanner: inout PacketScanner) -> [UInt8] {
        guard let thread = current, let address = scanner.number(), scanner.take(","),
              let length = scanner.count(limit: 1 << 28) else { return Self.error(22) }
        var crc: UInt32 = 0xffff_ffff
        var done = 0
        while done < length {
            let bytes = target.readMemory(address &+ UInt64(done), min(65536, length &- done), of: thread)
            guard !bytes.isEmpty else { return Self.error(14) }
            for byte in bytes {
                crc ^= UInt32(byte) &<< 24
                for _ in 0 ..< 8 { crc = crc &<< 1 ^ (crc &>> 31 != 0 ? 0x04c1_1db7 : 0) }
            }
            done &+= bytes.count
        }
        return Self.bytes("C" + String(crc, radix: 16))
    }

    // MARK: v

    func verbose(_ scanner: inout PacketScanner, _ packet: [UInt8]) -> [UInt8]? {
        if scanner.take("Cont?") { return Self.bytes("vCont;c;C;s;S;r") }
        if scanner.take("Cont;") { return resume(&scanner, packet) }
        if scanner.take("CtrlC") {
            target.interrupt()
            return Self.ok
        }
        if scanner.take("Kill") {
            ending = .killed
            return Self.ok
        }
        if scanner.take("File:") { return files.respond(&scanner, system) }
        return []
    }

    // MARK: qXfer

    private func transfer(_ scanner: inout PacketScanner) -> [UInt8] {
        let object = scanner.field(until: UInt8(ascii: ":"))
        guard scanner.take("read:") else { return [] }
        let annex = scanner.field(until: UInt8(ascii: ":"))
        guard let offset = scanner.count(limit: .max), scanner.take(","), let length = scanner.count(limit: .max) else { return Self.error(22) }
        let name = Array(object) + Self.bytes(":") + Array(annex)
        // A document is made when its beginning is asked for, and stays until then.
        if offset == 0 || document.name != name {
            guard let text = makeDocument(String(decoding: object, as: UTF8.self), annex) else { return Self.error(0) }
            guard !text.isEmpty || object.elementsEqual("siginfo".utf8) else { return [] }
            document = (name, text)
        }
        guard offset < document.text.count else { return Self.bytes("l") }
        let part = document.text[offset ..< min(document.text.count, offset &+ min(length, Self.packetSize / 2 &- 8))]
        return Self.bytes(part.endIndex == document.text.count ? "l" : "m") + part
    }

    /// Nil: an error. Empty: there is no such object.
    private func makeDocument(_ object: String, _ annex: ArraySlice<UInt8>) -> [UInt8]? {
        switch object {
        case "features": return annex.elementsEqual("target.xml".utf8) ? TargetDescription.text(of: target) : nil
        case "threads": return threadList()
        case "auxv": return system?.auxiliaryVector ?? []
        case "exec-file": return system?.executablePath ?? []
        case "siginfo":
            guard let system, let thread = current else { return [] }
            return system.signalInformation(of: thread)
        default: return []
        }
    }

    private func threadList() -> [UInt8] {
        var text = "<?xml version=\"1.0\"?>\n<threads>\n"
        for thread in target.threads {
            text += "<thread id=\"\(name(thread))\""
            if let label = target.name(of: thread) { text += " name=\"\(TargetDescription.escaped(label))\"" }
            text += "/>\n"
        }
        return Self.bytes(text + "</threads>\n")
    }
}

/// The XML that tells gdb which registers there are ("Target Descriptions" in gdb's manual).
enum TargetDescription {
    static func text(of target: any DebugTarget) -> [UInt8] {
        var text = "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n"
            + "<architecture>\(target.architecture)</architecture>\n"
        if let system = target.operatingSystem { text += "<osabi>\(system)</osabi>\n" }
        var number = 0
        for feature in target.registerFeatures {
            text += "<feature name=\"\(feature.name)\">\n\(feature.types)\n"
            for register in feature.registers {
                text += "<reg name=\"\(register.name)\" bitsize=\"\(register.bits)\" type=\"\(register.type)\" regnum=\"\(number)\"/>\n"
                number &+= 1
            }
            text += "</feature>\n"
        }
        return Array((text + "</target>\n").utf8)
    }

    static func escaped(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { out, scalar in
            switch scalar {
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "&": out += "&amp;"
            case "\"": out += "&quot;"
            default: out.unicodeScalars.append(scalar.value < 0x20 ? "?" : scalar)
            }
        }
    }
}
