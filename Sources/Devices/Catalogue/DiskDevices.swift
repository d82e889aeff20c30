// Disks and controllers of the catalogue beside virtio's.

import Core

extension DeviceCatalogue {
    static let disks: [CataloguedDevice] = [
        scsi("scsi-hd", "SCSI disk", isOptical: false),
        scsi("scsi-cd", "SCSI CD-ROM", isOptical: true),
        CataloguedDevice(model: onBus(AHCIController.model), maker: .pci { (_, _) in AHCIController() }),
        ata("ide-hd", "SATA disk", ATADisk.properties) { (properties, context, number) throws(ConfigurationError) in
            let unit = try ATADisk(properties, node: try node(properties, context), number: number)
            return (unit, nil)
        },
        ata("ide-cd", "SATA CD-ROM", ATAPIDrive.properties) { (properties, context, number) throws(ConfigurationError) in
            let unit = try SCSIDisk(properties, node: try medium(properties, context), isOptical: true, product: "QEMU DVD-ROM")
            return (try ATAPIDrive(properties, unit: unit, number: number), unit)
        },
        CataloguedDevice(model: onBus(NVMeController.model), maker: .pci { (properties, context) throws(ConfigurationError) in
            try NVMeController(properties, node: try node(properties, context))
        }),
    ]

    private static func scsi(_ name: String, _ summary: String, isOptical: Bool) -> CataloguedDevice {
        // A CD-ROM drive's blocks are what they are, and it writes nothing.
        let unfit: Set<String> = isOptical ? ["removable", "dpofua", "rotation_rate", "logical_block_size", "physical_block_size", "min_io_size", "opt_io_size", "write-cache"] : []
        let properties = SCSIDisk.properties.filter { !unfit.contains($0.name) } + SCSIBus.placeProperties
        return CataloguedDevice(model: DeviceModel(name: name, summary: summary, bus: "SCSI", category: "storage", properties: properties), maker: .child { (properties, context, bus) throws(ConfigurationError) in
            guard let bus = bus as? SCSIBus else { throw ConfigurationError("\(properties.owner): the bus is no SCSI bus") }
            let unit = try SCSIDisk(properties, node: isOptical ? try medium(properties, context) : try node(properties, context), isOptical: isOptical)
            let place = try bus.attach(unit, properties)
            var attached = AttachedChild(disks: [unit.disk], drive: unit.isRemovable ? unit : nil)
            if bus.isHotPluggable { attached.detach = { [weak bus] in bus?.detach(place) } }
            return attached
        })
    }

    private typealias MakeATA = @Sendable (Properties, DeviceContext, Int) throws(ConfigurationError) -> (unit: any ATAUnit, drive: (any RemovableDrive)?)

    private static func ata(_ name: String, _ summary: String, _ properties: [Property], _ make: @escaping MakeATA) -> CataloguedDevice {
        let model = DeviceModel(name: name, summary: summary, bus: "IDE", category: "storage", properties: properties + ATABus.placeProperties)
        return CataloguedDevice(model: model, maker: .child { (properties, context, bus) throws(ConfigurationError) in
            guard let bus = bus as? ATABus else { throw ConfigurationError("\(properties.owner): the bus is no IDE bus") }
            let made = try make(properties, context, bus.number)
            try bus.attach(made.unit, properties)
            return AttachedChild(disks: [made.unit.disk], drive: made.drive)
        })
    }
}
