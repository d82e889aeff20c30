// The client's side of the handshake: fixed newstyle and, for old servers, newstyle and oldstyle.

import Sockets

/// What a server says of an export.
public struct ExportInformation: Sendable {
    public var name: String
    public var description: String?
    public var size: UInt64 = 0
    public var flags: ExportFlags = []
    /// Minimum, preferred, maximum; nil if the server did not say.
    public var blockSizes: (minimum: UInt32, preferred: UInt32, maximum: UInt32)?
    public var contexts: [String] = []
    /// Requests may have 64-bit lengths.
    public var isExtended = false
}

/// What a client wants to agree on.
package struct ClientWishes: Sendable {
    package var export: String
    package var credentials: TLSCredentials?
    /// The name that the server's certificate must have.
    package var host: String?
    /// The metadata context to ask about.
    package var context = Context.allocation
    /// Not even asked for. For tests.
    package var avoidsExtended = false
    package var avoidsStructured = false

    package init(
        export: String, credentials: TLSCredentials? = nil, host: String? = nil, context: String = Context.allocation, avoidsExtended: Bool = false,
        avoidsStructured: Bool = false
    ) {
        self.export = export
        self.credentials = credentials
        self.host = host
        self.context = context
        self.avoidsExtended = avoidsExtended
        self.avoidsStructured = avoidsStructured
    }
}

/// What client and server have agreed on.
package struct ClientAgreement: Sendable {
    package var information: ExportInformation
    package var isStructured = false
    package var isExtended = false
    /// The number of the chosen context.
    package var context: UInt32?
}

package struct ClientHandshake {
    package let channel: Channel
    private var isStructured = false
    private var isExtended = false
    private var isFixed = false
    private var noZeroes = false
    /// Answers to one option are no more than these.
    private static let mostReplies = 10_000

    package init(_ channel: Channel) { self.channel = channel }

    /// Comes to the export and begins the transmission phase.
    package mutating func enter(_ wishes: ClientWishes) throws(SocketError) -> ClientAgreement {
        if let old = try greet(wishes) { return old }
        try negotiateReplies(wishes)
        var agreement = ClientAgreement(information: ExportInformation(name: wishes.export), isStructured: isStructured, isExtended: isExtended)
        if isStructured { agreement.context = try setContext(wishes) }
        if isFixed, let information = try inform(.go, wishes.export) {
            agreement.information = information
            return agreement
        }
        try send(.exportName, Array(wishes.export.utf8))
        var answer = MessageReader(try channel.bytes(10))
        agreement.information.size = answer.number(UInt64.self) ?? 0
        agreement.information.flags = ExportFlags(rawValue: answer.number(UInt16.self) ?? 0)
        if !noZeroes { _ = try channel.bytes(124) }
        return agreement
    }

    /// What the server offers, and says about it.
    package mutating func list(_ wishes: ClientWishes) throws(SocketError) -> [ExportInformation] {
        if let old = try greet(wishes) { return [old.information] }
        guard isFixed else { throw SocketError("Server does not support export lists") }
        try negotiateReplies(wishes)
        try send(.list, [])
        var found: [ExportInformation] = []
        while true {
            let reply = try reply(to: .list)
            if reply.type == OptionReply.acknowledged { break }
            guard reply.type == OptionReply.server else { throw refusal(reply, "Server does not list its exports") }
            var message = MessageReader(reply.data)
            guard let name = message.countedText(), let text = message.text(message.rest), found.count < ClientHandshake.mostReplies else {
                throw SocketError("the server's list of exports is malformed")
            }
            found.append(ExportInformation(name: name, description: text.isEmpty ? nil : text))
        }
        for index in found.indices {
            if let known = try inform(.info, found[index].name) {
                let description = found[index].description
                found[index] = known
                found[index].isExtended = isExtended
                found[index].description = known.description ?? description
            }
            if isStructured { found[index].contexts = try contexts(.listMetaContext, found[index].name, []).map(\.name) }
        }
        try? send(.abort, [])
        return found
    }

    // MARK: Steps

    /// Returns an agreement if the server is an oldstyle one: nothing is to be negotiated.
    private mutating func greet(_ wishes: ClientWishes) throws(SocketError) -> ClientAgreement? {
        var greeting = MessageReader(try channel.bytes(16))
        guard greeting.number(UInt64.self) == Handshake.greeting, let style = greeting.number(UInt64.self) else { throw SocketError("Bad initial magic received: the server does not speak NBD") }
        if style == Handshake.oldstyle {
            if wishes.credentials != nil { throw SocketError("Server does not support STARTTLS") }
            guard wishes.export.isEmpty else { throw SocketError("Server does not support non-empty export names") }
            var rest = MessageReader(try channel.bytes(8 + 4 + 124))
            var information = ExportInformation(name: "")
            information.size = rest.number(UInt64.self) ?? 0
            information.flags = ExportFlags(rawValue: UInt16(truncatingIfNeeded: rest.number(UInt32.self) ?? 0))
            return ClientAgreement(information: information)
        }
        guard style == Handshake.option else { throw SocketError("Bad server magic received") }
        var flagBytes = MessageReader(try channel.bytes(2))
        let flags = flagBytes.number(UInt16.self) ?? 0
        isFixed = flags & Handshake.fixedNewstyle != 0
        noZeroes = flags & Handshake.noZeroes != 0
        var answer = MessageWriter()
        answer.put(UInt32(flags & (Handshake.fixedNewstyle | Handshake.noZeroes)))
        try channel.send(answer.bytes)
        if let credentials = wishes.credentials {
            guard isFixed else { throw SocketError("Server does not support STARTTLS") }
            try send(.startTLS, [])
            let reply = try reply(to: .startTLS)
            guard reply.type == OptionReply.acknowledged else { throw refusal(reply, "Server does not support STARTTLS") }
            try channel.secure(credentials, host: wishes.host)
        }
        return nil
    }

    private mutating func negotiateReplies(_ wishes: ClientWishes) throws(SocketError) {
        guard isFixed, !wishes.avoidsStructured else { return }
        for option in wishes.avoidsExtended ? [Option.structuredReply] : [.extendedHeaders, .structuredReply] {
            try send(option, [])
            let reply = try reply(to: option)
            if reply.type == OptionReply.tlsRequired { throw refusal(reply, "Server requires TLS") }
            if reply.type == OptionReply.acknowledged {
                isStructured = true
                isExtended = option == .extendedHeaders
                return
            }
            guard reply.type & OptionReply.errorBit != 0 else { throw SocketError("the server answered option \(option.rawValue) with \(reply.type)") }
        }
    }

    private func setContext(_ wishes: ClientWishes) throws(SocketError) -> UInt32? {
        let found = try contexts(.setMetaContext, wishes.export, [wishes.context])
        if found.isEmpty { return nil }
        guard found.count == 1, found[0].name == wishes.context else { throw SocketError("the server chose another context than '\(wishes.context)'") }
        return found[0].number
    }

    private func contexts(_ option: Option, _ export: String, _ queries: [String]) throws(SocketError) -> [(number: UInt32, name: String)] {
        var message = MessageWriter()
        message.put(counted: export)
        message.put(UInt32(queries.count))
        for query in queries { message.put(counted: query) }
        try send(option, message.bytes)
        var found: [(number: UInt32, name: String)] = []
        while true {
            let reply = try reply(to: option)
            if reply.type == OptionReply.acknowledged { return found }
            if reply.type & OptionReply.errorBit != 0 { return [] }
            var message = MessageReader(reply.data)
            guard reply.type == OptionReply.metaContext, let number = message.number(UInt32.self), let name = message.text(message.rest),
                  found.count < Limits.contexts else { throw SocketError("the server's list of metadata contexts is malformed") }
            found.append((number, name))
        }
    }

    /// Nil if the server does not know the option.
    private func inform(_ option: Option, _ export: String) throws(SocketError) -> ExportInformation? {
        var message = MessageWriter()
        message.put(counted: export)
        let wanted = option == .go ? [InfoType.blockSize] : [InfoType.description, InfoType.blockSize]
        message.put(UInt16(wanted.count))
        for type in wanted { message.put(type) }
        try send(option, message.bytes)
        var information = ExportInformation(name: export)
        var isKnown = false
        for _ in 0..<ClientHandshake.mostReplies {
            let reply = try reply(to: option)
            if reply.type == OptionReply.acknowledged {
                guard isKnown else { throw SocketError("the server did not tell the size of the export") }
                return information
            }
            if reply.type == OptionReply.unsupported { return nil }
            guard reply.type == OptionReply.info else { throw refusal(reply, "Requested export not available") }
            var data = MessageReader(reply.data)
            switch data.number(UInt16.self) {
            case InfoType.export?:
                guard let size = data.number(UInt64.self), let flags = data.number(UInt16.self) else { throw SocketError("the server's information is malformed") }
                information.size = size
                information.flags = ExportFlags(rawValue: flags)
                isKnown = true
            case InfoType.description?: information.description = data.text(data.rest)
            case InfoType.blockSize?:
                guard let minimum = data.number(UInt32.self), let preferred = data.number(UInt32.self), let maximum = data.number(UInt32.self),
                      minimum > 0, minimum & (minimum - 1) == 0, minimum <= 1 << 20, maximum >= minimum
                else { throw SocketError("the server's block sizes are none") }
                information.blockSizes = (minimum, preferred, maximum)
            case nil: throw SocketError("the server's information is malformed")
            default: break
            }
        }
        throw SocketError("the server's answer does not end")
    }

    // MARK: Messages

    private func send(_ option: Option, _ data: [UInt8]) throws(SocketError) {
        var message = MessageWriter()
        message.put(Handshake.option)
        message.put(option.rawValue)
        message.put(UInt32(truncatingIfNeeded: data.count))
        message.put(data)
        try channel.send(message.bytes)
    }

    private struct OptionAnswer { var type: UInt32; var data: [UInt8] }

    private func reply(to option: Option) throws(SocketError) -> OptionAnswer {
        var head = MessageReader(try channel.bytes(20))
        guard head.number(UInt64.self) == Handshake.reply, head.number(UInt32.self) == option.rawValue,
              let type = head.number(UInt32.self), let length = head.number(UInt32.self)
        else { throw SocketError("the server's answer to option \(option.rawValue) is malformed") }
        guard length <= UInt32(Handshake.longestOption) else { throw SocketError("the server's answer to option \(option.rawValue) has \(length) bytes") }
        return OptionAnswer(type: type, data: try channel.bytes(Int(length)))
    }

    private func refusal(_ reply: OptionAnswer, _ text: String) -> SocketError {
        let words = String(decoding: reply.data.prefix(Handshake.longestText).filter { $0 >= 0x20 }, as: UTF8.self)
        let reason = switch reply.type {
        case OptionReply.policy: "Denied by server policy"
        case OptionReply.tlsRequired: "Server requires TLS"
        case OptionReply.unknown: "Requested export not available"
        default: text
        }
        return SocketError(words.isEmpty ? reason : "\(reason) (server reported: \(words))")
    }
}
