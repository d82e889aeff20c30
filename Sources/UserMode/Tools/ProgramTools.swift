// The tools that a run was asked for, and what they say when the program ends.

import CHost
import Glibc
import Host
import Translation

final class ProgramTools: @unchecked Sendable {
    let counters: BlockCounters?
    let calls: CallTrace?
    private let options: UserOptions
    private let memory: GuestMemory
    private let process = getpid()
    /// Becomes 1 when a thread begins to report.
    private let reported: UnsafeMutablePointer<Int32>

    /// Nil if nothing was asked for.
    init?(_ options: UserOptions, _ memory: GuestMemory) {
        guard options.counts || options.coverage != nil || options.tracesCalls else { return nil }
        self.options = options
        self.memory = memory
        counters = options.counts || options.coverage != nil ? BlockCounters() : nil
        calls = options.tracesCalls ? CallTrace(memory: memory, write: UserLog.writer(options.logFile)) : nil
        reported = .allocate(capacity: 1)
        reported.initialize(to: 0)
    }

    deinit { reported.deallocate() }

    var hooks: [any TranslationHook] {
        var list: [any TranslationHook] = []
        if let counters { list.append(counters) }
        if let calls { list.append(calls) }
        return list
    }

    /// The program is about to end, or to be replaced by another.
    func finish() {
        guard apus_atomic_exchange_i32(reported, 1) == 0, let counters else { return }
        let blocks = counters.counted()
        if options.counts { UserLog.writer(options.logFile)(countReport(blocks)) }
        if let file = options.coverage { writeCoverage(blocks, to: file) }
    }

    /// An exec failed after all.
    func goOn() { apus_atomic_store_i32(reported, 0) }

    func willFork() {
        counters?.willFork()
        CallTrace.willFork()
    }

    func didFork(inChild: Bool) {
        CallTrace.didFork()
        counters?.didFork()
        if inChild { counters?.reset() }
    }

    // MARK: --count

    private static let mostFunctions = 40

    private func countReport(_ blocks: [CountedBlock]) -> String {
        let symbols = ProgramSymbols(memory)
        symbols.refresh()
        var instructions: UInt64 = 0, runs: UInt64 = 0
        var functions: [String: UInt64] = [:]
        for block in blocks {
            let count = block.runs &* UInt64(block.instructions)
            instructions &+= count
            runs &+= block.runs
            functions[symbols.name(at: block.start), default: 0] &+= count
        }
        func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.utf8.count)) + text }
        var text = "\(getpid()) instructions \(instructions), blocks \(runs), different blocks \(blocks.count)\n"
        let sorted = functions.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        for (name, count) in sorted.prefix(Self.mostFunctions) {
            let share = instructions == 0 ? 0 : count &* 1000 / instructions
            text += right(String(count), 16) + right("\(share / 10).\(share % 10)%", 8) + "  \(name)\n"
        }
        if sorted.count > Self.mostFunctions { text += "  and \(sorted.count - Self.mostFunctions) functions more\n" }
        return text
    }

    // MARK: --coverage

    /// drcov's format, version 2, as coverage viewers read it: modules, then offset, size and module of each block.
    private func writeCoverage(_ blocks: [CountedBlock], to file: String) {
        // Only the first process writes to a name that is the same for all.
        var name = file
        if let mark = file.utf8.firstIndex(of: UInt8(ascii: "%")), file[mark...].hasPrefix("%d") {
            name = file[..<mark] + String(getpid()) + file[file.index(mark, offsetBy: 2)...]
        } else if getpid() != process {
            return
        }
        var modules: [(path: String, base: UInt64, end: UInt64)] = []
        for mapped in MemoryMapText(memory).files() {
            let start = mapped.range.lowerBound &- min(mapped.offset, mapped.range.lowerBound)
            if let index = modules.firstIndex(where: { $0.path == mapped.path && $0.end &+ (64 << 20) > mapped.range.lowerBound }) {
                modules[index].base = min(modules[index].base, start)
                modules[index].end = max(modules[index].end, mapped.range.upperBound)
            } else {
                modules.append((mapped.path, start, mapped.range.upperBound))
            }
        }
        func hex(_ value: UInt64, _ width: Int) -> String {
            let digits = String(value, radix: 16)
            return "0x" + String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        var text = "DRCOV VERSION: 2\nDRCOV FLAVOR: drcov\nModule Table: version 2, count \(modules.count)\n"
            + "Columns: id, base, end, entry, checksum, timestamp, path\n"
        for (index, module) in modules.enumerated() {
            text += " \(index), \(hex(module.base, 16)), \(hex(module.end, 16)), 0x0000000000000000, 0x00000000, 0x00000000, \(module.path)\n"
        }
        var out = ByteWriter()
        var count = 0
        for block in blocks {
            guard let index = modules.firstIndex(where: { $0.base <= block.start && block.start < $0.end }), index <= 0xffff,
                  block.start &- modules[index].base <= UInt64(UInt32.max) else { continue }
            out.u32(UInt32(truncatingIfNeeded: block.start &- modules[index].base))
            out.u16(UInt16(clamping: block.bytes))
            out.u16(UInt16(truncatingIfNeeded: index))
            count += 1
        }
        let bytes = Array((text + "BB Table: \(count) bbs\n").utf8) + out.bytes
        let descriptor = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            UserLog.writer(nil)("apus: --coverage: cannot write '\(name)': \(HostError.text(errno))\n")
            return
        }
        defer { close(descriptor) }
        var done = 0
        while done < bytes.count {
            let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done) }
            guard written > 0 else { return }
            done += written
        }
    }
}
