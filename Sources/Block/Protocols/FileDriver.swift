// The protocols `file` and `host_device`: which options they have, and how files are made.

import Glibc

/// Files of the host; block devices by the same name.
public enum FileDriver: CreatableStorage {
    public static let name = "file"
    public static let schemes = ["host_device"]
    public static let options = [
        OptionDeclaration("filename", .text, "File name of the image"),
        OptionDeclaration("locking", .choice(["on", "off", "auto"]), default: "auto", "Whether other processes are kept out"),
        OptionDeclaration("aio", .choice(["threads", "native", "io_uring"]), default: "threads", "How the host does requests"),
    ]
    public static let createOptions = [
        OptionDeclaration("size", .size, "Virtual disk size"),
        OptionDeclaration("preallocation", .choice(["off", "falloc", "full"]), "Preallocation mode (allowed values: off, falloc, full)"),
    ]

    public static func parse(_ text: String, into options: inout OptionValues) throws(BlockError) {
        var path = text
        for scheme in ["file:", "host_device:"] where path.hasPrefix(scheme) { path.removeFirst(scheme.count) }
        if text != path, path.hasPrefix("//") { path.removeFirst(2) }
        try options.set("filename", path)
    }

    public static func filename(_ options: OptionValues) -> String { options.text("filename") ?? "" }

    public static func open(_ options: OptionValues, _ access: Access) throws(BlockError) -> any Storage {
        guard let path = options.text("filename"), !path.isEmpty else { throw .invalid("The 'file' block driver requires a file name") }
        var access = access
        if options.has("aio"), let interface = options.text("aio").flatMap({ HostInterface(rawValue: $0) }) { access.interface = interface }
        return try FileStorage(path: path, access, locking: options.text("locking") != "off")
    }

    public static func create(_ filename: String, size: UInt64, _ options: OptionValues) throws(BlockError) {
        var values = OptionValues(self.options)
        try parse(filename, into: &values)
        let path = self.filename(values)
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .host(errno, "Could not create '\(path)'") }
        Glibc.close(descriptor)
        let file = try FileStorage(path: path, .readWrite)
        // Not to be emptied under somebody's feet.
        do { try file.lock(using: [.write, .resize], sharing: [.consistentRead, .write, .writeUnchanged]) } catch { try? file.close(); throw error }
        do {
            if file.driverName == "file" {
                try file.setLength(0, .off)
                try file.setLength(size, options.text("preallocation").flatMap { Preallocation(rawValue: $0) } ?? .off)
            }
        } catch { try? file.close(); throw error }
        try file.close()
    }
}
