// The process as the remote protocol sees it. Called by the debugger's thread while all guest threads are parked.

import CHost
import Debugger
import Glibc
import Host
import Translation

/// One breakpoint as the debugger inserted it.
struct DebugBreakpoint: Equatable, Sendable {
    var kind: BreakpointKind
    var address: UInt64
    var length: UInt64
}

extension GuestDebugger: DebugTarget {
    private var guest: (any DebuggableGuest)? { abi.guest as? any DebuggableGuest }
    var architecture: String { guest?.debugArchitecture ?? abi.guest.name }
    var operatingSystem: String? { "GNU/Linux" }
    var registerFeatures: [RegisterFeature] { guest?.registerFeatures ?? [] }

    var threads: [DebugThread] {
        let process = getpid()
        return state.withLock { state in
            state.threads.keys.sorted().map { DebugThread(process: process, thread: $0) } + state.children.values.map(\.thread)
        }
    }

    func name(of thread: DebugThread) -> String? {
        let descriptor = open("/proc/\(thread.process)/task/\(thread.thread)/comm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count].prefix { $0 != 10 }, as: UTF8.self) : nil
    }

    private func vcpu(of thread: DebugThread) -> VCPU? {
        if thread.process == getpid() { return table[thread.thread]?.vcpu }
        return state.withLock { $0.children[thread.process]?.vcpu }
    }

    func readRegister(_ register: DebugRegister, of thread: DebugThread) -> [UInt8]? {
        vcpu(of: thread).map { register.read($0, bigEndian: abi.dataModel.bigEndian) }
    }

    func writeRegister(_ register: DebugRegister, of thread: DebugThread, _ bytes: [UInt8]) -> Bool {
        guard let vcpu = vcpu(of: thread) else { return false }
        return register.write(vcpu, bytes, bigEndian: abi.dataModel.bigEndian)
    }

    // MARK: memory

    func readMemory(_ address: UInt64, _ count: Int, of thread: DebugThread) -> [UInt8] {
        guard count > 0 else { return [] }
        let mapped = memory.mappedCount(address, count)
        guard mapped > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: mapped)
        if thread.process != getpid() {
            let got = transfer(thread.process, address, &bytes, write: false)
            return Array(bytes.prefix(max(got, 0)))
        }
        let host = memory.host(address)
        let copied = bytes.withUnsafeMutableBytes { $0.baseAddress.map { apus_guarded_copy($0, host, mapped) } ?? 0 }
        if copied == mapped { return bytes }
        // Pages that the program may not read; the kernel reads them for a debugger.
        let read = throughKernel(O_RDONLY) { descriptor in
            bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, mapped, off_t(truncatingIfNeeded: address &+ memory.base)) }
        }
        return Array(bytes.prefix(max(read, copied)))
    }

    func writeMemory(_ address: UInt64, _ bytes: [UInt8], of thread: DebugThread) -> Bool {
        guard memory.mappedCount(address, bytes.count) == bytes.count else { return false }
        if thread.process != getpid() {
            var copy = bytes
            return transfer(thread.process, address, &copy, write: true) == bytes.count
        }
        var done = memory.writeBytes(address, bytes)
        if !done {
            done = throughKernel(O_RDWR) { descriptor in
                bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(truncatingIfNeeded: address &+ memory.base)) }
            } == bytes.count
        }
        // It may be code.
        engine.invalidate(address ..< address &+ UInt64(bytes.count))
        return done
    }

    private func throughKernel(_ flags: Int32, _ body: (Int32) -> Int) -> Int {
        let descriptor = open("/proc/self/mem", flags | O_CLOEXEC)
        guard descriptor >= 0 else { return -1 }
        defer { close(descriptor) }
        return body(descriptor)
    }

    /// The memory of a forked child that has not gone on: it is laid out as ours.
    private func transfer(_ process: Int32, _ address: UInt64, _ bytes: inout [UInt8], write: Bool) -> Int {
        bytes.withUnsafeMutableBytes { buffer in
            var local = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
            var remote = iovec(iov_base: memory.host(address), iov_len: buffer.count)
            return withUnsafePointer(to: &local) { local in
                withUnsafePointer(to: &remote) { remote in
                    Int(directCall(write ? SYS_process_vm_writev : SYS_process_vm_readv, process, local, 1, remote, 1))
                }
            }
        }
    }

    // MARK: breakpoints

    func insertBreakpoint(_ kind: BreakpointKind, at address: UInt64, length: UInt64, of process: Int32) -> Bool {
        let breakpoint = DebugBreakpoint(kind: kind, address: address, length: length)
        if process != getpid() { return state.withLock { $0.children[process]?.breakpoints.append(breakpoint) } != nil }
        if state.withLock({ $0.breakpoints.contains(breakpoint) }) { return true }
        guard memory.contains(address, max(length, 1)) else { return false }
        state.withLock { $0.breakpoints.append(breakpoint) }
        apply(breakpoint)
        return true
    }

    func removeBreakpoint(_ kind: BreakpointKind, at address: UInt64, length: UInt64, of process: Int32) -> Bool {
        let breakpoint = DebugBreakpoint(kind: kind, address: address, length: length)
        if process != getpid() {
            state.withLock { $0.children[process]?.breakpoints.removeAll { $0 == breakpoint } }
            return true
        }
        // What was never inserted may name any address.
        let (isKnown, isLastThere) = state.withLock { state in
            let isKnown = state.breakpoints.contains(breakpoint)
            state.breakpoints.removeAll { $0 == breakpoint }
            return (isKnown, !state.breakpoints.contains { $0.address == address && !$0.isWatch })
        }
        guard isKnown else { return true }
        if case .watch(let watch) = kind {
            guard tools.watches.remove(Self.watch(watch, address, length)) else { return true }
            if tools.watches.isEmpty { engine.invalidate(0 ..< .max) }
        } else if isLastThere {
            tools.breakpoints.remove(address)
            forgetCode(at: address)
        }
        return true
    }

    func apply(_ breakpoint: DebugBreakpoint) {
        if case .watch(let kind) = breakpoint.kind {
            let isFirst = tools.watches.isEmpty
            tools.watches.insert(Self.watch(kind, breakpoint.address, breakpoint.length))
            rememberWatchedMemory()
            if isFirst { engine.invalidate(0 ..< .max) }
        } else {
            tools.breakpoints.insert(breakpoint.address)
            forgetCode(at: breakpoint.address)
        }
    }

    private func forgetCode(at address: UInt64) {
        if address < .max { engine.invalidate(address ..< address &+ 1) }
    }

    private static func watch(_ kind: WatchKind, _ address: UInt64, _ length: UInt64) -> Watch {
        Watch(start: address, length: length, reads: kind != .write, writes: kind != .read)
    }

    // MARK: going on

    func interrupt() { stopAll() }

    func resume(packet: [UInt8], _ action: (DebugThread) -> ResumeAction) -> Bool {
        if handsOver(packet: packet, action) { return false }
        rememberWatchedMemory()
        letGo(action)
        return true
    }

    func detach(_ process: Int32) -> Bool {
        if let child = state.withLock({ $0.children.removeValue(forKey: process) }) {
            child.free()
            return false
        }
        let parent = state.withLock { state -> (process: Int32, gate: Int32)? in
            guard let parent = state.parent, parent.process == process else { return nil }
            state.parent = nil
            return parent
        }
        if let parent {
            ForkGate.free(parent.gate)
            return false
        }
        guard process == getpid() else { return false }
        let waitsForChild = state.withLock { state in
            state.isReleased = !state.children.isEmpty
            return state.isReleased
        }
        return !waitsForChild
    }

    func kill() { directCall(SYS_kill, getpid(), SIGKILL) }

    func monitor(_ command: String) -> String? {
        switch command {
        case "help":
            return "help       this list\nmaps       the program's memory\nprogram    its path and process id\n"
                + "exit       end the program\n"
        case "maps": return MemoryMapText(memory).maps()
        case "program": return "\(String(decoding: image.executable, as: UTF8.self)), process \(getpid())\n"
        case "exit":
            kill()
            return ""
        default: return nil
        }
    }
}

extension DebugBreakpoint {
    var isWatch: Bool { if case .watch = kind { true } else { false } }
}

extension GuestDebugger: DebugOperatingSystem {
    var auxiliaryVector: [UInt8] { ProcText.auxiliaryVector(image, abi.dataModel) }
    var executablePath: [UInt8] { image.executable }

    func signalInformation(of thread: DebugThread) -> [UInt8]? {
        state.withLock { $0.threads[thread.thread]?.information }
    }

    func passSignals(_ signals: Set<UInt8>) { state.withLock { $0.passed = signals } }
    func catchSystemCalls(_ numbers: Set<Int>?) { state.withLock { $0.caught = numbers } }
    func reportEvents(_ events: RemoteEvents) { state.withLock { $0.events = events } }

    func openFile(_ path: [UInt8], flags: Int32, mode: UInt32) -> Int32 {
        // What is under the guest's root comes first; the executable's own path is the host's.
        for candidate in [paths.host(path), path] {
            let descriptor = open(candidate.map { CChar(bitPattern: $0) } + [0], flags | O_CLOEXEC, mode)
            if descriptor >= 0 { return PrivateDescriptors.adopt(descriptor) }
        }
        return -errno
    }

    func readLink(_ path: [UInt8]) -> [UInt8]? {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink(paths.host(path, follow: false).map { CChar(bitPattern: $0) } + [0], &bytes, bytes.count)
        return count >= 0 ? bytes[..<count].map { UInt8(bitPattern: $0) } : nil
    }
}
