// xz and lzma streams by liblzma.

import CCompression

/// Expansion with liblzma.
public enum LZMA {
    /// Expands an .xz or .lzma stream. - Parameter memory: bytes the decoder may use.
    /// - Returns: bytes produced; nil if `input` is damaged, ends early, wants more memory, or does not fit.
    public static func expand(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, memory: UInt64 = 256 << 20) -> Int? {
        var stream = lzma_stream()
        guard lzma_auto_decoder(&stream, memory, 0) == LZMA_OK else { return nil }
        defer { lzma_end(&stream) }
        stream.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.avail_in = input.count
        stream.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.avail_out = output.count
        let result = lzma_code(&stream, LZMA_FINISH)
        return result == LZMA_STREAM_END ? output.count - stream.avail_out : nil
    }
}
