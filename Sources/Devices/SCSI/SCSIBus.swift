// Targets and logical units behind a host adapter.

import Core
import Host

/// A bus that takes devices of the catalogue which are no bus masters themselves.
public protocol ChildBus: AnyObject, Sendable {
    /// As `DeviceModel.bus` names it.
    var kind: String { get }
    /// Whether it takes no further device.
    var isFull: Bool { get }
    /// Whether devices may come while the machine runs.
    var isHotPluggable: Bool { get }
}

extension ChildBus {
    public var isFull: Bool { false }
    public var isHotPluggable: Bool { false }
}

/// What has come of attaching a device to such a bus.
public struct AttachedChild: Sendable {
    /// Disks of the device.
    public var disks: [BlockDevice]
    /// Its tray, if the medium can be taken out.
    public var drive: (any RemovableDrive)?
    /// Takes it off its bus at once, without locks; nil: it stays as long as the machine.
    public var detach: (@Sendable () -> Void)?

    public init(disks: [BlockDevice] = [], drive: (any RemovableDrive)? = nil, detach: (@Sendable () -> Void)? = nil) {
        self.disks = disks
        self.drive = drive
        self.detach = detach
    }
}

/// A device that such buses hang from.
public protocol ChildBusOwner {
    /// In the order of their numbers: `ID.0`, `ID.1` …
    var childBuses: [any ChildBus] { get }
}

/// A SCSI bus with one channel. All methods may be called from any thread.
public final class SCSIBus: ChildBus {
    public static let placeProperties = [
        Property("channel", .integer, "always 0", default: "0"),
        Property("scsi-id", .integer, "target; the standard is the first free one"),
        Property("lun", .integer, "logical unit; the standard is the first free one of the target"),
    ]
    public let kind = "SCSI"
    public let isHotPluggable: Bool
    public static let maximumTarget = 255, maximumUnit = 255
    private let content = Locked<[Place: any SCSIUnit]>([:])
    private let listener = Locked<(@Sendable (Change) -> Void)?>(nil)

    public struct Place: Hashable, Sendable {
        public var target: Int
        public var unit: Int
        public init(_ target: Int, _ unit: Int) { (self.target, self.unit) = (target, unit) }
    }

    /// A unit that has come, or is gone.
    struct Change: Sendable {
        var place: Place
        var isThere: Bool
    }

    /// - Parameter isHotPluggable: the host adapter tells its driver of changes.
    public init(isHotPluggable: Bool = false) { self.isHotPluggable = isHotPluggable }

    /// Who is told of each change, on whatever thread makes it.
    func onChange(_ body: @escaping @Sendable (Change) -> Void) { listener.withLock { $0 = body } }

    /// Takes a unit away.
    func detach(_ place: Place) {
        guard content.withLock({ $0.removeValue(forKey: place) }) != nil else { return }
        listener.withLock { $0 }?(Change(place: place, isThere: false))
    }

    /// - Returns: the place that the unit got.
    @discardableResult
    public func attach(_ unit: any SCSIUnit, _ properties: Properties) throws(ConfigurationError) -> Place {
        let owner = properties.owner
        func number(_ name: String, _ maximum: Int) throws(ConfigurationError) -> Int? {
            guard let value = properties.integer(name) else { return nil }
            guard value <= UInt64(maximum) else { throw ConfigurationError("\(owner): property '\(name)' is \(value), expected 0 to \(maximum)") }
            return Int(value)
        }
        _ = try number("channel", 0)
        let target = try number("scsi-id", Self.maximumTarget), logical = try number("lun", Self.maximumUnit)
        let place = try content.withLock { (content) throws(ConfigurationError) -> Place in
            let place: Place
            if let target {
                place = Place(target, logical ?? (0 ... Self.maximumUnit).first { content[Place(target, $0)] == nil } ?? 0)
            } else {
                place = Place((0 ... Self.maximumTarget).first { number in !content.keys.contains { $0.target == number } } ?? 0, logical ?? 0)
            }
            guard content[place] == nil else { throw ConfigurationError("\(owner): target \(place.target) has a unit \(place.unit) already") }
            content[place] = unit
            return place
        }
        listener.withLock { $0 }?(Change(place: place, isThere: true))
        return place
    }

    /// Where the unit of a disk is.
    public func place(of disk: BlockDevice) -> Place? { content.withLock { $0.first { ($0.value as? SCSIDisk)?.disk === disk }?.key } }
    public func find(_ place: Place) -> (any SCSIUnit)? { content.withLock { $0[place] } }
    /// Units of a target, in order.
    public func units(_ target: Int) -> [Int] { content.withLock { $0.keys.filter { $0.target == target }.map(\.unit).sorted() } }
    /// All, in the order of their places.
    public var all: [(place: Place, unit: any SCSIUnit)] {
        content.withLock { $0.sorted { ($0.key.target, $0.key.unit) < ($1.key.target, $1.key.unit) }.map { ($0.key, $0.value) } }
    }

    /// Whether a unit's requests may be held back for long.
    var isThrottled: Bool { content.withLock { $0.values.contains { ($0 as? SCSIDisk)?.disk.isThrottled ?? false } } }

    /// REPORT LUNS of a target (SPC-4 6.33); unit 0 is always there.
    func report(_ target: Int, _ request: SCSIRequest) -> SCSIReply {
        let numbers = Set(units(target) + [0]).sorted()
        let list = numbers.flatMap { [UInt8(0), UInt8(truncatingIfNeeded: $0)] + [UInt8](repeating: 0, count: 6) }
        let bytes = big(UInt32(list.count)) + [0, 0, 0, 0] + list, count = min(bytes.count, Int(request.field(6, 4)))
        return .good(request.input.fill(0, bytes: Array(bytes.prefix(count))))
    }

    /// What a target answers for a unit that it does not have.
    static func answerMissing(_ request: SCSIRequest) -> SCSIReply {
        guard request.byte(0) == 0x12, request.byte(1) & 1 == 0 else { return .check(.noUnit) }
        // Peripheral qualifier 3: there can be no such unit.
        let bytes: [UInt8] = [0x7f, 0, 5, 0x12, 31, 0, 0, 0] + [UInt8](repeating: 0x20, count: 28), count = min(bytes.count, Int(request.field(3, 2)))
        return .good(request.input.fill(0, bytes: Array(bytes.prefix(count))))
    }
}
