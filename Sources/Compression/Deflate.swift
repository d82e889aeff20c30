// DEFLATE (RFC 1951) by zlib, bare or in the frame of zlib (RFC 1950) or gzip.

import CCompression

/// One-shot compression and expansion with zlib.
public enum Deflate {
    /// What surrounds the compressed bytes, and how far back they may refer.
    public enum Frame: Sendable {
        /// Nothing; 2^bits bytes (8 to 15).
        case bare(bits: Int32)
        /// zlib's header and checksum.
        case zlib
        /// gzip's header and checksum (RFC 1952).
        case gzip
        var windowBits: Int32 {
            switch self {
            case .bare(let bits): -max(8, min(15, bits))
            case .zlib: 15
            case .gzip: 31
            }
        }
    }

    /// Expands `input` into `output`.
    /// - Parameter needsEnd: whether the compressed stream must end; else a full output is enough (qcow2 pads payloads).
    /// - Returns: bytes produced; nil if `input` is damaged, ends early, or does not fit.
    public static func expand(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, _ frame: Frame, needsEnd: Bool = false) -> Int? {
        guard let source = input.baseAddress, let target = output.baseAddress,
              let available = UInt32(exactly: input.count), let room = UInt32(exactly: output.count) else { return nil }
        var stream = z_stream()
        guard inflateInit2_(&stream, frame.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        stream.next_in = UnsafeMutablePointer(mutating: source.assumingMemoryBound(to: UInt8.self))
        stream.avail_in = available
        stream.next_out = target.assumingMemoryBound(to: UInt8.self)
        stream.avail_out = room
        let result = inflate(&stream, Z_FINISH)
        let produced = Int(room - stream.avail_out)
        if result == Z_STREAM_END { return produced }
        // Z_BUF_ERROR: no more input or output; that is as it should be when the output is full.
        return !needsEnd && (result == Z_OK || result == Z_BUF_ERROR) && stream.avail_out == 0 ? produced : nil
    }

    /// Compresses `input` into `output`. - Returns: bytes produced; nil if they do not fit.
    public static func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, _ frame: Frame, level: Int32 = Z_DEFAULT_COMPRESSION) -> Int? {
        guard let source = input.baseAddress, let target = output.baseAddress,
              let available = UInt32(exactly: input.count), let room = UInt32(exactly: output.count) else { return nil }
        var stream = z_stream()
        guard deflateInit2_(&stream, level, Z_DEFLATED, frame.windowBits, 9, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        stream.next_in = UnsafeMutablePointer(mutating: source.assumingMemoryBound(to: UInt8.self))
        stream.avail_in = available
        stream.next_out = target.assumingMemoryBound(to: UInt8.self)
        stream.avail_out = room
        return deflate(&stream, Z_FINISH) == Z_STREAM_END ? Int(room - stream.avail_out) : nil
    }
}
