// Displays, keyboards and pointers of the device catalogue.

import Core

extension DeviceCatalogue {
    static let displayDevices: [CataloguedDevice] = [
        CataloguedDevice(model: onBus(DeviceModel(name: "bochs-display", summary: "Bochs's linear display", bus: "pci", category: "display", properties: BochsDisplay.properties)), maker: .pci { (properties, context) throws(ConfigurationError) in
            try BochsDisplay(properties, isCompatible: false, id: context.id, displays: context.displays)
        }),
        CataloguedDevice(model: onBus(DeviceModel(name: "VGA", summary: "VGA with Bochs's extensions", bus: "pci", category: "display", properties: BochsDisplay.compatibleProperties)), maker: .pci { (properties, context) throws(ConfigurationError) in
            try BochsDisplay(properties, isCompatible: true, id: context.id, displays: context.displays)
        }),
        CataloguedDevice(model: DeviceModel(name: "ramfb", summary: "picture in RAM, for firmware", bus: "sysbus", category: "display"), maker: .system { (properties, context) throws(ConfigurationError) in
            guard let firmware = context.firmware else { throw ConfigurationError("ramfb: the machine has no fw_cfg") }
            let device = RAMFramebuffer(context.host, firmware: firmware, id: context.id, displays: context.displays)
            let slot = DeviceSlot(name: context.id, device)
            context.host.bind(slot)
            device.connect()
            return slot
        }),
    ]

    static let displayVirtio: [Virtio] = [
        Virtio(name: "virtio-gpu", summary: "virtio display", category: "display", classCode: 0x038000, isModern: true, properties: VirtioGPU.properties) { (properties, context) throws(ConfigurationError) in
            try VirtioGPU(properties, id: context.id, displays: context.displays)
        },
        Virtio(name: "virtio-keyboard", summary: "virtio keyboard", category: "input", classCode: 0x090000, isModern: true, properties: VirtioInput.properties) { (properties, context) in
            VirtioInput(.keyboard, properties, displays: context.displays)
        },
        Virtio(name: "virtio-mouse", summary: "virtio mouse", category: "input", classCode: 0x090200, isModern: true, properties: VirtioInput.properties) { (properties, context) in
            VirtioInput(.mouse, properties, displays: context.displays)
        },
        Virtio(name: "virtio-tablet", summary: "virtio tablet", category: "input", classCode: 0x090200, isModern: true, properties: VirtioInput.properties) { (properties, context) in
            VirtioInput(.tablet, properties, displays: context.displays)
        },
    ]
}
