// The machine as the remote protocol sees it. Called by the debugger's thread while all vCPUs stand still.

import Core
import Debugger
import Translation

/// One breakpoint as the debugger inserted it.
struct MachineBreakpoint: Equatable, Sendable {
    var kind: BreakpointKind
    var address: UInt64
    var length: UInt64
}

extension MachineDebugger: DebugTarget {
    public var architecture: String { guest.debugArchitecture }
    public var operatingSystem: String? { nil }
    public var registerFeatures: [RegisterFeature] { guest.registerFeatures }
    public var wasRunning: Bool { true }

    public var threads: [DebugThread] { (0 ..< processors.count).map(Self.thread) }

    public func name(of thread: DebugThread) -> String? {
        processor(of: thread).map { "CPU#\($0.index) [\($0.isHalted ? "halted " : "running")]" }
    }

    public func readRegister(_ register: DebugRegister, of thread: DebugThread) -> [UInt8]? {
        processor(of: thread).map { register.read($0.vcpu, bigEndian: false) }
    }

    public func writeRegister(_ register: DebugRegister, of thread: DebugThread, _ bytes: [UInt8]) -> Bool {
        guard let processor = processor(of: thread) else { return false }
        return register.write(processor.vcpu, bytes, bigEndian: false)
    }

    // MARK: memory

    public func readMemory(_ address: UInt64, _ count: Int, of thread: DebugThread) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, let (span, size) = span(address &+ UInt64(bytes.count), count &- bytes.count, thread) {
            bytes += UnsafeRawBufferPointer(start: span.host, count: size)
        }
        return bytes
    }

    public func writeMemory(_ address: UInt64, _ bytes: [UInt8], of thread: DebugThread) -> Bool {
        var done = 0
        while done < bytes.count, let (span, size) = span(address &+ UInt64(done), bytes.count &- done, thread) {
            // Also what the guest may not write: a debugger changes flash memory, too.
            span.block.willWrite(span.offset, UInt64(size))
            bytes.withUnsafeBytes { source in
                if let base = source.baseAddress { span.host.copyMemory(from: base + done, byteCount: size) }
            }
            span.block.willWrite(span.offset, UInt64(size))
            done &+= size
        }
        return done == bytes.count
    }

    /// The memory at `address`, and how much of it there is on one page, at most `limit` bytes. Devices are none: reading them
    /// does things.
    private func span(_ address: UInt64, _ limit: Int, _ thread: DebugThread) -> (MemorySpan, Int)? {
        guard let vcpu = processor(of: thread)?.vcpu, limit > 0 else { return nil }
        var physical = address
        if !state.withLock({ $0.readsPhysical }) {
            guard let found = guest.physicalAddress(address, of: vcpu, memory: memory) else { return nil }
            physical = found
        }
        guard let span = memory.memory(at: physical), span.count > 0 else { return nil }
        let onPage = RAMBlock.pageBytes &- address & (RAMBlock.pageBytes &- 1)
        return (span, Int(clamping: min(span.count, onPage, UInt64(limit))))
    }

    // MARK: breakpoints

    public func insertBreakpoint(_ kind: BreakpointKind, at address: UInt64, length: UInt64, of process: Int32) -> Bool {
        let breakpoint = MachineBreakpoint(kind: kind, address: address, length: length)
        let isNew = state.withLock { state in
            guard !state.breakpoints.contains(breakpoint), state.breakpoints.count < 4096 else { return false }
            state.breakpoints.append(breakpoint)
            return true
        }
        guard isNew else { return state.withLock { $0.breakpoints.contains(breakpoint) } }
        if case .watch(let watch) = kind {
            let isFirst = tools.watches.isEmpty
            tools.watches.insert(Self.watch(watch, address, length))
            if isFirst { processors.engine.invalidate(0 ..< .max) }
        } else {
            tools.breakpoints.insert(address)
            forgetCode(at: address)
        }
        return true
    }

    public func removeBreakpoint(_ kind: BreakpointKind, at address: UInt64, length: UInt64, of process: Int32) -> Bool {
        let breakpoint = MachineBreakpoint(kind: kind, address: address, length: length)
        let (isKnown, isLastThere) = state.withLock { state in
            let isKnown = state.breakpoints.contains(breakpoint)
            state.breakpoints.removeAll { $0 == breakpoint }
            return (isKnown, !state.breakpoints.contains { $0.address == address && !$0.isWatch })
        }
        guard isKnown else { return true }
        if case .watch(let watch) = kind {
            if tools.watches.remove(Self.watch(watch, address, length)), tools.watches.isEmpty { processors.engine.invalidate(0 ..< .max) }
        } else if isLastThere {
            tools.breakpoints.remove(address)
            forgetCode(at: address)
        }
        return true
    }

    private func forgetCode(at address: UInt64) {
        if address < .max { processors.engine.invalidate(address ..< address &+ 1) }
    }

    private static func watch(_ kind: WatchKind, _ address: UInt64, _ length: UInt64) -> Translation.Watch {
        .init(start: address, length: length, reads: kind != .write, writes: kind != .read)
    }

    // MARK: going on

    public func interrupt() { report(.signal(2), 0) }

    public func resume(packet: [UInt8], _ action: (DebugThread) -> ResumeAction) -> Bool {
        letGo(action)
        return true
    }

    public func detach(_ process: Int32) -> Bool { true }
    public func kill() { controls.quit() }

    public func monitor(_ command: String) -> String? { controls.monitor(command) }

    /// What QEMU adds to the protocol.
    public func answer(_ query: String) -> String? {
        switch query {
        case "qqemu.Supported": return "sstepbits;sstep;PhyMemMode"
        case "qqemu.sstepbits": return "ENABLE=1,NOIRQ=2,NOTIMER=4"
        case "qqemu.sstep": return "0x" + String(state.withLock { $0.stepBits }, radix: 16)
        case "qqemu.PhyMemMode": return state.withLock { $0.readsPhysical } ? "1" : "0"
        case "Qqemu.PhyMemMode:0", "Qqemu.PhyMemMode:1":
            state.withLock { $0.readsPhysical = query.hasSuffix("1") }
            return "OK"
        default:
            let prefix = "Qqemu.sstep="
            guard query.hasPrefix(prefix) else { return nil }
            let text = query.dropFirst(prefix.count)
            guard let bits = UInt64(text.hasPrefix("0x") ? text.dropFirst(2) : text, radix: 16), bits <= StepBits.all else { return "E22" }
            state.withLock { $0.stepBits = bits }
            return "OK"
        }
    }
}

extension MachineBreakpoint {
    var isWatch: Bool { if case .watch = kind { true } else { false } }
}
