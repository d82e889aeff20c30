// Devices of the catalogue through which guest and host share folders and connections.

import Core

extension DeviceCatalogue {
    static let sharing: [Virtio] = [
        Virtio(name: "virtio-9p", summary: "folder of the host", category: "storage", classCode: 0x000200, properties: VirtioPlan9.properties) { (properties, context) throws(ConfigurationError) in
            let name = try required("fsdev", properties)
            guard let folder = context.folder(name) else { throw ConfigurationError("\(properties.owner): property 'fsdev': there is no fsdev '\(name)'") }
            return try VirtioPlan9(properties, folder: folder)
        },
        Virtio(name: "vhost-vsock", summary: "sockets between guest and host", category: "misc", classCode: 0x078000, properties: VirtioSocket.properties) { (properties, context) throws(ConfigurationError) in
            let device = try VirtioSocket(properties)
            if let path = properties.text("uds-path") { context.leaves(path) }
            return device
        },
    ]
}
