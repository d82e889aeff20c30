// Copies what one or more nodes hold, one after the other, into another: the engine of `convert`. Zeros are found by
// asking the source's map, and in data by looking; they are not written where the target has them already.
//
// One thread at a time decides which range is next; reading, looking for zeros and compressing run side by side. Writes
// go in the order of the disk unless `anyOrder`, so that the target's clusters lie in order too.

import Host

/// What to copy, and how.
public struct Conversion: Sendable {
    public var sources: [Node]
    public var target: Node
    /// The target reads as zeros where nothing has been written.
    public var targetIsZero = false
    /// The target stands on a backing file: copy only what the top layer of the source decides.
    public var onlyTopLayer = false
    public var compresses = false
    /// Zeros of at least this many bytes are left out; 0: zeros are written as data.
    public var sparseSize: UInt64 = 4096
    public var threads = 8
    public var anyOrder = false
    /// The host copies from file to file where it can; data is not searched for zeros then.
    public var offloads = false
    /// Reads that fail become zeros.
    public var salvages = false
    public var limit = RateLimit(0)
    /// Called now and then with the part done, 0…1; from any thread, one at a time.
    public var progress: (@Sendable (Double) -> Void)?
    /// Asked now and then whether to stop.
    public var isCancelled: (@Sendable () -> Bool)?
    /// Told of reads that failed and became zeros.
    public var complain: (@Sendable (BlockError) -> Void)?

    public init(sources: [Node], target: Node) {
        self.sources = sources
        self.target = target
    }

    /// Bytes handled at once where nothing demands another size.
    static let pieceSize: UInt64 = 2 << 20

    /// Copies all. The target is flushed by whoever closes it.
    public func run() throws(BlockError) {
        let copying = try Copying(self)
        copying.runAll()
        if let failure = copying.failure { throw failure }
        progress?(1)
    }
}

/// One run of a conversion.
private final class Copying: Sendable {
    enum Content { case data, zero, backing }
    struct Piece { var number: Int; var start: UInt64; var length: UInt64; var content: Content }
    struct State {
        var next = 0
        var position: UInt64 = 0
        /// What has been looked up already, from `position`.
        var known: (length: UInt64, content: Content)?
        var failure: BlockError?
        var done: UInt64 = 0
    }
    let work: Conversion
    let parts: [(start: UInt64, end: UInt64, node: Node)]
    let total: UInt64
    let pieceSize: UInt64
    let compressor: (any CompressingImage)?
    let state = Locked(State())
    let threads: Int
    let order: Turnstile
    let reporting = Locked(0.0)

    init(_ work: Conversion) throws(BlockError) {
        self.work = work
        threads = max(1, min(work.threads, 64))
        order = Turnstile(places: threads)
        var parts: [(UInt64, UInt64, Node)] = []
        var end: UInt64 = 0
        for node in work.sources {
            let length = try node.length()
            let (next, overflow) = end.addingReportingOverflow(length)
            guard !overflow else { throw .invalid("the sources together are too large") }
            parts.append((end, next, node))
            end = next
        }
        self.parts = parts
        total = min(end, try work.target.length())
        var compressor: (any CompressingImage)?
        if work.compresses {
            guard let found = work.target.image as? any CompressingImage else { throw .unsupported("Compression not supported for this file format") }
            compressor = found
        }
        self.compressor = compressor
        if let unit = compressor?.compressionUnit, unit > 0, unit <= 64 << 20 { pieceSize = unit } else { pieceSize = Conversion.pieceSize }
    }

    var failure: BlockError? { state.withLock { $0.failure } }

    func runAll() {
        // What waits for its turn leaves the processor's caches meanwhile: a plain file is written in any order (twice as fast
        // where the source is compressed).
        let ordered = !work.anyOrder && work.target.image != nil && work.target.driver != "raw"
        Workers.run(threads) { [self] in
            do throws(BlockError) {
                let buffer = try OwnedBuffer(Int(pieceSize))
                while let piece = try nextPiece() {
                    do throws(BlockError) { try copy(piece, buffer.buffer, ordered: ordered) } catch { fail(error) }
                }
                withExtendedLifetime(buffer) {}
            } catch { fail(error) }
        }
    }

    private func fail(_ error: BlockError) { state.withLock { if $0.failure == nil { $0.failure = error } } }

    // MARK: What is next

    private func nextPiece() throws(BlockError) -> Piece? {
        if work.isCancelled?() == true { fail(BlockError(.cancelled, "cancelled")) }
        return try state.withLock { (state) throws(BlockError) -> Piece? in
            while state.failure == nil, state.position < total {
                let known: (length: UInt64, content: Content)
                do throws(BlockError) {
                    if let found = state.known { known = found } else { known = try look(state.position) }
                } catch {
                    state.failure = error
                    throw error
                }
                // Data is cut into pieces that end on multiples of the piece size. A compressed unit is one piece, whole.
                var length = known.length
                var content = known.content
                if compressor != nil {
                    let reachesEnd = state.position + known.length >= total
                    if content != .data, reachesEnd || known.length >= pieceSize {
                        length = reachesEnd ? known.length : known.length.roundedDown(to: pieceSize)
                    } else {
                        content = .data
                        length = min(pieceSize, total - state.position)
                    }
                } else if content == .data {
                    length = min(length, pieceSize - state.position % pieceSize)
                }
                let rest = known.length > length ? known.length - length : 0
                let start = state.position
                state.position += length
                state.known = rest > 0 ? (rest, known.content) : nil
                if content == .backing || content == .zero && work.targetIsZero {
                    state.done += length
                    continue
                }
                state.next += 1
                return Piece(number: state.next - 1, start: start, length: length, content: content)
            }
            return nil
        }
    }

    private func part(at position: UInt64) -> (start: UInt64, end: UInt64, node: Node)? { parts.first { position >= $0.start && position < $0.end } }

    private func look(_ position: UInt64) throws(BlockError) -> (UInt64, Content) {
        guard let part = part(at: position) else { return (total - position, .zero) }
        let count = min(part.end, total) - position
        let status: BlockStatus
        do {
            status = work.onlyTopLayer ? try part.node.chainStatus(position - part.start, count, above: part.node.backing)
                : try part.node.wholeStatus(position - part.start, count)
        } catch {
            if work.salvages { return (min(count, pieceSize), .data) }
            throw error
        }
        if status.isZero { return (status.length, work.sparseSize == 0 ? .data : .zero) }
        if work.onlyTopLayer, !status.isAllocated { return (status.length, .backing) }
        return (status.length, .data)
    }

    // MARK: Copying

    private func copy(_ piece: Piece, _ whole: BlockBuffer, ordered: Bool) throws(BlockError) {
        // Whatever happens, this piece's turn must come and go.
        var passed = !ordered
        func takeTurn() { if !passed { order.wait(piece.number); passed = true } }
        defer {
            if ordered {
                takeTurn()
                order.pass()
            }
        }
        if piece.content == .zero {
            takeTurn()
            if failure == nil { try work.target.writeZeroes(piece.start, piece.length, unmap: true) }
            return report(piece.length)
        }
        work.limit.pass(piece.length)
        var piece = piece
        if work.offloads {
            takeTurn()
            if failure != nil { return }
            let copied = try offload(piece)
            piece.start += copied
            piece.length -= copied
            report(copied)
            if piece.length == 0 { return }
        }
        let buffer = whole.slice(0, piece.length)
        try read(piece.start, buffer)
        if let compressor {
            whole.slice(buffer.count, Int.max).fill()
            if work.sparseSize > 0, whole.isZero {
                if !work.targetIsZero { takeTurn(); try work.target.writeZeroes(piece.start, piece.length) }
            } else {
                let payload = try compressor.compress(whole)
                takeTurn()
                if failure != nil { return }
                if let payload, let image = work.target.storage as? ImageStorage {
                    do { try image.write(compressed: payload, at: piece.start) } catch { throw error.naming(work.target.filename) }
                } else { try work.target.write(piece.start, buffer) }
            }
            return report(piece.length)
        }
        if work.sparseSize == 0 {
            takeTurn()
            if failure == nil { try work.target.write(piece.start, buffer) }
            return report(piece.length)
        }
        let runs = dataRuns(piece.start, buffer)
        takeTurn()
        if failure != nil { return }
        for run in runs {
            let part = buffer.slice(run.start, run.end - run.start)
            let position = piece.start + UInt64(run.start)
            if !run.isZero { try work.target.write(position, part) }
            else if !work.targetIsZero { try work.target.writeZeroes(position, UInt64(part.count), unmap: true) }
        }
        report(piece.length)
    }

    /// Lets the host copy; returns how many bytes from the piece's start are done.
    private func offload(_ piece: Piece) throws(BlockError) -> UInt64 {
        var done: UInt64 = 0
        while done < piece.length {
            let position = piece.start + done
            guard let part = part(at: position),
                  let place = try part.node.hostPlace(position - part.start, min(piece.length - done, part.end - position)) else { break }
            let copied = try work.target.copy(from: place.file, at: place.offset, to: position, place.length)
            if copied == 0 { break }
            done += copied
        }
        return done
    }

    private func read(_ start: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        var done = 0
        while done < buffer.count {
            let position = start + UInt64(done)
            guard let part = part(at: position) else { return buffer.slice(done, Int.max).fill() }
            let piece = buffer.slice(done, part.end - position)
            do { try part.node.read(position - part.start, piece) } catch {
                guard work.salvages else { throw error }
                try salvage(part.node, position - part.start, piece)
            }
            done += piece.count
        }
    }

    /// Reads sector by sector; what cannot be read becomes zeros.
    private func salvage(_ node: Node, _ offset: UInt64, _ buffer: BlockBuffer) throws(BlockError) {
        var done = 0
        while done < buffer.count {
            let sector = buffer.slice(done, 512)
            do { try node.read(offset + UInt64(done), sector) } catch {
                sector.fill()
                work.complain?(error)
            }
            done += sector.count
        }
    }

    /// Cuts a buffer into runs of zeros, at least `sparseSize` long and aligned to 4 KiB where that keeps data whole,
    /// and runs of data.
    private func dataRuns(_ start: UInt64, _ buffer: BlockBuffer) -> [(start: Int, end: Int, isZero: Bool)] {
        let grain = 4096
        let least = max(1, Int(clamping: work.sparseSize.divided(roundingUpBy: UInt64(grain))))
        if buffer.isZero { return [(0, buffer.count, true)] }
        var runs: [(start: Int, end: Int, isZero: Bool)] = []
        var index = 0
        while index < buffer.count {
            let isZero = buffer.slice(index, grain).isZero
            let end = min(buffer.count, index + grain)
            if let last = runs.last, last.isZero == isZero { runs[runs.count - 1].end = end } else { runs.append((index, end, isZero)) }
            index = end
        }
        // Zeros too short to be worth a hole are data.
        var merged: [(start: Int, end: Int, isZero: Bool)] = []
        for run in runs {
            let isZero = run.isZero && (run.end - run.start) / grain >= least
            if let last = merged.last, last.isZero == isZero { merged[merged.count - 1].end = run.end } else { merged.append((run.start, run.end, isZero)) }
        }
        return merged
    }

    private func report(_ count: UInt64) {
        let fraction = state.withLock { state -> Double in
            state.done += count
            return total == 0 ? 1 : Double(min(state.done, total)) / Double(total)
        }
        guard let progress = work.progress else { return }
        // At most some hundred reports, in order.
        reporting.withLock { last in
            if fraction - last >= 0.0025 { last = fraction; progress(fraction) }
        }
    }
}
