// Disks and controllers of the catalogue beside virtio's.

import Core

extension DeviceCatalogue {
    static let disks: [CataloguedDevice] = [
        scsi("scsi-hd", "SCSI disk", isOptical: false),
        scsi("scsi-cd", "SCSI CD-ROM", isOptical: true),
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
            let disk = try SCSIDisk(properties, node: try node(properties, context), isOptical: isOptical)
            try bus.attach(disk, properties)
            return AttachedChild(disks: [disk.disk])
        })
    }
}
