import Glibc

/// Maps the segments of a checked ELF image into guest memory, as Linux's `fs/binfmt_elf.c` specifies by its behaviour:
/// file pages are mapped privately, the tail of the last one is cleared, the rest of the memory size is anonymous.
package struct ELFLoader {
    let memory: GuestMemory

    package init(memory: GuestMemory) { self.memory = memory }

    /// Where an image came to lie.
    package struct Placement: Sendable, Equatable {
        /// Added to the image's addresses.
        package var bias: UInt64
        package var entry: UInt64
        package var programHeaders: UInt64
        /// The end of its highest segment, not rounded.
        package var end: UInt64
        /// The lowest page.
        package var start: UInt64
    }

    /// - Parameter preferred: where a position-independent image should go; 0: anywhere.
    package func load(_ image: ELFImage, from file: ProgramFile, preferred: UInt64) throws(ELFError) -> Placement {
        let span = image.high &- image.low
        var bias: UInt64 = 0
        if image.isPositionIndependent {
            guard let start = memory.freeRange(span, near: preferred, alignment: image.alignment) else { throw .noAddressSpace }
            bias = start &- (image.low & ~(image.alignment &- 1))
        }
        for segment in image.segments { try map(segment, bias, file) }
        return Placement(bias: bias, entry: image.entry &+ bias, programHeaders: image.programHeaderAddress &+ bias,
                         end: (image.segments.map(\.end).max() ?? 0) &+ bias, start: image.low &+ bias)
    }

    private func map(_ segment: ELFImage.Segment, _ bias: UInt64, _ file: ProgramFile) throws(ELFError) {
        let page = AddressLayout.page
        let protection = (segment.flags & 4 != 0 ? PROT_READ : 0) | (segment.flags & 2 != 0 ? PROT_WRITE : 0)
            | (segment.flags & 1 != 0 ? PROT_EXEC : 0)
        let address = segment.address &+ bias
        let start = address & ~(page &- 1)
        let fileEnd = address &+ segment.fileSize
        let fileEndPage = (fileEnd &+ page &- 1) & ~(page &- 1)
        let endPage = (address &+ segment.memorySize &+ page &- 1) & ~(page &- 1)
        var anonymousStart = start
        if segment.fileSize > 0 {
            let offset = segment.offset &- (address &- start)
            let result = memory.mmap(start, fileEndPage &- start, protection, MAP_PRIVATE | MAP_FIXED, file.descriptor,
                                     Int64(bitPattern: offset))
            guard result >= 0 else { throw .cannotMap(segment: segment.index, errno: Int32(truncatingIfNeeded: -result)) }
            if segment.memorySize > segment.fileSize, protection & PROT_WRITE != 0, fileEndPage > fileEnd {
                guard memory.writeBytes(fileEnd, [UInt8](repeating: 0, count: Int(fileEndPage &- fileEnd))) else {
                    throw .cannotMap(segment: segment.index, errno: EFAULT)
                }
            }
            anonymousStart = fileEndPage
        }
        if endPage > anonymousStart {
            let result = memory.mmap(anonymousStart, endPage &- anonymousStart, protection,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
            guard result >= 0 else { throw .cannotMap(segment: segment.index, errno: Int32(truncatingIfNeeded: -result)) }
        }
    }
}

extension GuestMemory {
    /// The start of a free range of whole pages: at `near` if that is free, else where the kernel would choose.
    func freeRange(_ size: UInt64, near: UInt64, alignment: UInt64) -> UInt64? {
        state.withLock { state in
            let start = (near &+ alignment &- 1) & ~(alignment &- 1)
            if near != 0, contains(start, size), state.map.isFree(start, start &+ size) { return start }
            return choose(state, hint: 0, size: size, alignment: alignment).flatMap { $0 & (alignment &- 1) == 0 ? $0 : nil }
        }
    }
}
