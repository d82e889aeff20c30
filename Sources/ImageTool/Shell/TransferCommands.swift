// The shell's commands that move data.

import Block
import Glibc

enum TransferCommands {
    static let largest: UInt64 = 2_147_483_136

    static let all: [ShellCommand] = [
        ShellCommand(name: "read", short: "r", flags: "abCl:pP:qrs:v", least: 2, most: .max, usage: "[-abCqrv] [-P pattern [-s off] [-l len]] off len",
                     help: "reads a number of bytes at a specified offset", body: read),
        ShellCommand(name: "readv", flags: "CP:qrv", least: 2, most: .max, usage: "[-Cqrv] [-P pattern] off len [len..]",
                     help: "reads a number of bytes at a specified offset", body: read),
        ShellCommand(name: "aio_read", flags: "CiP:qrv", least: 2, most: .max, usage: "[-Ciqrv] [-P pattern] off len [len..]",
                     help: "reads a number of bytes", body: read),
        ShellCommand(name: "write", short: "w", flags: "bcCfnpP:qrs:uz", least: 2, most: .max, usage: "[-bcCfnqruz] [-P pattern | -s source_file] off len",
                     help: "writes a number of bytes at a specified offset", body: write),
        ShellCommand(name: "writev", flags: "CfP:qr", least: 2, most: .max, usage: "[-Cfqr] [-P pattern] off len [len..]",
                     help: "writes a number of bytes at a specified offset", body: write),
        ShellCommand(name: "aio_write", flags: "CfiP:qruz", least: 2, most: .max, usage: "[-Cfiqruz] [-P pattern] off len [len..]",
                     help: "writes a number of bytes", body: write),
        ShellCommand(name: "discard", short: "d", flags: "Cq", least: 2, most: .max, usage: "[-Cq] off len", help: "discards a number of bytes at a specified offset", body: discard),
        ShellCommand(name: "aio_discard", flags: "Ciq", least: 2, most: .max, usage: "[-Cq] off len", help: "discards a number of bytes", body: discard),
        ShellCommand(name: "flush", short: "f", usage: "", help: "flush all in-core file state to disk") { session, _ throws(ToolFailure) in
            try call("flush") { () throws(BlockError) in try session.node?.flush() }
        },
        ShellCommand(name: "aio_flush", usage: "", help: "completes all outstanding aio requests") { _, _ throws(ToolFailure) in },
        ShellCommand(name: "truncate", short: "t", flags: "m:", least: 1, most: 1, usage: "[-m prealloc_mode] off", help: "truncates the current file at the given offset") {
            session, arguments throws(ToolFailure) in
            guard let mode = Preallocation(rawValue: arguments.value("m") ?? "off") else { throw ToolFailure("Invalid preallocation mode") }
            let size = try arguments.size(0)
            try call("truncate") { () throws(BlockError) in try session.node?.setLength(size, mode) }
        },
    ]

    private static func call(_ what: String, _ body: () throws(BlockError) -> Void) throws(ToolFailure) {
        do { try body() } catch {
            // The host's own words, as qemu-io prints them, and where.
            throw ToolFailure("\(what) failed: " + (error.number != 0 ? String(cString: strerror(error.number)) + (error.file == nil ? "" : " (\(error))") : "\(error)"))
        }
    }

    /// Offset and length; several lengths are one request.
    private static func range(_ arguments: ShellArguments) throws(ToolFailure) -> (offset: UInt64, count: UInt64) {
        let offset = try arguments.size(0)
        var count: UInt64 = 0
        for index in 1..<arguments.operands.count {
            let length = try arguments.size(index)
            guard length <= largest, count + length <= largest else { throw ToolFailure("length cannot exceed \(largest), given \(arguments.operands[index])") }
            count += length
        }
        return (offset, count)
    }

    private static func buffer(_ session: ShellSession, _ count: UInt64) throws(ToolFailure) -> (OwnedBuffer, BlockBuffer) {
        do {
            let owned = try OwnedBuffer(Int(count) + 16)
            return (owned, owned.buffer.slice(session.misaligned ? 16 : 0, Int(count)))
        } catch { throw ToolFailure(error) }
    }

    private static func read(_ session: ShellSession, _ arguments: ShellArguments) throws(ToolFailure) {
        guard let node = session.node else { return }
        let (offset, count) = try range(arguments)
        let (owner, bytes) = try buffer(session, count)
        let pattern = try arguments.pattern()
        let began = RateLimit.now()
        try call("read") { () throws(BlockError) in
            if arguments.has("b") {
                guard let image = node.image as? any VMStateImage else { throw .host(ENOTSUP) }
                try image.readState(offset, bytes)
            } else {
                guard offset &+ count <= (try node.length()) else { throw .host(EIO) }
                try node.read(offset, bytes)
            }
        }
        let seconds = RateLimit.now() - began
        if let pattern {
            let start = try arguments.value("s").map { (text) throws(ToolFailure) in try session.tool.size(text, "offset") } ?? 0
            let length = try arguments.value("l").map { (text) throws(ToolFailure) in try session.tool.size(text, "length") } ?? (count - min(count, start))
            let part = bytes.slice(Int(clamping: start), length)
            if !part.bytes.allSatisfy({ $0 == pattern }) {
                session.fail("Pattern verification failed at offset \(offset + start), \(length) bytes")
            }
        }
        if arguments.has("q") { return }
        if arguments.has("v") { TransferReport.dump(session, bytes, at: offset) }
        TransferReport.print(session, "read", at: offset, done: count, of: count, seconds: seconds, concise: arguments.has("C"))
        withExtendedLifetime(owner) {}
    }

    private static func write(_ session: ShellSession, _ arguments: ShellArguments) throws(ToolFailure) {
        guard let node = session.node else { return }
        let (offset, count) = try range(arguments)
        if arguments.has("n") { throw ToolFailure("write -n (only without falling back to writing zeros) is not supported") }
        if arguments.has("u"), !arguments.has("z") { throw ToolFailure("-u requires -z to be specified") }
        if arguments.has("z"), arguments.has("P") { throw ToolFailure("-z and -P cannot be specified at the same time") }
        let (owner, bytes) = try buffer(session, arguments.has("z") ? 0 : count)
        if let file = arguments.value("s") { try fill(bytes, from: file) } else { bytes.fill(try arguments.pattern() ?? 0xcd) }
        let began = RateLimit.now()
        try call("write") { () throws(BlockError) in
            if arguments.has("z") {
                try node.writeZeroes(offset, count, unmap: arguments.has("u"))
            } else if arguments.has("b") {
                guard let image = node.image as? any VMStateImage else { throw .host(ENOTSUP) }
                try image.writeState(offset, bytes)
            } else if arguments.has("c") {
                guard let image = node.image as? any CompressingImage, let storage = node.storage as? ImageStorage else { throw .host(ENOTSUP) }
                guard offset % image.compressionUnit == 0, count <= image.compressionUnit, offset &+ count <= image.virtualSize else { throw .host(EINVAL) }
                let unit = try OwnedBuffer(Int(image.compressionUnit))
                unit.buffer.fill()
                unit.buffer.copy(from: bytes)
                if let payload = try image.compress(unit.buffer) { try storage.write(compressed: payload, at: offset) } else { try node.write(offset, bytes) }
            } else { try node.write(offset, bytes) }
            if arguments.has("f") { try node.flush() }
        }
        let seconds = RateLimit.now() - began
        if !arguments.has("q") {
            TransferReport.print(session, "wrote", at: offset, done: count, of: count, seconds: seconds, concise: arguments.has("C"))
        }
        withExtendedLifetime(owner) {}
    }

    /// Fills the buffer with a file's bytes, again and again.
    private static func fill(_ buffer: BlockBuffer, from path: String) throws(ToolFailure) {
        do throws(BlockError) {
            let file = try FileStorage(path: path, .readOnly)
            let length = try file.length()
            guard length > 0 else { throw BlockError(.invalid, "\(path): the file is empty") }
            var done = 0
            while done < buffer.count {
                let part = buffer.slice(done, length)
                try file.read(0, part)
                done += part.count
            }
            try file.close()
        } catch { throw ToolFailure(error) }
    }

    private static func discard(_ session: ShellSession, _ arguments: ShellArguments) throws(ToolFailure) {
        guard let node = session.node else { return }
        let (offset, count) = try range(arguments)
        let began = RateLimit.now()
        try call("discard") { () throws(BlockError) in try node.discard(offset, count) }
        if !arguments.has("q") {
            TransferReport.print(session, "discard", at: offset, done: count, of: count, seconds: RateLimit.now() - began, concise: arguments.has("C"))
        }
    }
}
