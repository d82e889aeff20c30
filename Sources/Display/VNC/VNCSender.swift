// Updates for a client (RFC 6143, section 7.6): when it waits for news, the picture is looked at, and what has changed since it
// was last sent goes out. A slow client therefore gets fewer updates, not older ones.

import Core
import Glibc
import Host
import Sockets

/// Used by one thread.
final class VNCSender: @unchecked Sendable {
    private let client: VNCClient
    private let stream: any RFBStream
    private var encoder = RectangleEncoder()
    private var encodings: [Int32] = []
    private var width: Int
    private var height: Int
    /// All changes up to this one have been sent.
    private var seen: UInt64 = 0
    private var seenCursor = 0
    private var seenLights: KeyboardLights?
    private var seenAbsolute: Bool?
    private var hasToldKeys = false
    private var hasToldSize = false
    /// Seconds between looks at a picture that does not tell of changes.
    private var interval = fastest
    private static let fastest = 0.033, slowest = 0.3
    /// No client gets more than this many microseconds apart.
    private static let pause: UInt32 = 12000

    init(_ client: VNCClient, _ stream: any RFBStream, width: Int, height: Int) {
        self.client = client
        self.stream = stream
        self.width = width
        self.height = height
    }

    private var screen: Screen { client.server.screen }

    func run() {
        do throws(SocketError) { while try step() {} } catch {}
        client.end()
    }

    /// Waits for something to do and does it; false: the client is gone.
    private func step() throws(SocketError) -> Bool {
        let isWaiting = client.wishes.look { $0.request != nil }
        let seconds = isWaiting && screen.needsLooking ? interval : .infinity
        let woken = client.wishes.wait(seconds: seconds) { wishes -> Bool? in
            guard wishes.isOver || wishes.isAwake else { return nil }
            wishes.isAwake = false
            return true
        }
        let wishes = client.wishes.look { wishes in
            defer { (wishes.hasNewFormat, wishes.hasNewEncodings) = (false, false) }
            return wishes
        }
        if wishes.isOver { return false }
        if wishes.hasNewFormat {
            encoder.format = wishes.format
            if wishes.format.isMapped { try stream.send(wishes.format.map) }
        }
        if wishes.hasNewEncodings { encodings = wishes.encodings }
        guard wishes.request != nil else { return true }
        let isSent = try update(wishes)
        interval = isSent || woken != nil ? Self.fastest : min(Self.slowest, interval * 1.3)
        if isSent { usleep(Self.pause) }
        return true
    }

    private func understands(_ encoding: Int32) -> Bool { encodings.contains(encoding) }

    /// Sends what there is to tell. - Returns: false: nothing.
    private func update(_ wishes: VNCClient.Wishes) throws(SocketError) -> Bool {
        let frame = screen.look()
        var notes = notes(wishes)
        let (sizes, isResized) = sizeNotes(frame, wishes)
        notes += sizes
        // Who cannot be told of another size is shown what fits. Changes are sent wherever they are: nobody asks for parts only.
        let visible = PixelArea(x: 0, y: 0, width: min(width, frame.width), height: min(height, frame.height))
        var areas: [PixelArea] = []
        if !isResized {
            areas = frame.areas(after: seen).map { $0.clipped(to: visible.width, visible.height) }.filter { !$0.isEmpty }
            if let whole = wishes.whole?.clipped(to: visible.width, visible.height), !whole.isEmpty { areas = [areas.reduce(whole) { $0.union($1) }] }
            seen = frame.version
        }
        guard !areas.isEmpty || !notes.isEmpty else { return false }
        let encoding = encodings.first { Encoding.pixels.contains($0) } ?? Encoding.raw
        let pieces = areas.flatMap(Self.cut)
        client.wishes.look { new in
            new.sizeAnswers.removeFirst(min(wishes.sizeAnswers.count, new.sizeAnswers.count))
            // After another size, what was wished for is still to come.
            guard new.whole == wishes.whole else { return }
            new.request = nil
            if !isResized { new.whole = nil }
        }
        var head = Wire(bytes: [0, 0])
        head.short(notes.count + pieces.count)
        notes.insert(head.bytes, at: 0)
        try stream.send(Array(notes.joined()))
        for piece in pieces {
            var wire = Wire()
            wire.rectangle(piece, encoding)
            wire.bytes += encoder.encode(frame.block(piece), width: piece.width, height: piece.height, encoding)
            try stream.send(wire.bytes)
        }
        return true
    }

    private static func cut(_ area: PixelArea) -> [PixelArea] {
        let (wide, high) = (RectangleEncoder.maximumWidth, RectangleEncoder.maximumHeight)
        return stride(from: 0, to: area.height, by: high).flatMap { y in
            stride(from: 0, to: area.width, by: wide).map { x in
                PixelArea(x: area.x + x, y: area.y + y, width: min(wide, area.width - x), height: min(high, area.height - y))
            }
        }
    }

    // MARK: what is no pixels

    private func note(_ area: PixelArea, _ encoding: Int32, _ data: [UInt8] = []) -> [UInt8] {
        var wire = Wire()
        wire.rectangle(area, encoding)
        return wire.bytes + data
    }

    private static let nowhere = PixelArea(x: 0, y: 0, width: 0, height: 0)

    /// Rectangles that tell of keys, pointer, lights and cursor, as far as they are news.
    private func notes(_ wishes: VNCClient.Wishes) -> [[UInt8]] {
        var notes: [[UInt8]] = []
        if understands(Encoding.extendedKeys), !hasToldKeys {
            hasToldKeys = true
            notes.append(note(Self.nowhere, Encoding.extendedKeys))
        }
        let isAbsolute = client.server.input.isAbsolute
        if understands(Encoding.pointerMode), seenAbsolute != isAbsolute {
            seenAbsolute = isAbsolute
            notes.append(note(PixelArea(x: isAbsolute ? 1 : 0, y: 0, width: width, height: height), Encoding.pointerMode))
        }
        let lights = client.server.input.lights
        if understands(Encoding.lights), seenLights != lights {
            seenLights = lights
            notes.append(note(Self.nowhere, Encoding.lights, [lights.rawValue]))
        }
        let (cursor, number) = screen.cursor
        if number != seenCursor, understands(Encoding.cursor) || understands(Encoding.alphaCursor) {
            seenCursor = number
            notes.append(cursorNote(cursor))
        }
        return notes
    }

    private func cursorNote(_ cursor: CursorImage?) -> [UInt8] {
        let usesAlpha = understands(Encoding.alphaCursor)
        let encoding = usesAlpha ? Encoding.alphaCursor : Encoding.cursor
        guard let cursor, cursor.pixels.count == cursor.width * cursor.height else { return note(Self.nowhere, encoding, usesAlpha ? [0, 0, 0, 0] : []) }
        let area = PixelArea(x: cursor.hotX, y: cursor.hotY, width: cursor.width, height: cursor.height)
        if usesAlpha {
            // Raw, as red, green, blue and alpha.
            var data: [UInt8] = [0, 0, 0, 0]
            for pixel in cursor.pixels { data += [UInt8(pixel >> 16 & 255), UInt8(pixel >> 8 & 255), UInt8(pixel & 255), UInt8(pixel >> 24)] }
            return note(area, encoding, data)
        }
        var mask: [UInt8] = []
        for y in 0 ..< cursor.height {
            for x in stride(from: 0, to: cursor.width, by: 8) {
                var byte: UInt8 = 0
                for bit in 0 ..< min(8, cursor.width - x) where cursor.pixels[y * cursor.width + x + bit] >> 31 != 0 { byte |= 0x80 >> UInt8(bit) }
                mask.append(byte)
            }
        }
        return note(area, encoding, encoder.format.encode(cursor.pixels.map { $0 & 0xff_ffff }) + mask)
    }

    /// Rectangles that tell of the size: it is another one, a client learns that it may ask for one, or it has asked.
    private func sizeNotes(_ frame: Frame, _ wishes: VNCClient.Wishes) -> (notes: [[UInt8]], isResized: Bool) {
        let isNew = frame.width != width || frame.height != height
        var notes: [[UInt8]] = []
        if understands(Encoding.extendedDesktopSize) {
            notes = wishes.sizeAnswers.map { screenNote(frame, reason: 1, status: Int($0)) }
            if isNew || !hasToldSize { notes.append(screenNote(frame, reason: 0, status: 0)) }
            hasToldSize = true
        } else if isNew, understands(Encoding.desktopSize) {
            notes = [note(PixelArea(x: 0, y: 0, width: frame.width, height: frame.height), Encoding.desktopSize)]
        }
        guard isNew, !notes.isEmpty else { return (notes, false) }
        seen = 0
        (width, height) = (frame.width, frame.height)
        return (notes, true)
    }

    private func screenNote(_ frame: Frame, reason: Int, status: Int) -> [UInt8] {
        var wire = Wire()
        wire.bytes = [1, 0, 0, 0]
        wire.long(0)
        for value in [0, 0, frame.width, frame.height] { wire.short(value) }
        wire.long(0)
        return note(PixelArea(x: reason, y: status, width: frame.width, height: frame.height), Encoding.extendedDesktopSize, wire.bytes)
    }
}
