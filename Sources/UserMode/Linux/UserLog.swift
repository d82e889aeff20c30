import CHost
import Glibc
import Host

/// Where `-d` and `-strace` write: standard error, or the file of `-D`, opened once a process.
public enum UserLog {
    private static let opened = Locked<[String: Int32]>([:])

    /// A function that appends whole lines, from any thread. A file that cannot be opened leaves standard error.
    public static func writer(_ file: String?) -> @Sendable (String) -> Void {
        let target = Int(file.map(descriptor) ?? 2)
        return { text in
            var text = text
            text.withUTF8 { bytes in
                var done = 0
                while let base = bytes.baseAddress, done < bytes.count {
                    let n = apus_syscall(Int(SYS_write), target, Int(bitPattern: base + done), bytes.count &- done, 0, 0, 0)
                    if n == -Int(EINTR) { continue }
                    guard n > 0 else { return }
                    done &+= n
                }
            }
        }
    }

    /// Whether `file` can be written to.
    public static func canWrite(_ file: String) -> Bool { descriptor(file) != 2 }

    private static func descriptor(_ file: String) -> Int32 {
        opened.withLock { table in
            if let known = table[file] { return known }
            // `%d` in the name stands for the process id.
            var name = file
            if let mark = file.utf8.firstIndex(of: UInt8(ascii: "%")), file[mark...].hasPrefix("%d") {
                name = file[..<mark] + String(getpid()) + file[file.index(mark, offsetBy: 2)...]
            }
            let first = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
            guard first >= 0 else { return 2 }
            // Out of the way of the guest's own descriptors.
            let high = fcntl(first, F_DUPFD_CLOEXEC, 512)
            if high >= 0 { close(first) }
            let descriptor = high >= 0 ? high : first
            PrivateDescriptors.add(descriptor)
            table[file] = descriptor
            return descriptor
        }
    }
}
