import Glibc
import Host

/// How messages begin: `-msg`.
struct MessageStyle: Sendable {
    var hasTimestamp = false
    var hasGuestName = false
    /// The machine's name.
    var name: String?
    static let shared = Locked(MessageStyle())

    /// What is in front of a message.
    var prefix: String {
        var text = ""
        if hasTimestamp {
            var now = timespec(), parts = tm(), seconds = 0
            clock_gettime(CLOCK_REALTIME, &now)
            seconds = now.tv_sec
            gmtime_r(&seconds, &parts)
            func digits(_ number: Int, _ count: Int) -> String {
                let text = String(number)
                return String(repeating: "0", count: max(0, count - text.count)) + text
            }
            text += "\(digits(Int(parts.tm_year) + 1900, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))T"
                + "\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2)).\(digits(now.tv_nsec / 1000, 6))Z "
        }
        if hasGuestName, let name { text += name + " " }
        return text
    }
}

/// One line on standard error.
func complain(_ text: String) {
    let line = Array((MessageStyle.shared.withLock { $0 }.prefix + text + "\n").utf8)
    _ = write(2, line, line.count)
}
