// A core file of the guest, in the guest's own format, as the kernel of a real machine writes it (core(5), elf(5),
// fs/binfmt_elf.c's ELF core): notes about process and threads, then the memory that cannot be read from files again.
// Left out: filters other than the default one, pipes to programs (the host's own would not know the guest).

import CHost
import Glibc
import Host
import Translation

struct CoreFile {
    private let thread: GuestThread
    private let process: Process
    private let signal: Int
    private let information: SignalInformation
    private let limit: UInt64

    /// Whether the limit and the process's own wish allow one.
    static var isWanted: Bool { sizeLimit > 0 && directCall(SYS_prctl, 3 /* PR_GET_DUMPABLE */) == 1 }

    private static var sizeLimit: UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit) == 0 else { return 0 }
        return UInt64(limit.rlim_cur)
    }

    init(_ thread: GuestThread, _ signal: Int, _ information: SignalInformation) {
        self.thread = thread
        process = thread.process
        self.signal = signal
        self.information = information
        limit = Self.sizeLimit
    }

    // MARK: the file

    /// Writes it. - Returns: whether there is one.
    func write() -> Bool {
        let path = CoreName.path(signal: signal, thread: thread, limit: limit).map { CChar(bitPattern: $0) } + [0]
        unlink(path)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let segments = self.segments()
        let model = process.abi.dataModel
        let headerSize = model.wordSize == 8 ? 64 : 52, entrySize = model.wordSize == 8 ? 56 : 32
        let notes = CoreNotes(process, thread, signal, information).bytes
        // More segments than fit the header's field would need a section header; no program has them.
        let count = min(segments.count, 0xfffe - 1)
        let notesOffset = headerSize + entrySize * (count + 1)
        var offset = UInt64((notesOffset + notes.count + 4095) & ~4095)
        var head = ByteWriter(bigEndian: model.bigEndian)
        putHeader(&head, model, entries: count + 1)
        putEntry(&head, model, type: 4, flags: 0, offset: UInt64(notesOffset), address: 0, fileSize: UInt64(notes.count), size: 0)
        var places: [UInt64] = []
        for segment in segments.prefix(count) {
            // PF_X 1, PF_W 2, PF_R 4, where PROT_READ is 1 and PROT_EXEC 4.
            let p = segment.region.protection
            let flags = UInt32((p & 1 != 0 ? 4 : 0) | (p & 2 != 0 ? 2 : 0) | (p & 4 != 0 ? 1 : 0))
            places.append(offset)
            putEntry(&head, model, type: 1, flags: flags, offset: offset, address: segment.region.start, fileSize: segment.kept,
                     size: segment.region.end &- segment.region.start)
            offset &+= segment.kept
        }
        var isWhole = put(descriptor, head.bytes + notes, at: 0)
        for (segment, place) in zip(segments, places) where isWhole { isWhole = put(descriptor, segment, at: place) }
        // Pages left out at the end count too.
        if isWhole { ftruncate(descriptor, off_t(truncatingIfNeeded: min(offset, limit))) }
        return true
    }

    private func putHeader(_ out: inout ByteWriter, _ model: DataModel, entries: Int) {
        let wide = model.wordSize == 8
        out.append([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, model.bigEndian ? 2 : 1, 1] + [UInt8](repeating: 0, count: 9))
        out.u16(4 /* ET_CORE */)
        out.u16(process.abi.elfMachine)
        out.u32(1)
        out.append(0, size: model.wordSize)
        out.append(wide ? 64 : 52, size: model.wordSize)
        out.append(0, size: model.wordSize)
        out.u32(process.image.elfFlags)
        for value in [wide ? 64 : 52, wide ? 56 : 32, entries, 0, 0, 0] { out.u16(UInt16(truncatingIfNeeded: value)) }
    }

    private func putEntry(_ out: inout ByteWriter, _ model: DataModel, type: UInt32, flags: UInt32, offset: UInt64, address: UInt64,
                          fileSize: UInt64, size: UInt64) {
        let alignment: UInt64 = type == 1 ? 4096 : 4
        out.u32(type)
        if model.wordSize == 8 {
            out.u32(flags)
            for value in [offset, address, 0, fileSize, size, alignment] { out.u64(value) }
        } else {
            for value in [offset, address, 0, fileSize, size] { out.append(value, size: 4) }
            out.u32(flags)
            out.append(alignment, size: 4)
        }
    }

    private func put(_ descriptor: Int32, _ bytes: [UInt8], at offset: UInt64) -> Bool {
        var done = 0
        while done < bytes.count {
            let room = limit > offset &+ UInt64(done) ? Int(clamping: limit &- offset &- UInt64(done)) : 0
            let wanted = min(bytes.count &- done, room)
            guard wanted > 0 else { return false }
            let written = bytes.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress.map { $0 + done }, wanted, off_t(truncatingIfNeeded: offset &+ UInt64(done)))
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return false }
            done &+= written
        }
        return true
    }

    // MARK: memory

    private struct Segment {
        let region: Region
        /// How many bytes of it are in the file.
        let kept: UInt64
    }

    /// The default filter: what is not of a file or was written to, and the headers of mapped programs.
    private func segments() -> [Segment] {
        process.memory.regions().map { region in
            let size = region.end &- region.start
            if region.kind != .file { return Segment(region: region, kept: region.protection & 1 != 0 || region.kind == .vdso ? size : 0) }
            if region.shared || region.protection & 1 == 0 { return Segment(region: region, kept: 0) }
            if region.protection & 2 != 0 { return Segment(region: region, kept: size) }
            // Data that was made read-only after it had been written holds what the dynamic loader put there.
            let head = process.memory.readBytes(region.start, 4)
            let isProgram = head == [0x7f, 0x45, 0x4c, 0x46]
            let isChanged = region.protection & 4 == 0 && !isProgram
            return Segment(region: region, kept: isChanged ? size : isProgram ? 4096 : 0)
        }
    }

    /// Copies a segment; pages that were never touched stay holes.
    private func put(_ descriptor: Int32, _ segment: Segment, at place: UInt64) -> Bool {
        let map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
        defer { if map >= 0 { close(map) } }
        let chunk: UInt64 = 1 << 20
        var done: UInt64 = 0
        while done < segment.kept {
            let size = min(chunk, segment.kept &- done)
            let address = segment.region.start &+ done
            if isPresent(map, address, size) {
                var bytes = [UInt8](repeating: 0, count: Int(size))
                _ = process.memory.read(address, into: &bytes, count: bytes.count)
                guard put(descriptor, bytes, at: place &+ done) else { return false }
            }
            done &+= size
        }
        return true
    }

    /// Whether any page of the stretch has been touched (present, swapped or of a file); true if the host does not say.
    private func isPresent(_ map: Int32, _ address: UInt64, _ size: UInt64) -> Bool {
        guard map >= 0 else { return true }
        var entries = [UInt64](repeating: 0, count: Int(size / 4096))
        let first = (address &+ process.memory.base) / 4096
        let got = pread(map, &entries, entries.count * 8, off_t(truncatingIfNeeded: first &* 8))
        guard got == entries.count * 8 else { return true }
        return entries.contains { $0 >> 61 != 0 }
    }
}

/// Where a core file goes: `/proc/sys/kernel/core_pattern` (core(5)), or a name with program, date and process where that
/// is a pipe.
enum CoreName {
    static func path(signal: Int, thread: GuestThread, limit: UInt64) -> [UInt8] {
        let process = thread.process
        let pattern = HostFile.read("/proc/sys/kernel/core_pattern").prefix { $0 != 10 }
        let program = Array(process.image.executable)
        let name = Array(program[((program.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...])
        if pattern.isEmpty || pattern.first == UInt8(ascii: "|") {
            return Array("apus_".utf8) + name + Array("_\(date())_\(getpid()).core".utf8)
        }
        var path: [UInt8] = [], rest = pattern[...], hasProcess = false
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                path.append(byte)
                continue
            }
            guard let letter = rest.popFirst() else { break }
            func add(_ value: some BinaryInteger) { path += Array(String(value).utf8) }
            switch letter {
            case UInt8(ascii: "%"): path.append(letter)
            case UInt8(ascii: "p"), UInt8(ascii: "P"):
                add(getpid())
                hasProcess = true
            case UInt8(ascii: "i"), UInt8(ascii: "I"): add(thread.tid)
            case UInt8(ascii: "u"): add(getuid())
            case UInt8(ascii: "g"): add(getgid())
            case UInt8(ascii: "d"): add(1)
            case UInt8(ascii: "s"): add(signal)
            case UInt8(ascii: "t"): add(time(nil))
            case UInt8(ascii: "c"): add(limit)
            case UInt8(ascii: "e"), UInt8(ascii: "f"): path += name.prefix(letter == UInt8(ascii: "e") ? 15 : .max)
            case UInt8(ascii: "E"): path += program.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: "!") : $0 }
            case UInt8(ascii: "h"):
                var host = utsname()
                uname(&host)
                path += withUnsafeBytes(of: host.nodename) { Array($0.prefix { $0 != 0 }) }
            default: break
            }
        }
        let usesProcess = HostFile.read("/proc/sys/kernel/core_uses_pid").first == UInt8(ascii: "1")
        if usesProcess, !hasProcess { path += Array(".\(getpid())".utf8) }
        return path
    }

    private static func date() -> String {
        var now = time(nil), parts = tm()
        localtime_r(&now, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : String(value) }
        return "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))-\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))"
    }
}
