// The notes of a core file: `linux/elfcore.h`, `linux/elf.h`, and the layouts of NT_PRSTATUS and NT_PRPSINFO for the
// guest's word size.

import Glibc
import Host

struct CoreNotes {
    private(set) var bytes: [UInt8] = []
    private let process: Process
    private let model: DataModel

    /// - Parameter thread: the one that died, which comes first.
    init(_ process: Process, _ thread: GuestThread, _ signal: Int, _ information: SignalInformation) {
        self.process = process
        model = process.abi.dataModel
        let registers = process.abi.coreRegisters(of: thread.vcpu)
        add(1, status(thread, signal, information, registers))
        add(3, processInformation())
        add(0x5349_4749, information.guestBytes(model))
        add(6, ProcText.auxiliaryVector(process.image, model))
        if let files = files() { add(0x4649_4c45, files) }
        add(2, registers.float)
        for other in registers.others { add(other.type, other.contents, name: "LINUX") }
        for tid in process.threads.tids.sorted() where tid != thread.tid {
            guard let other = process.threads[tid] else { continue }
            let registers = process.abi.coreRegisters(of: other.vcpu)
            add(1, status(other, 0, nil, registers))
            add(2, registers.float)
            for other in registers.others { add(other.type, other.contents, name: "LINUX") }
        }
    }

    private mutating func add(_ type: UInt32, _ contents: [UInt8], name: String = "CORE") {
        var note = ByteWriter(bigEndian: model.bigEndian)
        note.u32(UInt32(truncatingIfNeeded: name.utf8.count + 1))
        note.u32(UInt32(truncatingIfNeeded: contents.count))
        note.u32(type)
        note.append(Array(name.utf8) + [0])
        note.align(4)
        note.append(contents)
        note.align(4)
        bytes += note.bytes
    }

    /// `struct elf_prstatus`
    private func status(_ thread: GuestThread, _ signal: Int, _ information: SignalInformation?, _ registers: CoreRegisters) -> [UInt8] {
        var out = ByteWriter(bigEndian: model.bigEndian)
        out.u32(UInt32(truncatingIfNeeded: signal))
        out.u32(UInt32(bitPattern: information?.code ?? 0))
        out.u32(0)
        out.u16(UInt16(truncatingIfNeeded: signal))
        out.align(model.wordSize)
        out.append(0, size: model.wordSize)
        out.append(thread.signalMask, size: model.wordSize)
        for value in [thread.tid, getppid(), getpgrp(), getsid(0)] { out.u32(UInt32(bitPattern: value)) }
        var usage = rusage()
        getrusage(0 /* RUSAGE_SELF */, &usage)
        for time in [usage.ru_utime, usage.ru_stime, timeval(), timeval()] {
            out.append(UInt64(bitPattern: Int64(time.tv_sec)), size: model.wordSize)
            out.append(UInt64(bitPattern: Int64(time.tv_usec)), size: model.wordSize)
        }
        out.append(registers.general)
        out.u32(1)
        out.align(model.wordSize)
        return out.bytes
    }

    /// `struct elf_prpsinfo`
    private func processInformation() -> [UInt8] {
        var out = ByteWriter(bigEndian: model.bigEndian)
        out.append([0, UInt8(ascii: "R"), 0, 0])
        out.align(model.wordSize)
        out.append(0, size: model.wordSize)
        for value in [getuid(), getgid(), UInt32(bitPattern: getpid()), UInt32(bitPattern: getppid()), UInt32(bitPattern: getpgrp()),
                      UInt32(bitPattern: getsid(0))] { out.u32(value) }
        let path = process.image.executable
        let name = Array(path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...].prefix(15))
        out.append(name + [UInt8](repeating: 0, count: 16 - name.count))
        let arguments = Array(process.image.arguments.joined(separator: [UInt8(ascii: " ")]).prefix(79))
        out.append(arguments + [UInt8](repeating: 0, count: 80 - arguments.count))
        return out.bytes
    }

    /// NT_FILE: which files are mapped where.
    private func files() -> [UInt8]? {
        let mapped = MemoryMapText(process.memory).files()
        guard !mapped.isEmpty else { return nil }
        var out = ByteWriter(bigEndian: model.bigEndian)
        out.append(UInt64(mapped.count), size: model.wordSize)
        out.append(4096, size: model.wordSize)
        for file in mapped {
            for value in [file.range.lowerBound, file.range.upperBound, file.offset / 4096] { out.append(value, size: model.wordSize) }
        }
        for file in mapped { out.append(guestPath(Array(file.path.utf8)) + [0]) }
        return out.bytes
    }

    /// The path as the guest knows it: without its root.
    private func guestPath(_ path: [UInt8]) -> [UInt8] {
        let root = process.paths.root
        guard !root.isEmpty, path.starts(with: root), path.count > root.count, path[root.count] == UInt8(ascii: "/") else { return path }
        return Array(path.dropFirst(root.count))
    }
}
