// What a device says of itself: device, configuration, interface, endpoint and string descriptors (USB 2.0 section 9.6,
// USB 3.0 section 9.6), made for each speed from one short description with one configuration and one interface.

/// An endpoint beside the control endpoint.
public struct USBEndpoint: Sendable {
    public enum Kind: UInt8, Sendable { case bulk = 2, interrupt = 3 }
    /// Number, and 0x80 for IN.
    public var address: UInt8
    public var kind: Kind
    /// Bytes.
    public var maximumPacket: UInt16
    /// As the speed counts it.
    public var interval: UInt8
    /// Packets of a burst less one, at super speed.
    public var burst: UInt8 = 0
}

public struct USBDescription: Sendable {
    public var vendor: UInt16
    public var product: UInt16
    public var release: UInt16 = 0
    /// Manufacturer, product, serial number.
    public var strings: [String]
    /// bmAttributes of the configuration: 0x80, 0x40 self-powered, 0x20 remote wakeup.
    public var attributes: UInt8
    /// In units of 2 mA.
    public var power: UInt8
    /// Class, subclass, protocol of the interface.
    public var classCode: (UInt8, UInt8, UInt8)
    /// Class descriptors that stand behind the interface's.
    public var classDescriptors: [UInt8] = []

    /// Bytes of a packet of the control endpoint.
    static func controlPacket(_ speed: USBSpeed) -> UInt16 {
        switch speed {
        case .low, .full: 8
        case .high: 64
        case .superSpeed: 512
        }
    }

    func device(_ speed: USBSpeed) -> [UInt8] {
        var fields = FieldWriter()
        fields.add([18, 1])
        fields.add(UInt16(speed == .superSpeed ? 0x300 : 0x200))
        // The interface has the class; super speed gives the packet's size as an exponent.
        fields.add([0, 0, 0, speed == .superSpeed ? 9 : UInt8(Self.controlPacket(speed))])
        for word in [vendor, product, release] { fields.add(word) }
        fields.add([1, 2, 3, 1])
        return fields.bytes
    }

    /// What the device would be at its other speed.
    func qualifier(_ other: USBSpeed) -> [UInt8] { [10, 6, 0, 2, 0, 0, 0, UInt8(Self.controlPacket(other)), 1, 0] }

    func configuration(_ speed: USBSpeed, _ endpoints: [USBEndpoint], type: UInt8 = 2) -> [UInt8] {
        let (base, sub, proto) = classCode
        var body: [UInt8] = [9, 4, 0, 0, UInt8(truncatingIfNeeded: endpoints.count), base, sub, proto, 0] + classDescriptors
        for endpoint in endpoints {
            var fields = FieldWriter()
            fields.add([7, 5, endpoint.address, endpoint.kind.rawValue])
            fields.add(endpoint.maximumPacket)
            fields.add(endpoint.interval)
            if speed == .superSpeed {
                fields.add([6, 0x30, endpoint.burst, 0])
                fields.add(UInt16(endpoint.kind == .interrupt ? endpoint.maximumPacket : 0))
            }
            body += fields.bytes
        }
        var head = FieldWriter()
        head.add([9, type])
        head.add(UInt16(truncatingIfNeeded: 9 + body.count))
        head.add([1, 1, 0, attributes, speed == .superSpeed ? power / 4 : power])
        return head.bytes + body
    }

    /// The binary object store of super speed: no link power management, all speeds from full on, U1 and U2 at once.
    static let objectStore: [UInt8] = [5, 0x0f, 22, 0, 2] + [7, 0x10, 2, 0, 0, 0, 0] + [10, 0x10, 3, 0, 0x0e, 0, 1, 0, 0, 0]

    /// String `index`; 0 lists the languages: US English.
    func string(_ index: UInt8) -> [UInt8]? {
        guard index > 0 else { return [4, 3, 9, 4] }
        guard index <= strings.count else { return nil }
        let units = strings[Int(index) - 1].utf16.prefix(126).flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        return [UInt8(units.count + 2), 3] + units
    }
}
