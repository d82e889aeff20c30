import Block
import Host

/// `bench`: how fast requests of one size are answered.
enum BenchVerb: Verb {
    static let name = "bench"
    static let summary = "measures requests to an image"
    static let usage = "[-f FMT] [-c COUNT] [-d DEPTH] [-s SIZE] [-S STEP] [-o OFFSET] [-t CACHE] [-i AIO] [-n] [-w [--pattern BYTE] [--flush-interval N]] FILENAME"
    static let options = [
        CommandOption.format, .imageOptions, .forceShare,
        CommandOption("count", "c", value: "COUNT", "requests (75000)"),
        CommandOption("depth", "d", value: "DEPTH", "in flight at a time (64)"),
        CommandOption("buffer-size", "s", value: "SIZE", "bytes of each (4k)"),
        CommandOption("step-size", "S", value: "SIZE", "from one to the next (their size)"),
        CommandOption("offset", "o", value: "OFFSET", "of the first"),
        CommandOption("cache", "t", value: "MODE", "cache mode (writeback)"),
        CommandOption("write", "w", "write instead of reading"),
        CommandOption("pattern", value: "BYTE", "what to write (0)"),
        CommandOption("flush-interval", value: "N", "flush after every N requests"),
        CommandOption("no-drain", "flush without waiting for the requests in flight"),
        CommandOption("aio", "i", value: "threads|native|io_uring", "how the host does requests (threads)"),
        CommandOption("native", "n", "the same as -i native"),
    ]

    private struct State { var next = 0; var failure: BlockError? }

    static func run(_ arguments: ParsedArguments, _ tool: Tool) throws(ToolFailure) -> Int32 {
        let name = try arguments.operands(1, "one image file name")[0]
        func number(_ option: String, _ standard: UInt64) throws(ToolFailure) -> UInt64 {
            guard let text = arguments.value(option) else { return standard }
            guard let value = SizeText.parse(text), value <= UInt64(Int32.max) || option == "offset" else { throw ToolFailure("Invalid \(option) specified") }
            return value
        }
        let count = Int(try number("count", 75000)), depth = Int(try number("depth", 64)), size = try number("buffer-size", 4096)
        let step = try number("step-size", size), offset = try number("offset", 0)
        let writes = arguments.has("write"), interval = Int(try number("flush-interval", 0))
        let pattern = UInt8(truncatingIfNeeded: try number("pattern", 0))
        guard depth > 0, size > 0 else { throw ToolFailure("Invalid queue depth or buffer size specified") }
        if !writes, interval > 0 { throw ToolFailure("--flush-interval is only available in write tests") }
        var access = Access(writable: writes, cache: try tool.cache(arguments, "cache", .writeBack))
        access.interface = try tool.interface(arguments, native: "native")
        let node = try tool.open(name, format: arguments.value("format"), access, try tool.graph(arguments), arguments)
        if !arguments.isQuiet {
            tool.say("Sending \(count) \(writes ? "write" : "read") requests, \(size) bytes each, \(depth) in parallel (starting at offset \(offset), step size \(step == 0 ? size : step))\n")
            if interval > 0 { tool.say("Sending flush every \(interval) requests\n") }
        }
        let seconds = try tool.closing([node]) { () throws(BlockError) -> Double in
            let length = try node.length()
            guard length >= size else { throw .invalid("the image is smaller than one request") }
            let last = length - size
            let state = Locked(State())
            let began = RateLimit.now()
            // With a drain before each flush, the requests up to it are a round of their own.
            let drains = interval > 0 && !arguments.has("no-drain")
            var end = 0
            while end < count, state.withLock({ $0.failure == nil }) {
                end = drains ? min(count, end + interval) : count
                // More threads than requests that a host can hold in flight only wait for one another.
                Workers.run(min(depth, count, 64)) { [end] in
                    do throws(BlockError) {
                        let buffer = try OwnedBuffer(Int(size))
                        buffer.buffer.fill(pattern)
                        while let number = state.withLock({ state -> Int? in
                            guard state.failure == nil, state.next < end else { return nil }
                            state.next += 1
                            return state.next - 1
                        }) {
                            var position = offset &+ UInt64(number) &* (step == 0 ? size : step)
                            if position > last { position %= last + 1 }
                            if writes { try node.write(position, buffer.buffer) } else { try node.read(position, buffer.buffer) }
                            if !drains, interval > 0, (number + 1) % interval == 0 { try node.flush() }
                        }
                        withExtendedLifetime(buffer) {}
                    } catch { state.withLock { $0.failure = $0.failure ?? error } }
                }
                if drains { try node.flush() }
            }
            if let failure = state.withLock({ $0.failure }) { throw failure }
            return RateLimit.now() - began
        }
        if !arguments.isQuiet {
            let thousandths = Int((seconds * 1000).rounded())
            let rest = String(thousandths % 1000)
            tool.say("Run completed in \(thousandths / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest) seconds.\n")
        }
        return 0
    }
}
