// What was placed in a machine's memory at its start, as a reset puts it back.

import Core
import Firmware

struct KeptImage {
    private enum Contents {
        case bytes(ArraySlice<UInt8>)
        case file(FileOrigin, offset: Int, count: Int)
    }
    private struct Part {
        var address: UInt64
        /// Bytes in memory; those beyond the contents are 0.
        var size: UInt64
        var contents: Contents
    }
    /// Less than this is kept as it is.
    private static let worthwhile = 64 << 10

    let name: String
    private let parts: [Part]

    /// - Parameter origin: the file whose bytes, from the first on, the image's parts are slices of.
    init(_ image: LoadedImage, _ name: String, _ origin: FileOrigin?) {
        self.name = name
        parts = image.parts.map { part in
            let contents: Contents = if let origin, part.bytes.count >= Self.worthwhile {
                .file(origin, offset: part.bytes.startIndex, count: part.bytes.count)
            } else {
                .bytes(ArraySlice(Array(part.bytes)))
            }
            return Part(address: part.address, size: part.size, contents: contents)
        }
    }

    var places: [(name: String, address: UInt64, size: UInt64)] { parts.map { (name, $0.address, $0.size) } }

    /// Puts it back. - Returns: what is to be said of it.
    func place(in memory: AddressSpace) -> String? {
        var problem: String?
        for part in parts {
            switch part.contents {
            case .bytes(let bytes):
                let image = LoadedImage(parts: [.init(address: part.address, bytes: bytes, size: part.size)], entry: part.address)
                do throws(ImageError) { try image.place(in: memory, name: name) } catch { problem = error.description }
            case .file(let origin, let offset, let count):
                if origin.hasChanged { problem = "'\(name)' has changed since the machine began: it is loaded as it is now" }
                if !origin.forEachPiece(offset, count, { memory.write(part.address &+ UInt64($0), from: $1) }) { problem = "'\(name)' cannot be read any more" }
                let rest = LoadedImage(parts: [.init(address: part.address &+ UInt64(count), bytes: [], size: part.size &- UInt64(count))], entry: part.address)
                do throws(ImageError) { try rest.place(in: memory, name: name) } catch { problem = error.description }
            }
        }
        return problem
    }
}
