// A guest that writes anything into the FAT disk of a folder, and packages of machines.

import Appliance
import Block
import Formats
import Glibc

extension FuzzTarget {
    static let folders = [
        // Sectors: two bytes that say which, then 512 of contents; 0xffff: a flush.
        FuzzTarget(name: "vvfat") { bytes in
            let folder = "/tmp/apus-fuzz-\(getpid())"
            makeFolder(folder)
            defer { emptyFolder(folder) }
            var options = OptionValues(VVFATDriver.options)
            guard (try? VVFATDriver.parse("fat:rw:floppy:\(folder)/shared", into: &options)) != nil,
                  let storage = try? VVFATDriver.open(options, .readWrite) as? any WritableStorage else { fatalError("the folder is not shown") }
            var position = 0
            while position + 2 <= bytes.count {
                let sector = UInt64(bytes[position]) | UInt64(bytes[position + 1]) << 8
                position += 2
                if sector == 0xffff { try? storage.flush(); continue }
                var piece = Array(bytes[position..<min(position + 512, bytes.count)])
                position += piece.count
                guard let length = try? storage.length(), sector * 512 + 512 <= length else { continue }
                piece += [UInt8](repeating: 0, count: 512 - piece.count)
                try? BlockBuffer.with(&piece) { (buffer) throws(BlockError) in try storage.write(sector * 512, buffer) }
            }
            try? storage.close()
            // Whatever was written: nothing beside the folder has changed.
            guard contents("\(folder)/beside") == Array("beside".utf8) else { fatalError("a file outside the folder has changed") }
        },
        FuzzTarget(name: "ovf") { bytes in _ = try? OVFEnvelope(bytes) },
        FuzzTarget(name: "ova") { bytes in
            let path = "/tmp/apus-fuzz-\(getpid()).ova"
            guard let file = fopen(path, "wb") else { fatalError("no temporary file") }
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
            let graph = BlockGraph(catalogue, namedFiles: .none)
            guard let package = try? AppliancePackage(path, graph) else { return }
            _ = try? package.verify()
            for disk in package.envelope.disks { try? package.open(disk)?.close() }
        },
    ]

    private static func put(_ path: String, _ bytes: [UInt8]) {
        guard let file = fopen(path, "wb") else { fatalError("no file '\(path)'") }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }

    /// What run.sh makes its seeds from.
    static func makeFolder(_ folder: String) {
        for name in ["", "/shared", "/shared/dir"] { mkdir(folder + name, 0o700) }
        put("\(folder)/beside", Array("beside".utf8))
        put("\(folder)/shared/ONE", [UInt8](repeating: 0x31, count: 1500))
        put("\(folder)/shared/dir/a long name.txt", [UInt8](repeating: 0x32, count: 3000))
        put("\(folder)/shared/dir/none", [])
    }

    private static func emptyFolder(_ folder: String) { Array(folder.utf8CString).withUnsafeBufferPointer { empty(Array($0)) } }

    /// - Parameter path: with its NUL: names are whatever the input made them.
    private static func empty(_ path: [CChar]) {
        guard let stream = opendir(path) else { return }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: 256) { Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1)) }
            }
            if name == [0x2e, 0] || name == [0x2e, 0x2e, 0] { continue }
            let inner = path.dropLast() + [0x2f] + name
            if remove(Array(inner)) != 0 { empty(Array(inner)) }
        }
        closedir(stream)
        rmdir(path)
    }
}
