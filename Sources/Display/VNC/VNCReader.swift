// Messages of a client (RFC 6143, section 7.5): what it wants to see, and what its keyboard and pointer do.

import Core
import Host
import Sockets

/// Used by one thread.
struct VNCReader {
    private let client: VNCClient
    private let stream: any RFBStream
    private var held: Set<UInt16> = []
    private var buttons: UInt8 = 0
    private var last: (x: Int, y: Int)?
    private var usesPointerMode = false
    private static let maximumText = 1 << 20

    private enum Kind {
        static let format: UInt8 = 0, encodings: UInt8 = 2, request: UInt8 = 3, key: UInt8 = 4, pointer: UInt8 = 5, text: UInt8 = 6
        static let size: UInt8 = 251, extended: UInt8 = 255
    }

    init(_ client: VNCClient, _ stream: any RFBStream) {
        self.client = client
        self.stream = stream
    }

    private var input: InputHub { client.server.input }

    /// Reads one message and does what it says. - Throws: the client is gone or says what makes no sense.
    mutating func readMessage() throws(SocketError) {
        let kind = try stream.bytes(1)[0]
        switch kind {
        case Kind.format:
            guard let format = PixelFormat(Array(try stream.bytes(19)[3...])) else { throw SocketError("a pixel format that cannot be") }
            client.wishes.change { wishes in
                wishes.format = format
                wishes.hasNewFormat = true
            }
        case Kind.encodings: try readEncodings()
        case Kind.request: try readRequest()
        case Kind.key:
            let message = try stream.bytes(7)
            symbol(Self.long(message, 3), isDown: message[0] != 0)
        case Kind.pointer:
            let message = try stream.bytes(5)
            pointer(message[0], Self.short(message, 1), Self.short(message, 3))
        case Kind.text: try skipText()
        case Kind.size: try readSize()
        case Kind.extended: try readExtended()
        default: throw SocketError("a message of kind \(kind)")
        }
    }

    private static func short(_ bytes: [UInt8], _ at: Int) -> Int { Int(bytes[at]) << 8 | Int(bytes[at + 1]) }
    private static func long(_ bytes: [UInt8], _ at: Int) -> UInt32 { bytes[at ..< at + 4].reduce(0) { $0 << 8 | UInt32($1) } }

    private mutating func readEncodings() throws(SocketError) {
        let count = Self.short(try stream.bytes(3), 1)
        let bytes = try stream.bytes(count * 4)
        let encodings = (0 ..< count).map { Int32(bitPattern: Self.long(bytes, $0 * 4)) }
        usesPointerMode = encodings.contains(Encoding.pointerMode)
        client.wishes.change { wishes in
            // What is not known does not count, so there is a limit to what does.
            wishes.encodings = Array(encodings.filter { $0 <= Encoding.zrle || $0 < 0 }.prefix(256))
            wishes.hasNewEncodings = true
            wishes.isAwake = true
        }
    }

    private func readRequest() throws(SocketError) {
        let message = try stream.bytes(9)
        let area = PixelArea(x: Self.short(message, 1), y: Self.short(message, 3), width: Self.short(message, 5), height: Self.short(message, 7))
        client.wishes.change { wishes in
            wishes.request = wishes.request.map { $0.union(area) } ?? area
            if message[0] == 0 { wishes.whole = wishes.whole.map { $0.union(area) } ?? area }
            wishes.isAwake = true
        }
    }

    /// Guests have no clipboard to put it into.
    private func skipText() throws(SocketError) {
        let length = Int32(bitPattern: Self.long(try stream.bytes(7), 3)).magnitude
        guard length <= UInt32(Self.maximumText) else { throw SocketError("a text of \(length) bytes") }
        _ = try stream.bytes(Int(length))
    }

    private func readSize() throws(SocketError) {
        let message = try stream.bytes(7)
        _ = try stream.bytes(Int(message[5]) * 16)
        let width = Self.short(message, 1), height = Self.short(message, 3)
        // 0: the guest will hear of it; 1: it is not to be had.
        let isTold = client.server.screen.console?.requestSize(width: width, height: height) ?? false
        client.wishes.change { wishes in
            if wishes.sizeAnswers.count < 8 { wishes.sizeAnswers.append(isTold ? 0 : 1) }
            wishes.isAwake = true
        }
    }

    private mutating func readExtended() throws(SocketError) {
        let kind = try stream.bytes(1)[0]
        guard kind == 0 else { throw SocketError("an extended message of kind \(kind)") }
        let message = try stream.bytes(10)
        let code = KeyMap.code(scancode: Self.long(message, 6)) ?? KeyMap.key(symbol: Self.long(message, 2))?.code
        if let code { key(code, isDown: Self.short(message, 0) != 0) }
    }

    // MARK: keys

    private mutating func key(_ code: UInt16, isDown: Bool) {
        if isDown { held.insert(code) } else { held.remove(code) }
        input.send([.key(code, isDown: isDown)])
    }

    /// A key by its symbol: Shift is pressed or released around it where a keyboard of the United States needs that.
    private mutating func symbol(_ symbol: UInt32, isDown: Bool) {
        guard let (code, wanted) = KeyMap.key(symbol: symbol) else { return }
        guard isDown, var shift = wanted else { return key(code, isDown: isDown) }
        let isLetter = (0x41 ... 0x5a).contains(symbol) || (0x61 ... 0x7a).contains(symbol)
        if isLetter, input.lights.contains(.capitals) { shift.toggle() }
        let left: UInt16 = 42, right: UInt16 = 54, down = [left, right].filter { held.contains($0) }
        if shift, down.isEmpty {
            input.send([.key(left, isDown: true)])
            key(code, isDown: true)
            input.send([.key(left, isDown: false)])
        } else if !shift, !down.isEmpty {
            input.send(down.map { .key($0, isDown: false) })
            key(code, isDown: true)
            input.send(down.map { .key($0, isDown: true) })
        } else {
            key(code, isDown: true)
        }
    }

    // MARK: the pointer

    private static let masks: [PointerButton] = [.left, .middle, .right, .wheelUp, .wheelDown, .wheelLeft, .wheelRight, .side]

    private mutating func pointer(_ mask: UInt8, _ x: Int, _ y: Int) {
        var events: [InputEvent] = []
        if input.isAbsolute {
            let size = client.server.screen.size
            events = [.absolute(.x, min(x, size.width - 1) * InputHub.fullScale / max(1, size.width - 1)),
                      .absolute(.y, min(y, size.height - 1) * InputHub.fullScale / max(1, size.height - 1))]
        } else if usesPointerMode {
            // The client has been told to send distances, counted from here.
            if x != 0x7fff { events.append(.relative(.x, x - 0x7fff)) }
            if y != 0x7fff { events.append(.relative(.y, y - 0x7fff)) }
        } else if let last {
            if x != last.x { events.append(.relative(.x, x - last.x)) }
            if y != last.y { events.append(.relative(.y, y - last.y)) }
        }
        last = (x, y)
        for (bit, button) in Self.masks.enumerated() where (mask ^ buttons) >> UInt8(bit) & 1 != 0 { events.append(.button(button, isDown: mask >> UInt8(bit) & 1 != 0)) }
        buttons = mask
        if !events.isEmpty { input.send(events) }
    }

    /// The client is gone: nothing stays pressed.
    mutating func letGo() {
        if !held.isEmpty { input.send(held.sorted().map { .key($0, isDown: false) }) }
        if buttons != 0 { input.send(Self.masks.enumerated().filter { buttons >> UInt8($0.offset) & 1 != 0 }.map { .button($0.element, isDown: false) }) }
    }
}
