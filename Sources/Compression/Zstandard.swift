// Zstandard (RFC 8878) by libzstd.

import CCompression

/// One-shot compression and expansion with libzstd.
public enum Zstandard {
    private static let expanders = Reserve<OpaquePointer>(make: { ZSTD_createDCtx() }, free: { ZSTD_freeDCtx($0) })
    private static let compressors = Reserve<OpaquePointer>(make: { ZSTD_createCCtx() }, free: { ZSTD_freeCCtx($0) })

    /// Expands the frames at the start of `input` until `output` is full or a frame ends; what follows is ignored.
    /// - Returns: bytes produced; nil if `input` is damaged.
    public static func expand(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        expanders.use { expand(input, into: output, $0) }
    }

    private static func expand(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, _ context: OpaquePointer) -> Int? {
        // An earlier frame may have been left in its middle.
        guard ZSTD_isError(ZSTD_DCtx_reset(context, ZSTD_reset_session_only)) == 0 else { return nil }
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        while target.pos < target.size {
            let before = (source.pos, target.pos)
            let result = ZSTD_decompressStream(context, &target, &source)
            if ZSTD_isError(result) != 0 { return nil }
            if result == 0 { return target.pos }
            // Nothing moves any more: the input ends before the frame.
            if before == (source.pos, target.pos) { return nil }
        }
        return target.pos
    }

    /// Compresses `input` into `output`. - Returns: bytes produced; nil if they do not fit.
    public static func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, level: Int32 = 3) -> Int? {
        compressors.use { context in
            let result = ZSTD_compressCCtx(context, output.baseAddress, output.count, input.baseAddress, input.count, level)
            return ZSTD_isError(result) != 0 ? nil : result
        }
    }
}
