// A picture that a guest has virtio-gpu keep: pixels in the host's memory, filled from pieces of the guest's.

import Core
import Glibc
import Host

/// Pages of the host for pixels.
/// Invariant: `base ..< base + size` stays mapped for as long as the object lives.
final class ResourceMemory: PixelMemory, @unchecked Sendable {
    let base: UnsafeMutableRawPointer
    let size: Int
    var pixelBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: size) }

    init?(_ bytes: Int) {
        size = (bytes + 4095) & ~4095
        guard size > 0, let memory = HostMemory.map(size, PROT_READ | PROT_WRITE, reserve: false) else { return nil }
        base = memory
    }

    deinit { HostMemory.unmap(base, size) }
}

final class GPUResource {
    let format: UInt32
    let width: Int
    let height: Int
    let form: PixelForm
    let memory: ResourceMemory
    /// Address and length of each piece of guest memory, as the guest gave them; nil: none are attached.
    private(set) var entries: [UInt64]?
    private var pieces: [GuestPiece] = []
    /// Where in the row of bytes each piece begins.
    private var starts: [Int] = []
    private var backed = 0

    static let bytesPerPixel = 4
    var stride: Int { width * Self.bytesPerPixel }

    /// Formats of section 5.7.6.8, named for the order of bytes in memory.
    static func form(_ format: UInt32) -> PixelForm? {
        switch format {
        case 1, 2: .standard
        case 3, 4: .bytes(red: 1, green: 2, blue: 3)
        case 67, 134: .bytes(red: 0, green: 1, blue: 2)
        case 68, 121: .bytes(red: 3, green: 2, blue: 1)
        default: nil
        }
    }

    /// Bytes of the host that a picture takes; nil: it is none.
    static func cost(width: UInt32, height: UInt32) -> Int? {
        let limit = UInt32(Surface.maximumSide)
        guard (1 ... limit).contains(width), (1 ... limit).contains(height) else { return nil }
        return (Int(width) * Int(height) * bytesPerPixel + 4095) & ~4095
    }

    init?(format: UInt32, width: UInt32, height: UInt32) {
        guard let form = Self.form(format), let bytes = Self.cost(width: width, height: height), let memory = ResourceMemory(bytes) else { return nil }
        self.format = format
        self.width = Int(width)
        self.height = Int(height)
        self.form = form
        self.memory = memory
    }

    // MARK: guest memory

    /// How many pieces it has.
    var pieceCount: Int { pieces.count }

    /// - Parameter entries: addresses and lengths in turns.
    /// - Returns: false if a part of them is no memory, or there are more than `limit` pieces.
    func attach(_ entries: [UInt64], _ guest: GuestMemory, limit: Int) -> Bool {
        var found: [GuestPiece] = []
        for index in Swift.stride(from: 0, to: entries.count - 1, by: 2) {
            guard found.count <= limit, entries[index + 1] <= UInt64(UInt32.max),
                  guest.append(entries[index], Int(entries[index + 1]), writable: false, to: &found) else { return false }
        }
        guard found.count <= limit else { return false }
        keep(entries, found)
        return true
    }

    private func keep(_ entries: [UInt64]?, _ found: [GuestPiece]) {
        self.entries = entries
        pieces = found
        var total = 0
        starts = found.map { piece in
            defer { total += piece.count }
            return total
        }
        backed = total
    }

    func detach() { keep(nil, []) }

    /// Loaded state names memory that may not be there.
    func restore(_ entries: [UInt64], _ guest: GuestMemory, limit: Int) { if !attach(entries, guest, limit: limit) { keep(entries, []) } }

    /// Fills `area`, which is inside, from the guest's bytes at `offset` on, row by row.
    func update(_ area: PixelArea, from offset: UInt64) {
        guard offset < UInt64(backed) else { return }
        let start = Int(offset)
        // Whole rows lie one behind the other on both sides.
        if area.x == 0, area.width == width { return copy(start, to: area.y * stride, area.height * stride) }
        for row in 0 ..< area.height {
            copy(start + row * stride, to: (area.y + row) * stride + area.x * Self.bytesPerPixel, area.width * Self.bytesPerPixel)
        }
    }

    private func copy(_ offset: Int, to place: Int, _ count: Int) {
        let count = min(count, backed - offset)
        guard count > 0, place >= 0, count <= memory.size - place else { return }
        var low = 0, high = starts.count
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= offset { low = middle + 1 } else { high = middle }
        }
        var index = low - 1, done = 0
        while done < count, pieces.indices.contains(index) {
            let skipped = offset + done - starts[index], part = min(count - done, pieces[index].count - skipped)
            if part > 0 { memcpy(memory.base + place + done, pieces[index].host + skipped, part) }
            done += max(0, part)
            index += 1
        }
    }

    /// Pixels as 0xAARRGGBB, for cursors.
    func colours() -> [UInt32] {
        guard case .bytes(let red, let green, let blue) = form else { return [] }
        let alpha = 6 - red - green - blue
        return (0 ..< width * height).map { index in
            func byte(_ place: Int) -> UInt32 { UInt32(memory.base.load(fromByteOffset: index * 4 + place, as: UInt8.self)) }
            return byte(alpha) << 24 | byte(red) << 16 | byte(green) << 8 | byte(blue)
        }
    }

    /// The part at `area` as a picture.
    func surface(_ area: PixelArea) -> Surface? {
        Surface(memory, offset: UInt64(area.y * stride + area.x * Self.bytesPerPixel), width: UInt64(area.width), height: UInt64(area.height),
                stride: UInt64(stride), form, tellsChanges: true)
    }
}
