// bzip2 by libbz2.

import CCompression

/// Expansion with libbz2.
public enum Bzip2 {
    /// Expands `input` into `output`. - Returns: bytes produced; nil if `input` is damaged, ends early, or does not fit.
    public static func expand(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        guard let source = input.baseAddress, let target = output.baseAddress,
              let available = UInt32(exactly: input.count), var room = UInt32(exactly: output.count) else { return nil }
        // libbz2 does not change its input, though the type says it may.
        let bytes = UnsafeMutableRawPointer(mutating: source).assumingMemoryBound(to: CChar.self)
        let result = BZ2_bzBuffToBuffDecompress(target.assumingMemoryBound(to: CChar.self), &room, bytes, available, 0, 0)
        return result == BZ_OK ? Int(room) : nil
    }
}

