// The Open Virtualization Format's descriptor (DMTF DSP0243, 1.1 and 2.1): the machines it describes, their disks and files.

import Block

/// An appliance: machines, and the files that hold their disks.
public struct OVFEnvelope: Sendable {
    /// A file of the package.
    public struct File: Sendable {
        public let id: String
        /// Beside the descriptor.
        public let href: String
        public let size: UInt64?
        let compression: String?
        let isChunked: Bool
    }
    /// A disk of the package.
    public struct Disk: Sendable {
        public let id: String
        /// Nil: an empty disk.
        public let file: String?
        /// Bytes the guest sees.
        public let capacity: UInt64
        /// A URI.
        public let format: String
        let hasParent: Bool
    }

    public let files: [File]
    public let disks: [Disk]
    public let systems: [VirtualSystem]

    /// - Throws: `corrupt`: it is no OVF descriptor, or something in it has no meaning.
    public init(_ bytes: [UInt8]) throws(BlockError) {
        let root = try XMLTree.parse(bytes)
        guard root.name == "Envelope" else { throw .corrupt("the root element is '\(root.name)': expected an OVF descriptor's 'Envelope'") }
        files = (root.child("References")?.children("File") ?? []).map { file in
            File(id: file.attributes["id"] ?? "", href: file.attributes["href"] ?? "", size: file.attributes["size"].flatMap { UInt64($0) },
                 compression: file.attributes["compression"], isChunked: file.attributes["chunkSize"] != nil)
        }
        var disks: [Disk] = []
        for disk in root.child("DiskSection")?.children("Disk") ?? [] {
            let id = disk.attributes["diskId"] ?? ""
            guard let number = disk.attributes["capacity"].flatMap({ UInt64($0.trimmed) }) else {
                throw .corrupt("disk '\(id)': the capacity '\(disk.attributes["capacity"] ?? "")' is no number (properties are not filled in)")
            }
            let (capacity, overflow) = number.multipliedReportingOverflow(by: try OVFUnits.bytes(disk.attributes["capacityAllocationUnits"] ?? "byte"))
            guard !overflow, capacity <= UInt64(Int64.max) else { throw .corrupt("disk '\(id)': a capacity of \(number) units is too large") }
            disks.append(Disk(id: id, file: disk.attributes["fileRef"], capacity: capacity, format: disk.attributes["format"] ?? "", hasParent: disk.attributes["parentRef"] != nil))
        }
        self.disks = disks
        var systems: [VirtualSystem] = []
        try OVFEnvelope.collect(root, &systems)
        guard !systems.isEmpty else { throw .corrupt("the descriptor describes no machine") }
        self.systems = systems
    }

    private static func collect(_ element: XMLElement, _ systems: inout [VirtualSystem]) throws(BlockError) {
        for child in element.children {
            if child.name == "VirtualSystem" { systems.append(try VirtualSystem(child)) }
            if child.name == "VirtualSystemCollection" { try collect(child, &systems) }
        }
    }
}

/// Units as OVF writes them: programmatic ones (`byte * 2^20`), and the words of old descriptors.
enum OVFUnits {
    static func bytes(_ text: String) throws(BlockError) -> UInt64 {
        let word = text.lowercased().filter { !$0.isWhitespace }
        let known: [String: Int] = ["": 0, "byte": 0, "bytes": 0, "kilobytes": 10, "kb": 10, "kilobyte": 10, "megabytes": 20, "mb": 20, "megabyte": 20,
                                    "gigabytes": 30, "gb": 30, "gigabyte": 30, "terabytes": 40, "tb": 40]
        if let power = known[word] { return 1 << UInt64(power) }
        guard word.hasPrefix("byte*") else { throw .corrupt("the unit '\(text)' is none of bytes") }
        let factor = word.dropFirst(5)
        let parts = factor.split(separator: "^", omittingEmptySubsequences: false)
        if parts.count == 1, let number = UInt64(parts[0]), number > 0 { return number }
        guard parts.count == 2, let base = UInt64(parts[0]), let power = Int(parts[1]), (0...62).contains(power) else { throw .corrupt("the unit '\(text)' is none of bytes") }
        var result: UInt64 = 1
        for _ in 0..<power {
            let (next, overflow) = result.multipliedReportingOverflow(by: base)
            guard !overflow else { throw .corrupt("the unit '\(text)' is too large") }
            result = next
        }
        return result
    }
}
