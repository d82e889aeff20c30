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
        func run(_ stream: UnsafeMutablePointer<z_stream>) -> Int? {
            stream.pointee.next_in = UnsafeMutablePointer(mutating: source.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = available
            stream.pointee.next_out = target.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = room
            let result = deflate(stream, Z_FINISH)
            let left = stream.pointee.avail_out
            return deflateReset(stream) == Z_OK && result == Z_STREAM_END ? Int(room - left) : nil
        }
        if level == Z_DEFAULT_COMPRESSION, let reserve = reserves[frame.windowBits] { return reserve.use(run) }
        guard let stream = makeCompressor(frame.windowBits, level) else { return nil }
        defer { free(stream) }
        return run(stream)
    }

    /// Of the frames that images are compressed in.
    private static let reserves: [Int32: Reserve<UnsafeMutablePointer<z_stream>>] = {
        var reserves: [Int32: Reserve<UnsafeMutablePointer<z_stream>>] = [:]
        for bits in [Frame.bare(bits: 12), .zlib].map(\.windowBits) {
            reserves[bits] = Reserve(make: { makeCompressor(bits, Z_DEFAULT_COMPRESSION) }, free: { free($0) })
        }
        return reserves
    }()

    /// zlib's state points back to its stream, which therefore stays where it is.
    private static func makeCompressor(_ windowBits: Int32, _ level: Int32) -> UnsafeMutablePointer<z_stream>? {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        if deflateInit2_(stream, level, Z_DEFLATED, windowBits, 9, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK { return stream }
        stream.deallocate()
        return nil
    }

    private static func free(_ stream: UnsafeMutablePointer<z_stream>) {
        deflateEnd(stream)
        stream.deallocate()
    }
}
