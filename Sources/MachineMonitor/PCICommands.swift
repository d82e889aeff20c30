// Buses and functions of PCI, for query-pci and `info pci`. Registers are read as the guest reads them.

import Core
import Devices
import Monitor

/// One function.
struct PCIEntry: Sendable {
    var bus: Int, number: UInt8
    var name: String, bars: [PCIBar]
    var read: @Sendable (_ offset: Int, _ width: Int) -> UInt64
    var slot: Int { Int(number >> 3) }
    var function: Int { Int(number & 7) }
    var isBridge: Bool { read(0xe, 1) & 0x7f == 1 }

    /// Where a window is now; nil: nowhere.
    func address(_ bar: PCIBar) -> UInt64? {
        let low = read(0x10 + bar.number * 4, 4)
        var address = low & (bar.space == .io ? ~3 : ~15)
        if bar.space == .memory64 || bar.space == .prefetchable64 { address |= read(0x14 + bar.number * 4, 4) << 32 }
        return address == 0 ? nil : address
    }

    var json: JSONValue {
        let regions = bars.map { bar in
            JSONValue.object([
                .init("bar", .number(bar.number)), .init("type", .text(bar.space == .io ? "io" : "memory")), .init("size", .number(bar.size)),
                .init("address", address(bar).map { .number($0) } ?? .integer(-1)), .init("prefetch", .flag(bar.space == .prefetchable64)),
                .init("mem_type_64", .flag(bar.space == .memory64 || bar.space == .prefetchable64)),
            ])
        }
        return .object([
            .init("bus", .number(bus)), .init("qdev_id", .text(name)), .init("slot", .number(slot)), .init("function", .number(function)),
            .init("class_info", .object([.init("class", .number(read(0xa, 2)))])),
            .init("id", .object([.init("device", .number(read(2, 2))), .init("vendor", .number(read(0, 2)))]
                + (isBridge ? [] : [.init("subsystem", .number(read(0x2e, 2))), .init("subsystem-vendor", .number(read(0x2c, 2)))]))),
            .init("irq_pin", .number(read(0x3d, 1))), .init("irq", .number(read(0x3c, 1))), .init("regions", .array(regions)),
        ])
    }
}

struct PCIBusEntry: Sendable {
    var number: Int
    var entries: [PCIEntry]
    var json: JSONValue { .object([.init("bus", .number(number)), .init("devices", .array(entries.map(\.json)))]) }
}

extension MachineMonitor {
    /// The buses that have numbers.
    var pciBuses: [PCIBusEntry] {
        let pci = machine.pci
        let all = pci.functions
        var numbers = [pci.root.name: 0]
        // A port's bus is called as the port itself; ports behind ports come in later rounds.
        for _ in 0 ..< 8 {
            for function in all {
                guard let above = numbers[function.bus], numbers[function.slot.name] == nil, all.contains(where: { $0.bus == function.slot.name }) else { continue }
                let base = UInt64(above) << 20 | UInt64(function.number) << 12
                let number = Int(pci.read(bank: 0, offset: base | 0x19, width: 1))
                if number > 0 { numbers[function.slot.name] = number }
            }
        }
        return Set(all.map(\.bus)).compactMap { bus in numbers[bus].map { (bus, $0) } }.sorted { $0.1 < $1.1 }.map { bus, number in
            PCIBusEntry(number: number, entries: all.filter { $0.bus == bus }.map { function in
                let base = UInt64(number) << 20 | UInt64(function.number) << 12
                let bars = function.slot.withDevice { ($0 as? PCIEndpoint)?.function.windows ?? [] }
                return PCIEntry(bus: number, number: function.number, name: function.slot.name, bars: bars) { offset, width in
                    pci.read(bank: 0, offset: base | UInt64(offset), width: width)
                }
            })
        }
    }
}
