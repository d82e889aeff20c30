// USB controllers and devices of the device catalogue.

import Core

extension DeviceCatalogue {
    static let usbDevices: [CataloguedDevice] = [
        CataloguedDevice(model: onBus(XHCIController.model), maker: .pci { (properties, _) throws(ConfigurationError) in try XHCIController(.qemu, properties) }),
        CataloguedDevice(model: onBus(XHCIController.necModel), maker: .pci { (properties, _) throws(ConfigurationError) in try XHCIController(.nec, properties) }),
        onUSB("usb-kbd", "USB keyboard", "input", USBInput.properties) { (properties, context) in (USBInput(.keyboard, properties, displays: context.displays), []) },
        onUSB("usb-mouse", "USB mouse", "input", USBInput.properties) { (properties, context) in (USBInput(.mouse, properties, displays: context.displays), []) },
        onUSB("usb-tablet", "USB tablet", "input", USBInput.properties) { (properties, context) in (USBInput(.tablet, properties, displays: context.displays), []) },
        onUSB("usb-storage", "USB disk", "storage", USBStorage.properties) { (properties, context) throws(ConfigurationError) in
            let storage = try USBStorage(properties, node: try node(properties, context), isOptical: false)
            return (storage, [storage.unit.disk])
        },
    ]

    private static func onUSB(_ name: String, _ summary: String, _ category: String, _ properties: [Property],
                              _ make: @escaping @Sendable (Properties, DeviceContext) throws(ConfigurationError) -> (any USBFunction, [BlockDevice])) -> CataloguedDevice {
        CataloguedDevice(model: DeviceModel(name: name, summary: summary, bus: "usb-bus", category: category, properties: properties + USBBus.placeProperties), maker: .child { (properties, context, bus) throws(ConfigurationError) in
            guard let bus = bus as? USBBus else { throw ConfigurationError("\(properties.owner): the bus is no USB bus") }
            let (function, disks) = try make(properties, context)
            return try bus.attach(function, properties, id: context.id, hasIdentifier: context.hasIdentifier, disks: disks)
        })
    }
}
