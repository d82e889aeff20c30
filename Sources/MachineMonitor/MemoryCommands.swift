// Memory for monitors: memsave, pmemsave, and virtual addresses as a hart sees them now.

import Core
import Glibc
import Host
import Monitor
import Translated
import Translation

extension MachineMonitor {
    private static let longestSave: UInt64 = 1 << 40

    var memoryCommands: [CommandDeclaration] {
        func save(_ name: String, _ parameters: [Parameter], _ read: @escaping @Sendable (UInt64, Int, Arguments) throws(MonitorError) -> [UInt8]) -> CommandDeclaration {
            CommandDeclaration(name, [Parameter("val", .size), Parameter("size", .size), Parameter("filename", .text)] + parameters) { arguments throws(MonitorError) in
                guard let start = try arguments.size("val"), let size = try arguments.size("size"), size <= Self.longestSave else { throw MonitorError("Parameter 'size' expects a size") }
                let path = try arguments.required("filename")
                guard let file = fopen(path, "wb") else { throw MonitorError("Could not open '\(path)': \(String(cString: strerror(errno)))") }
                defer { fclose(file) }
                var done: UInt64 = 0
                while done < size {
                    let address = start &+ done
                    let count = Int(min(size - done, 4096 - address & 4095))
                    let bytes = try read(address, count, arguments)
                    guard fwrite(bytes, 1, count, file) == count else { throw MonitorError("writing memory to '\(path)' failed") }
                    done += UInt64(count)
                }
                return .nothing
            }
        }
        return [
            save("pmemsave", []) { [self] address, count, _ throws(MonitorError) in
                guard let bytes = physical(address, count) else { throw MonitorError("Invalid addr 0x\(String(address, radix: 16))/size \(count) specified") }
                return bytes
            },
            save("memsave", [Parameter("cpu-index", .integer, optional: true)]) { [self] address, count, arguments throws(MonitorError) in
                let number = try arguments.size("cpu-index") ?? 0
                guard number < UInt64(machine.processors.count) else { throw MonitorError("Parameter 'cpu-index' expects a CPU number") }
                guard let bytes = virtual(address, count, hart: Int(number)) else { throw MonitorError("Invalid addr 0x\(String(address, radix: 16))/size \(count) specified") }
                return bytes
            },
            CommandDeclaration("inject-nmi") { [machine] _ throws(MonitorError) in
                let taken = Locked(false), guest = machine.guest
                guard machine.control.hasBegun else { throw MonitorError("the machine has not been started") }
                for number in 0 ..< machine.processors.count {
                    machine.processors[number].performAndWait { vcpu in if guest.injectNMI(vcpu) { taken.withLock { $0 = true } } }
                }
                guard taken.withLock({ $0 }) else { throw MonitorError("machine does not provide NMIs") }
                return .nothing
            },
        ]
    }

    /// Memory at a physical address; nil where there is none. Devices are not read.
    func physical(_ address: UInt64, _ count: Int) -> [UInt8]? {
        var bytes: [UInt8] = [], address = address
        while bytes.count < count {
            guard let span = machine.parts.memory.memory(at: address), span.count > 0 else { return nil }
            let part = Int(min(span.count, UInt64(count - bytes.count)))
            bytes += UnsafeRawBufferPointer(start: span.host, count: part)
            address &+= UInt64(part)
        }
        return bytes
    }

    /// Memory at an address of a hart, up to the end of its page.
    func virtual(_ address: UInt64, _ count: Int, hart: Int) -> [UInt8]? {
        guard machine.control.hasBegun, hart < machine.processors.count else { return physical(address, count) }
        let found = Locked<UInt64?>(nil)
        let guest = machine.guest, memory = machine.parts.memory
        machine.processors[hart].performAndWait { vcpu in
            // An exception that is recorded meanwhile is of no effect: none is delivered between two instructions.
            let translation = guest.translate(address, .load, bytes: 1, mmuIndex: guest.dataIndex(context: vcpu.context), of: vcpu, memory: memory)
            found.withLock { $0 = translation?.physical }
        }
        return found.withLock { $0 }.flatMap { physical($0, count) }
    }

    /// The page tables of a hart as text.
    func mappings(_ number: Int) -> String {
        let text = Locked("No translation or protection\n")
        guard machine.control.hasBegun, number < machine.processors.count, let guest = machine.guest as? any MappedGuest else { return text.withLock { $0 } }
        let memory = machine.parts.memory
        machine.processors[number].performAndWait { vcpu in
            let described = guest.describeMappings(of: vcpu, memory: memory)
            text.withLock { $0 = described }
        }
        return text.withLock { $0 }
    }

    /// What the vCPU's registers hold, as text.
    func registers(_ number: Int) -> String {
        let text = Locked("")
        let guest = machine.guest
        guard number < machine.processors.count else { return "No CPU available\n" }
        guard machine.control.hasBegun else { return guest.describeState(of: machine.processors[number].vcpu) }
        machine.processors[number].performAndWait { vcpu in
            let described = guest.describeState(of: vcpu)
            text.withLock { $0 = described }
        }
        return text.withLock { $0 }
    }
}
