// The server's side of the fixed newstyle handshake: options until the client chooses an export.

import Block
import Sockets

/// What a connection has agreed on.
struct Agreement: Sendable {
    var isStructured = false
    var isExtended = false
    /// The contexts that were asked for, by their numbers in the export.
    var contexts: [UInt32] = []
    fileprivate var contextsOf: String?
}

/// One handshake.
struct ServerHandshake {
    let channel: Channel
    let exports: any ExportSource
    let credentials: TLSCredentials?
    private var agreement = Agreement()
    private var isSecure = false
    private var skipsZeroes = false

    init(_ channel: Channel, _ exports: any ExportSource, _ credentials: TLSCredentials?) {
        self.channel = channel
        self.exports = exports
        self.credentials = credentials
    }

    /// The export that the client has chosen; nil if it went away.
    mutating func run() throws(SocketError) -> (Export, Agreement)? {
        var greeting = MessageWriter()
        greeting.put(Handshake.greeting)
        greeting.put(Handshake.option)
        greeting.put(Handshake.fixedNewstyle | Handshake.noZeroes)
        try channel.send(greeting.bytes)
        var answer = MessageReader(try channel.bytes(4))
        let flags = answer.number(UInt32.self) ?? 0
        guard flags & ~UInt32(Handshake.fixedNewstyle | Handshake.noZeroes) == 0, flags & UInt32(Handshake.fixedNewstyle) != 0 else {
            throw SocketError("the client's flags \(flags) are not known")
        }
        skipsZeroes = flags & UInt32(Handshake.noZeroes) != 0
        for _ in 0..<Handshake.mostOptions {
            var head = MessageReader(try channel.bytes(16))
            guard head.number(UInt64.self) == Handshake.option, let code = head.number(UInt32.self), let length = head.number(UInt32.self) else {
                throw SocketError("the client sent no option")
            }
            if length > UInt32(Handshake.longestOption) {
                // Read over, so that the client learns of it; not for ever.
                guard length <= UInt32(Limits.payload) else { throw SocketError("an option of \(length) bytes") }
                try skip(Int(length))
                try reply(code, OptionReply.tooBig, text: "an option of \(length) bytes is too long")
                continue
            }
            let data = try channel.bytes(Int(length))
            if credentials != nil, !isSecure, code != Option.startTLS.rawValue {
                if code == Option.exportName.rawValue { throw SocketError("the client does not use TLS") }
                if code == Option.abort.rawValue { try? reply(code, OptionReply.acknowledged); return nil }
                try reply(code, OptionReply.tlsRequired, text: "Option 0x\(String(code, radix: 16)) not permitted before TLS")
                continue
            }
            guard let option = Option(rawValue: code) else {
                try reply(code, OptionReply.unsupported, text: "Unsupported option \(code)")
                continue
            }
            if let chosen = try handle(option, data) {
                switch chosen {
                case .left: return nil
                case .export(let export): return (export, agreement)
                }
            }
        }
        throw SocketError("the client asked for more than \(Handshake.mostOptions) options")
    }

    private enum Outcome { case left, export(Export) }

    private mutating func handle(_ option: Option, _ data: [UInt8]) throws(SocketError) -> Outcome? {
        switch option {
        case .exportName: return .export(try enterByName(data))
        case .abort:
            try? reply(option.rawValue, OptionReply.acknowledged)
            return .left
        case .list: try list(data)
        case .peekExport: try reply(option.rawValue, OptionReply.unsupported, text: "Unsupported option 4")
        case .startTLS: try startTLS(data)
        case .info, .go: return try go(option, data).map { .export($0) }
        case .structuredReply, .extendedHeaders: try negotiate(option, data)
        case .listMetaContext, .setMetaContext: try metaContexts(option, data)
        }
        return nil
    }

    // MARK: Replies

    private func reply(_ option: UInt32, _ type: UInt32, _ data: [UInt8] = []) throws(SocketError) {
        var message = MessageWriter()
        message.put(Handshake.reply)
        message.put(option)
        message.put(type)
        message.put(UInt32(truncatingIfNeeded: data.count))
        message.put(data)
        try channel.send(message.bytes)
    }
    private func reply(_ option: UInt32, _ type: UInt32, text: String) throws(SocketError) { try reply(option, type, Array(text.utf8)) }

    private func skip(_ count: Int) throws(SocketError) {
        var left = count
        while left > 0 { left -= try channel.bytes(min(left, 65536)).count }
    }

    // MARK: Options

    private mutating func enterByName(_ data: [UInt8]) throws(SocketError) -> Export {
        guard let name = String(validating: data, as: UTF8.self), let export = exports.export(named: name) else {
            throw SocketError("the client asked for an export that there is not")
        }
        forgetContexts(unlessOf: export.name)
        var message = MessageWriter()
        message.put(export.size)
        message.put(export.flags(structured: agreement.isStructured).rawValue)
        if !skipsZeroes { message.put([UInt8](repeating: 0, count: 124)) }
        try channel.send(message.bytes)
        return export
    }

    private func list(_ data: [UInt8]) throws(SocketError) {
        let code = Option.list.rawValue
        guard data.isEmpty else { return try reply(code, OptionReply.invalid, text: "NBD_OPT_LIST takes no data") }
        for export in exports.all {
            var message = MessageWriter()
            message.put(counted: export.name)
            if let description = export.settings.description { message.put(text: description) }
            try reply(code, OptionReply.server, message.bytes)
        }
        try reply(code, OptionReply.acknowledged)
    }

    private mutating func startTLS(_ data: [UInt8]) throws(SocketError) {
        let code = Option.startTLS.rawValue
        guard data.isEmpty else { return try reply(code, OptionReply.invalid, text: "NBD_OPT_STARTTLS takes no data") }
        guard let credentials else { return try reply(code, OptionReply.policy, text: "TLS not configured") }
        guard !isSecure else { return try reply(code, OptionReply.invalid, text: "TLS already enabled") }
        try reply(code, OptionReply.acknowledged)
        try channel.secure(credentials, host: nil)
        isSecure = true
        // What was agreed on before could have come from somebody else.
        agreement = Agreement()
    }

    private mutating func negotiate(_ option: Option, _ data: [UInt8]) throws(SocketError) {
        let code = option.rawValue
        guard data.isEmpty else { return try reply(code, OptionReply.invalid, text: "option \(code) takes no data") }
        if option == .extendedHeaders {
            if agreement.isExtended { return try reply(code, OptionReply.invalid, text: "extended headers already negotiated") }
            agreement.isExtended = true
            agreement.isStructured = true
        } else {
            if agreement.isExtended { return try reply(code, OptionReply.extendedRequired, text: "extended headers already negotiated") }
            if agreement.isStructured { return try reply(code, OptionReply.invalid, text: "structured reply already negotiated") }
            agreement.isStructured = true
        }
        try reply(code, OptionReply.acknowledged)
    }

    private mutating func go(_ option: Option, _ data: [UInt8]) throws(SocketError) -> Export? {
        let code = option.rawValue
        var message = MessageReader(data)
        guard let name = message.countedText(), let count = message.number(UInt16.self), message.rest == Int(count) * 2 else {
            try reply(code, OptionReply.invalid, text: "the option's data are malformed")
            return nil
        }
        var wanted: Set<UInt16> = []
        for _ in 0..<count { if let type = message.number(UInt16.self) { wanted.insert(type) } }
        guard let export = exports.export(named: name) else {
            try reply(code, OptionReply.unknown, text: "export '\(name)' not present")
            return nil
        }
        if option == .go { forgetContexts(unlessOf: export.name) }
        func info(_ type: UInt16, _ body: (inout MessageWriter) -> Void) throws(SocketError) {
            var message = MessageWriter()
            message.put(type)
            body(&message)
            try reply(code, OptionReply.info, message.bytes)
        }
        if wanted.contains(InfoType.name) { try info(InfoType.name) { $0.put(text: export.name) } }
        if wanted.contains(InfoType.description), let text = export.settings.description { try info(InfoType.description) { $0.put(text: text) } }
        try info(InfoType.blockSize) { message in
            message.put(UInt32(1))
            message.put(export.preferredBlock)
            message.put(UInt32(Limits.payload))
        }
        try info(InfoType.export) { message in
            message.put(export.size)
            message.put(export.flags(structured: agreement.isStructured).rawValue)
        }
        try reply(code, OptionReply.acknowledged)
        return option == .go ? export : nil
    }

    // MARK: Contexts

    private mutating func forgetContexts(unlessOf name: String) {
        if agreement.contextsOf != name { agreement.contexts = [] }
    }

    private mutating func metaContexts(_ option: Option, _ data: [UInt8]) throws(SocketError) {
        let code = option.rawValue
        let isList = option == .listMetaContext
        guard agreement.isStructured else { return try reply(code, OptionReply.invalid, text: "request option \(code) when structured reply is not negotiated") }
        var message = MessageReader(data)
        guard let name = message.countedText(), let count = message.number(UInt32.self) else {
            return try reply(code, OptionReply.invalid, text: "the option's data are malformed")
        }
        guard let export = exports.export(named: name) else {
            agreement.contexts = []
            return try reply(code, OptionReply.unknown, text: "export '\(name)' not present")
        }
        var chosen: Set<Int> = []
        if isList, count == 0 { chosen = Set(export.contexts.indices) }
        var left = count
        while left > 0 {
            guard let query = message.countedText() else { return try reply(code, OptionReply.invalid, text: "the option's data are malformed") }
            for (index, context) in export.contexts.enumerated() where context.answers(query, isList: isList) { chosen.insert(index) }
            left -= 1
        }
        guard message.rest == 0 else { return try reply(code, OptionReply.invalid, text: "the option's data are malformed") }
        let numbers = chosen.sorted().prefix(Limits.contexts)
        for index in numbers {
            var answer = MessageWriter()
            answer.put(isList ? UInt32(0) : UInt32(index))
            answer.put(text: export.contexts[index].name)
            try reply(code, OptionReply.metaContext, answer.bytes)
        }
        try reply(code, OptionReply.acknowledged)
        if !isList {
            agreement.contexts = numbers.map { UInt32($0) }
            agreement.contextsOf = export.name
        }
    }
}
