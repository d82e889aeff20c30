// What a machine shows: consoles (one a head of a display device), each with a surface of pixels in memory and a cursor, and
// who looks at them. A device pays nothing for a console that nobody watches: it says where its pixels are, no more.

import Host

/// A part of a picture, in pixels.
public struct PixelArea: Sendable, Equatable {
    public var x: Int
    public var y: Int
    public var width: Int
    public var height: Int

    public init(x: Int, y: Int, width: Int, height: Int) {
        (self.x, self.y, self.width, self.height) = (x, y, width, height)
    }

    public var isEmpty: Bool { width <= 0 || height <= 0 }

    /// The part inside a picture of `width` by `height` pixels.
    public func clipped(to width: Int, _ height: Int) -> PixelArea {
        let left = min(max(0, x), width), top = min(max(0, y), height)
        let right = min(max(left, x &+ self.width), width), bottom = min(max(top, y &+ self.height), height)
        return PixelArea(x: left, y: top, width: right - left, height: bottom - top)
    }

    public func union(_ other: PixelArea) -> PixelArea {
        if isEmpty { return other }
        if other.isEmpty { return self }
        let left = min(x, other.x), top = min(y, other.y)
        return PixelArea(x: left, y: top, width: max(x + width, other.x + other.width) - left, height: max(y + height, other.y + other.height) - top)
    }
}

/// How a pixel lies in memory.
public enum PixelForm: Sendable, Equatable {
    /// Four bytes; where in them red, green and blue are.
    case bytes(red: Int, green: Int, blue: Int)
    /// Three bytes: blue, green, red.
    case packed24
    /// Two bytes, little-endian, 5 bits a colour and green 6 of them if `isWide`.
    case high(isWide: Bool)
    /// One byte: a number of the palette (0x00RRGGBB, 256 of them).
    case palette([UInt32])

    /// A little-endian 0xXXRRGGBB.
    public static let standard = PixelForm.bytes(red: 2, green: 1, blue: 0)

    public var bytes: Int {
        switch self {
        case .bytes: 4
        case .packed24: 3
        case .high: 2
        case .palette: 1
        }
    }
}

/// Memory that holds pixels: stays where it is for as long as the object lives. Others may write to it at any time.
public protocol PixelMemory: AnyObject, Sendable {
    var pixelBytes: UnsafeRawBufferPointer { get }
}

extension RAMBlock: PixelMemory {
    public var pixelBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: host, count: Int(clamping: size)) }
}

/// A picture: rows of pixels somewhere in memory. Immutable, but for what the pixels are.
public final class Surface: Sendable {
    /// More than any display has.
    public static let maximumSide = 16384

    public let width: Int
    public let height: Int
    /// Bytes from one row to the next.
    public let stride: Int
    public let form: PixelForm
    /// Whether `Console.touch` tells of every change; else those who watch have to compare.
    public let tellsChanges: Bool
    private let memory: any PixelMemory
    private let offset: Int

    /// - Returns: nil if the picture has no pixels or does not lie inside the memory.
    public init?(_ memory: any PixelMemory, offset: UInt64, width: UInt64, height: UInt64, stride: UInt64, _ form: PixelForm, tellsChanges: Bool) {
        let limit = UInt64(Self.maximumSide), room = UInt64(memory.pixelBytes.count)
        guard (1 ... limit).contains(width), (1 ... limit).contains(height), stride <= 1 << 20, width * UInt64(form.bytes) <= stride || height == 1,
              offset <= room, (height - 1) * stride + width * UInt64(form.bytes) <= room - offset else { return nil }
        if case .palette(let colours) = form, colours.count != 256 { return nil }
        if case .bytes(let red, let green, let blue) = form, ![red, green, blue].allSatisfy({ (0 ... 3).contains($0) }) { return nil }
        self.memory = memory
        self.offset = Int(offset)
        self.width = Int(width)
        self.height = Int(height)
        self.stride = Int(stride)
        self.form = form
        self.tellsChanges = tellsChanges
    }

    /// Copies pixels of row `y` from `x` on, as 0x00RRGGBB. What is outside of the picture is left as it is.
    public func copyRow(_ y: Int, from x: Int, into output: UnsafeMutableBufferPointer<UInt32>) {
        guard y >= 0, y < height, x >= 0, x < width, let memory = memory.pixelBytes.baseAddress, let target = output.baseAddress else { return }
        let count = min(output.count, width - x)
        let source = memory + (offset + y * stride + x * form.bytes)
        switch form {
        case .bytes(2, 1, 0):
            for index in 0 ..< count { target[index] = UInt32(littleEndian: source.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)) & 0xff_ffff }
        case .bytes(let red, let green, let blue):
            let (r, g, b) = (UInt32(red * 8), UInt32(green * 8), UInt32(blue * 8))
            for index in 0 ..< count {
                let word = UInt32(littleEndian: source.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self))
                target[index] = (word &>> r & 0xff) &<< 16 | (word &>> g & 0xff) &<< 8 | word &>> b & 0xff
            }
        case .packed24:
            for index in 0 ..< count {
                let at = source + index &* 3
                target[index] = UInt32(at.load(as: UInt8.self)) | UInt32(at.load(fromByteOffset: 1, as: UInt8.self)) << 8 | UInt32(at.load(fromByteOffset: 2, as: UInt8.self)) << 16
            }
        case .high(let isWide):
            for index in 0 ..< count {
                let word = UInt32(UInt16(littleEndian: source.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self)))
                let red = isWide ? word &>> 11 & 31 : word &>> 10 & 31, blue = word & 31
                let green = isWide ? word &>> 5 & 63 : (word &>> 5 & 31) &<< 1 | word &>> 9 & 1
                target[index] = (red &<< 3 | red &>> 2) &<< 16 | (green &<< 2 | green &>> 4) &<< 8 | blue &<< 3 | blue &>> 2
            }
        case .palette(let colours):
            colours.withUnsafeBufferPointer { colours in
                for index in 0 ..< count { target[index] = colours[Int(source.load(fromByteOffset: index, as: UInt8.self))] & 0xff_ffff }
            }
        }
    }

    /// The whole picture, row by row, as 0x00RRGGBB.
    public func pixels() -> [UInt32] {
        [UInt32](unsafeUninitializedCapacity: width * height) { buffer, count in
            buffer.initialize(repeating: 0)
            for y in 0 ..< height { copyRow(y, from: 0, into: UnsafeMutableBufferPointer(rebasing: buffer[(y * width) ..< ((y + 1) * width)])) }
            count = width * height
        }
    }
}

/// The picture of a mouse pointer.
public struct CursorImage: Sendable, Equatable {
    public var width: Int
    public var height: Int
    /// The pixel that points.
    public var hotX: Int
    public var hotY: Int
    /// 0xAARRGGBB, colours not multiplied by alpha.
    public var pixels: [UInt32]

    public init(width: Int, height: Int, hotX: Int, hotY: Int, pixels: [UInt32]) {
        (self.width, self.height, self.hotX, self.hotY, self.pixels) = (width, height, hotX, hotY, pixels)
    }
}

/// Who looks at a console. Called from any thread, under the console's lock: notes what happened and returns.
public protocol ConsoleWatcher: AnyObject, Sendable {
    /// There is another picture, or none (nil).
    func surfaceChanged(_ surface: Surface?)
    func touched(_ area: PixelArea)
    /// nil: the guest hides its cursor, or draws it itself.
    func cursorChanged(_ cursor: CursorImage?)
}

/// One head of a display device.
public final class Console: Sendable {
    private struct State: Sendable {
        var surface: Surface?
        var cursor: CursorImage?
        var watchers: [WeakWatcher] = []
        var resize: (@Sendable (Int, Int) -> Bool)?
    }
    private struct WeakWatcher: Sendable { weak var watcher: (any ConsoleWatcher)? }

    /// Its number among the machine's consoles.
    public let number: Int
    /// The device's identifier, and which of its heads this is.
    public let device: String
    public let head: Int
    private let state = Locked(State())

    init(number: Int, device: String, head: Int) {
        self.number = number
        self.device = device
        self.head = head
    }

    // MARK: for devices

    /// Shows another picture; nil: nothing.
    public func show(_ surface: Surface?) {
        state.withLock { state in
            if state.surface === surface { return }
            state.surface = surface
            for entry in state.watchers { entry.watcher?.surfaceChanged(surface) }
        }
    }

    /// Pixels in `area` have changed.
    public func touch(_ area: PixelArea) {
        state.withLock { state in for entry in state.watchers { entry.watcher?.touched(area) } }
    }

    public func setCursor(_ cursor: CursorImage?) {
        state.withLock { state in
            if state.cursor == cursor { return }
            state.cursor = cursor
            for entry in state.watchers { entry.watcher?.cursorChanged(cursor) }
        }
    }

    /// What is done when a person wants another size; the result says whether the device will tell the guest.
    public func onResize(_ body: (@Sendable (_ width: Int, _ height: Int) -> Bool)?) { state.withLock { $0.resize = body } }

    // MARK: for those who look

    public var surface: Surface? { state.withLock { $0.surface } }
    public var cursor: CursorImage? { state.withLock { $0.cursor } }

    /// Tells `watcher` of everything from now on, beginning with how things are; it is not kept alive.
    public func watch(_ watcher: any ConsoleWatcher) {
        state.withLock { state in
            state.watchers.removeAll { $0.watcher == nil }
            state.watchers.append(WeakWatcher(watcher: watcher))
            watcher.surfaceChanged(state.surface)
            watcher.cursorChanged(state.cursor)
        }
    }

    public func unwatch(_ watcher: any ConsoleWatcher) {
        state.withLock { state in state.watchers.removeAll { $0.watcher == nil || $0.watcher === watcher } }
    }

    /// Whether somebody watches.
    public var isWatched: Bool { state.withLock { $0.watchers.contains { $0.watcher != nil } } }

    /// Asks the guest for another size. - Returns: whether it will hear of it; it need not obey.
    public func requestSize(width: Int, height: Int) -> Bool { state.withLock { $0.resize }?(width, height) ?? false }
}

/// All consoles of a machine, and what its keyboards and pointers hear.
public final class DisplaySet: Sendable {
    private let list = Locked<[Console]>([])
    public let input = InputHub()

    public init() {}

    public var consoles: [Console] { list.withLock { $0 } }

    /// A console for a head of a device.
    public func addConsole(device: String, head: Int = 0) -> Console {
        list.withLock { list in
            let console = Console(number: list.count, device: device, head: head)
            list.append(console)
            return console
        }
    }

    /// The console of a device's head.
    public func find(device: String, head: Int) -> Console? { consoles.first { $0.device == device && $0.head == head } }
}
