// The terminal that Apus was started in, as a machine's console.

import Core
import Glibc
import Host

/// Puts the terminal of standard input into raw mode, and back at the end of the process.
public enum Terminal {
    private static let saved = Locked<termios?>(nil)

    /// Raw input: keys come one by one, unechoed. With `keepsSignals` Ctrl-C still ends the process.
    public static func makeRaw(keepsSignals: Bool) {
        guard isatty(0) == 1 else { return }
        var mode = termios()
        guard tcgetattr(0, &mode) == 0 else { return }
        let isFirst = saved.withLock { old in
            defer { if old == nil { old = mode } }
            return old == nil
        }
        mode.c_iflag &= ~tcflag_t(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON)
        mode.c_oflag |= tcflag_t(OPOST)
        mode.c_lflag &= ~tcflag_t(ECHO | ECHONL | ICANON | IEXTEN | (keepsSignals ? 0 : ISIG))
        mode.c_cflag &= ~tcflag_t(CSIZE | PARENB)
        mode.c_cflag |= tcflag_t(CS8)
        tcsetattr(0, TCSANOW, &mode)
        if isFirst { atexit { Terminal.restore() } }
    }

    /// The terminal as it was.
    public static func restore() {
        guard var mode = saved.withLock({ $0 }) else { return }
        tcsetattr(0, TCSANOW, &mode)
        // The next program on this terminal wants to block.
        for descriptor: Int32 in [0, 1] { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK) }
    }
}
