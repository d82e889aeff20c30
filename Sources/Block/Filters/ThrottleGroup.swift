// throttle-group: limits that several nodes share. Each limit is a bucket that leaks at its average rate; what comes while it is
// full waits. A peak rate (`-max`) makes the bucket as large as `-max-length` seconds of it; without one it holds a tenth of a second.

import Core
import Host

/// The settings of a group, by QEMU's names: `bps-total`, `iops-read-max`, `iops-size` …; 0 or absent: no limit.
public struct ThrottleLimits: Sendable, Equatable {
    public static let rates = ["bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write"]
    /// All settings.
    public static let names = rates.flatMap { [$0, $0 + "-max", $0 + "-max-length"] } + ["iops-size"]
    private var values: [String: UInt64] = [:]
    /// Rates beyond this are taken for mistakes, as in QEMU.
    private static let largest: UInt64 = 1_000_000_000_000_000

    public init() {}

    public subscript(name: String) -> UInt64 {
        get { values[name] ?? (name.hasSuffix("-length") ? 1 : 0) }
        set { values[name] = newValue }
    }
    public var isUnlimited: Bool { !Self.rates.contains { self[$0] > 0 } }

    /// - Throws: settings that contradict each other.
    public func check() throws(BlockError) {
        for kind in ["bps", "iops"] {
            for suffix in ["", "-max"] where self[kind + "-total" + suffix] > 0 && (self[kind + "-read" + suffix] > 0 || self[kind + "-write" + suffix] > 0) {
                throw .invalid("bps/iops/max total values and read/write values cannot be used at the same time")
            }
        }
        if self["iops-size"] > 0, !Self.rates.contains(where: { $0.hasPrefix("iops") && self[$0] > 0 }) { throw .invalid("iops size requires an iops value to be set") }
        for name in Self.rates {
            let average = self[name], peak = self[name + "-max"], length = self[name + "-max-length"]
            guard average <= Self.largest, peak <= Self.largest else { throw .invalid("bps/iops/max values must be within [0, \(Self.largest)]") }
            if peak > 0, average == 0 { throw .invalid("bps_max/iops_max require corresponding bps/iops values") }
            if peak > 0, peak < average { throw .invalid("bps_max/iops_max cannot be lower than bps/iops") }
            guard length > 0 else { throw .invalid("the burst length cannot be 0") }
            if length > 1, peak == 0 { throw .invalid("burst length set without burst rate") }
            if length > 1, length > Self.largest / max(1, peak) { throw .invalid("burst length too high for this burst rate") }
        }
    }
}

public final class ThrottleGroup: VisibleObject, ChangeableObject, NeededObject {
    private struct Bucket: Sendable {
        /// Units a second.
        let average: Double, peak: Double
        let capacity: Double
        /// Whether the peak rate itself has to be kept to.
        let limitsPeak: Bool
        var level = 0.0, peakLevel = 0.0

        init?(_ limits: ThrottleLimits, _ name: String) {
            guard limits[name] > 0 else { return nil }
            average = Double(limits[name])
            peak = Double(limits[name + "-max"])
            let length = Double(limits[name + "-max-length"])
            capacity = peak > 0 ? peak * length : average / 10
            limitsPeak = length > 1
        }

        /// Time goes by, units come. - Returns: seconds until they may pass.
        mutating func take(_ units: Double, after seconds: Double) -> Double {
            level = max(0, level - average * seconds)
            peakLevel = max(0, peakLevel - peak * seconds)
            let wait = max(0, (level - capacity) / average, limitsPeak ? (peakLevel - peak / 10) / peak : 0)
            level += units
            peakLevel += units
            return wait
        }
    }
    private struct State: Sendable {
        var limits: ThrottleLimits
        var buckets: [Bucket?]
        var time = RateLimit.now()
        /// Counts changes of limits: who waits by old ones waits no longer.
        var generation = 0

        init(_ limits: ThrottleLimits) {
            self.limits = limits
            buckets = ThrottleLimits.rates.map { Bucket(limits, $0) }
        }
    }
    private let state: Waiting<State>
    private let users = UseCount()

    public init(_ limits: ThrottleLimits) { state = Waiting(State(limits)) }

    public var limits: ThrottleLimits { state.look { $0.limits } }
    public func change(_ limits: ThrottleLimits) throws(BlockError) {
        try limits.check()
        state.change { state in
            let next = state.generation + 1
            state = State(limits)
            state.generation = next
        }
    }
    /// A node's membership.
    func join() -> UseCount.Use { users.use() }

    /// Accounts for a request, and sleeps until it may go on.
    func pass(bytes: UInt64, isWrite: Bool) {
        let (wait, generation) = state.look { state -> (Double, Int) in
            guard !state.buckets.allSatisfy({ $0 == nil }) else { return (0, 0) }
            let now = RateLimit.now(), seconds = max(0, now - state.time)
            state.time = now
            let size = state.limits["iops-size"]
            let requests = size > 0 && bytes > size ? Double(bytes) / Double(size) : 1
            var wait = 0.0
            for index in state.buckets.indices {
                // Total, reads, writes.
                let counts = index % 3 == 0 || (index % 3 == 2) == isWrite
                if let needed = state.buckets[index]?.take(counts ? (index < 3 ? Double(bytes) : requests) : 0, after: seconds), counts { wait = max(wait, needed) }
            }
            return (wait, state.generation)
        }
        if wait > 0 { _ = state.wait(seconds: wait) { $0.generation == generation ? nil : true } }
    }

    // MARK: object

    public var typeName: String { "throttle-group" }
    public var isInUse: Bool { users.isInUse }
    public var properties: [ObjectProperty] {
        let limits = limits
        return [ObjectProperty(name: "limits", type: "ThrottleLimits", value: .object(ThrottleLimits.names.map { .init($0, .number(limits[$0])) }))]
            + ThrottleLimits.names.map { ObjectProperty(name: "x-" + $0, type: "int", value: .number(limits[$0])) }
    }
    public func set(_ name: String, _ value: JSONValue) throws(BlockError) {
        var limits = limits
        func number(_ value: JSONValue) throws(BlockError) -> UInt64 {
            switch value {
            case .integer(let number) where number >= 0: return UInt64(number)
            case .unsigned(let number): return number
            default: throw .invalid("Invalid parameter type for '\(name)', expected: integer")
            }
        }
        if name == "limits", let members = value.members {
            // What is not given stays as it is.
            for member in members {
                guard ThrottleLimits.names.contains(member.name) else { throw .invalid("Parameter 'limits.\(member.name)' is unexpected") }
                limits[member.name] = try number(member.value)
            }
        } else {
            guard name.hasPrefix("x-"), ThrottleLimits.names.contains(String(name.dropFirst(2))) else { throw .invalid("Property 'throttle-group.\(name)' cannot be set") }
            limits[String(name.dropFirst(2))] = try number(value)
        }
        try change(limits)
    }
}

/// `-object throttle-group`
public enum ThrottleGroupKind: GraphObjectKind {
    public static let typeNames = ["throttle-group"]
    public static let options = ThrottleLimits.names.map { name in
        OptionDeclaration("limits." + name, name.hasPrefix("bps") && !name.hasSuffix("length") ? .size : .number, aliases: ["x-" + name], "a limit; 0: none")
    }
    public static func make(id: String, type: String, _ options: OptionValues, _ graph: BlockGraph) throws(BlockError) -> any GraphObject {
        var limits = ThrottleLimits()
        for name in ThrottleLimits.names { if let value = options.number("limits." + name) { limits[name] = value } }
        try limits.check()
        return ThrottleGroup(limits)
    }
}
