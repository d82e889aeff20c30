// A console as VNC's clients see it: a copy of its pixels, and for each tile of it when it changed last. The copy is made when a
// client waits for news and not otherwise: where a device tells of changes, of what it told; else tile by tile, compared.

import Core
import Glibc
import Host

/// A picture as it was at one moment.
struct Frame: Sendable {
    static let tile = 32

    var width: Int
    var height: Int
    /// 0x00RRGGBB, row by row.
    var pixels: [UInt32]
    /// When each tile changed, row by row, in counts of `Screen`.
    var changes: [UInt64]
    /// Counts up with each change.
    var version: UInt64

    var columns: Int { (width + Self.tile - 1) / Self.tile }
    var rows: Int { (height + Self.tile - 1) / Self.tile }

    init(width: Int, height: Int, version: UInt64) {
        self.width = width
        self.height = height
        self.version = version
        pixels = [UInt32](repeating: 0, count: width * height)
        changes = []
        changes = [UInt64](repeating: version, count: columns * rows)
    }

    /// Areas that changed after `version`, made of tiles; few rather than exact ones.
    func areas(after version: UInt64) -> [PixelArea] {
        var done: [PixelArea] = [], open: [PixelArea] = []
        for row in 0 ..< rows {
            var here: [PixelArea] = [], start: Int?
            for column in 0 ... columns {
                let isChanged = column < columns && changes[row * columns + column] > version
                if isChanged, start == nil { start = column }
                guard !isChanged, let from = start else { continue }
                start = nil
                let x = from * Self.tile, y = row * Self.tile
                here.append(PixelArea(x: x, y: y, width: min(width, column * Self.tile) - x, height: min(height, y + Self.tile) - y))
            }
            // What is as wide as something right above it continues that.
            var next: [PixelArea] = []
            for area in here {
                if let index = open.firstIndex(where: { $0.x == area.x && $0.width == area.width }) { next.append(open.remove(at: index).union(area)) } else { next.append(area) }
            }
            done += open
            open = next
        }
        done += open
        return done.count <= 1024 ? done : [done.reduce(PixelArea(x: 0, y: 0, width: 0, height: 0)) { $0.union($1) }]
    }

    /// The pixels of a part that is inside.
    func block(_ area: PixelArea) -> [UInt32] {
        var result: [UInt32] = []
        result.reserveCapacity(area.width * area.height)
        for y in area.y ..< area.y + area.height { result += pixels[(y * width + area.x) ..< (y * width + area.x + area.width)] }
        return result
    }
}

final class Screen: ConsoleWatcher {
    /// What the console told, until it is looked at.
    private struct News: Sendable {
        var surface: Surface?
        var isNew = true
        var areas: [PixelArea] = []
        var cursor: CursorImage?
        var cursorNumber = 0
    }
    private struct Listener: Sendable { weak var client: VNCClient? }

    /// Larger pictures are cut.
    static let maximumSide = 8192
    private static let emptySize = (width: 640, height: 480)

    let console: Console?
    private let news = Locked(News())
    private let frame = Locked(Frame(width: emptySize.width, height: emptySize.height, version: 1))
    private let listeners = Locked<[Listener]>([])

    init(_ console: Console?) {
        self.console = console
        console?.watch(self)
    }

    // MARK: the console tells

    func surfaceChanged(_ surface: Surface?) {
        news.withLock { news in
            news.surface = surface
            news.isNew = true
            news.areas = []
        }
        wake()
    }

    func touched(_ area: PixelArea) {
        news.withLock { news in
            guard !news.isNew else { return }
            if news.areas.count < 16 { news.areas.append(area) } else { news.areas = [news.areas.reduce(area) { $0.union($1) }] }
        }
        wake()
    }

    func cursorChanged(_ cursor: CursorImage?) {
        let isNews = news.withLock { news in
            guard cursor != nil || news.cursorNumber > 0 else { return false }
            news.cursor = cursor
            news.cursorNumber += 1
            return true
        }
        if isNews { wake() }
    }

    // MARK: clients ask

    func add(_ client: VNCClient) {
        listeners.withLock { list in
            list.removeAll { $0.client == nil }
            list.append(Listener(client: client))
        }
    }

    private func wake() { for entry in listeners.withLock({ $0 }) { entry.client?.wake() } }

    /// Whether changes are only found by looking.
    var needsLooking: Bool { news.withLock { $0.surface?.tellsChanges == false } }

    /// The guest's cursor and the number of changes of it; 0: it never had one.
    var cursor: (image: CursorImage?, number: Int) { news.withLock { ($0.cursor, $0.cursorNumber) } }

    /// Pixels of the picture that clients have seen.
    var size: (width: Int, height: Int) { frame.withLock { ($0.width, $0.height) } }

    /// The picture as it is now.
    func look() -> Frame {
        frame.withLock { frame in
            let (surface, isNew, areas) = news.withLock { news in
                defer { (news.isNew, news.areas) = (false, []) }
                return (news.surface, news.isNew, news.areas)
            }
            if isNew {
                let width = min(surface?.width ?? Self.emptySize.width, Self.maximumSide), height = min(surface?.height ?? Self.emptySize.height, Self.maximumSide)
                if width != frame.width || height != frame.height { frame = Frame(width: width, height: height, version: frame.version + 1) }
            }
            let everything = PixelArea(x: 0, y: 0, width: frame.width, height: frame.height)
            guard let surface else {
                if isNew { Self.fill(&frame) }
                return frame
            }
            for area in isNew || !surface.tellsChanges ? [everything] : areas { Self.update(&frame, surface, area.clipped(to: frame.width, frame.height)) }
            return frame
        }
    }

    private static func fill(_ frame: inout Frame) { frame = Frame(width: frame.width, height: frame.height, version: frame.version + 1) }

    /// Copies what differs in an area, and notes the tiles.
    private static func update(_ frame: inout Frame, _ surface: Surface, _ area: PixelArea) {
        guard !area.isEmpty else { return }
        let version = frame.version + 1, columns = frame.columns, width = frame.width
        let firstColumn = area.x / Frame.tile, lastColumn = (area.x + area.width - 1) / Frame.tile
        let left = firstColumn * Frame.tile, right = min(width, (lastColumn + 1) * Frame.tile)
        var isChanged = false
        var row = [UInt32](repeating: 0, count: right - left)
        var changes = frame.changes
        // Only touched where something differs: clients may hold the old picture.
        for y in area.y ..< area.y + area.height {
            row.withUnsafeMutableBufferPointer { surface.copyRow(y, from: left, into: $0) }
            let differs = row.withUnsafeBytes { new in frame.pixels.withUnsafeBytes { old in same(new, 0, old, (y * width + left) * 4, new.count) == false } }
            guard differs else { continue }
            for column in firstColumn ... lastColumn {
                let from = column * Frame.tile - left, count = min(Frame.tile, right - left - from)
                let isSame = row.withUnsafeBytes { new in frame.pixels.withUnsafeBytes { old in same(new, from * 4, old, (y * width + left + from) * 4, count * 4) } }
                if !isSame { changes[y / Frame.tile * columns + column] = version }
            }
            frame.pixels.withUnsafeMutableBytes { pixels in row.withUnsafeBytes { new in
                if let target = pixels.baseAddress, let source = new.baseAddress { memcpy(target + (y * width + left) * 4, source, new.count) }
            } }
            isChanged = true
        }
        guard isChanged else { return }
        frame.changes = changes
        frame.version = version
    }

    private static func same(_ one: UnsafeRawBufferPointer, _ at: Int, _ two: UnsafeRawBufferPointer, _ place: Int, _ count: Int) -> Bool {
        guard let one = one.baseAddress, let two = two.baseAddress else { return true }
        return memcmp(one + at, two + place, count) == 0
    }
}
