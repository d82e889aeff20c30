// What the balloon's object has beside its properties: statistics of the guest, and how often it is asked for them. `qom-set`
// changes that and nothing else.

import Block
import Core
import Devices
import Monitor

extension MachineMonitor {
    /// QEMU's names of the statistics, in the order of the specification's tags.
    private static let statistics = [
        "stat-swap-in", "stat-swap-out", "stat-major-faults", "stat-minor-faults", "stat-free-memory", "stat-total-memory", "stat-available-memory", "stat-disk-caches",
        "stat-htlb-pgalloc", "stat-htlb-pgfail", "stat-oom-kills", "stat-alloc-stalls", "stat-async-scans", "stat-direct-scans", "stat-async-reclaims", "stat-direct-reclaims",
    ]
    private static let interval = "guest-stats-polling-interval"

    /// `guest-stats` and the interval as they are now; nil: the device is no balloon.
    func balloonProperties(_ entry: DeviceTable.Entry) -> [ObjectProperty]? {
        guard let virtio = entry.virtio else { return nil }
        return entry.slot.withDevice { _ in
            guard let balloon = virtio.function as? VirtioBalloon else { return nil }
            // What the guest has not told is -1.
            let values = Self.statistics.enumerated().map { JSONValue.Member($1, .number(balloon.statistics[UInt16($0)] ?? .max)) }
            let all = JSONValue.object([.init("stats", .object(values)), .init("last-update", .number(balloon.statisticsTime))])
            return [.init(name: "guest-stats", type: "guest statistics", value: all), .init(name: Self.interval, type: "int", value: .number(balloon.pollingInterval))]
        }
    }

    /// Sets the interval. - Returns: false: that is not what `name` of `entry` is.
    func setBalloonProperty(_ entry: DeviceTable.Entry, _ name: String, _ value: JSONValue) throws(MonitorError) -> Bool {
        guard name == Self.interval, let virtio = entry.virtio, virtio.function is VirtioBalloon else { return false }
        guard case .integer(let seconds) = value, (0 ... Int64(UInt32.max)).contains(seconds) else { throw MonitorError("timer value must be from 0 to \(UInt32.max)") }
        entry.slot.withDevice { _ in (virtio.function as? VirtioBalloon)?.pollingInterval = UInt64(seconds) }
        return true
    }
}
