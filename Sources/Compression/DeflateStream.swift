// A DEFLATE stream that goes on: what protocols compress message by message, each ending on a byte (RFC 1950, sync flush).

import CCompression

/// A zlib stream to compress into. Used by one thread at a time.
public final class DeflateStream {
    private let stream: UnsafeMutablePointer<z_stream>

    /// - Returns: nil if there is no memory for it.
    public init?(level: Int32) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard deflateInit_(stream, level, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            stream.deallocate()
            return nil
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// Compresses `input` so that the other side can expand all of it, and appends the result to `output`.
    /// - Parameter isLast: the stream ends with it.
    public func append(_ input: [UInt8], to output: inout [UInt8], isLast: Bool = false) {
        input.withUnsafeBufferPointer { input in
            guard let base = input.baseAddress, let count = UInt32(exactly: input.count) else { return }
            stream.pointee.next_in = UnsafeMutablePointer(mutating: base)
            stream.pointee.avail_in = count
            let room = input.count / 2 + 1024
            repeat {
                let piece = [UInt8](unsafeUninitializedCapacity: room) { buffer, filled in
                    stream.pointee.next_out = buffer.baseAddress
                    stream.pointee.avail_out = UInt32(room)
                    deflate(stream, isLast ? Z_FINISH : Z_SYNC_FLUSH)
                    filled = room - Int(stream.pointee.avail_out)
                }
                output += piece
            } while stream.pointee.avail_out == 0
        }
    }
}

/// Checksums that come with zlib.
public enum Checksum {
    /// As PNG and gzip have it.
    public static func crc32(_ bytes: [UInt8]) -> UInt32 {
        UInt32(truncatingIfNeeded: bytes.withUnsafeBufferPointer { CCompression.crc32_z(0, $0.baseAddress, $0.count) })
    }
}
