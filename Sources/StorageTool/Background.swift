// What tools that serve have in common: going into the background, files with the process's number, and signals that
// ask to stop.

import CHost
import Glibc
import Host
import ImageTool

/// The way into the background.
enum Background {
    /// Goes on in a child process. The parent waits until the child is ready, and ends with 0, or with the child's status
    /// if it ends before. No second thread runs yet.
    /// - Returns: to be called when the child is ready: it lets the parent go, and the terminal.
    static func enter() throws(ToolFailure) -> @Sendable () -> Void {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ToolFailure("Failed to fork: \(String(cString: strerror(errno)))") }
        let child = apus_process_fork()
        guard child >= 0 else { throw ToolFailure("Failed to fork: \(String(cString: strerror(errno)))") }
        if child > 0 {
            close(ends[1])
            var byte: UInt8 = 0
            while true {
                let count = read(ends[0], &byte, 1)
                if count < 0, errno == EINTR { continue }
                if count == 1 { _exit(0) }
                break
            }
            var status: Int32 = 0
            while waitpid(child, &status, 0) < 0, errno == EINTR {}
            _exit(status & 0x7f == 0 ? (status >> 8) & 0xff : 1)
        }
        close(ends[0])
        let ready = ends[1]
        _ = fcntl(ready, F_SETFD, FD_CLOEXEC)
        setsid()
        return {
            let null = open("/dev/null", O_RDWR | O_CLOEXEC)
            if null >= 0 {
                for descriptor: Int32 in 0...2 { dup2(null, descriptor) }
                if null > 2 { close(null) }
            }
            var byte: UInt8 = 1
            _ = write(ready, &byte, 1)
            close(ready)
        }
    }

    /// Writes this process's number into a file.
    static func writePID(_ path: String) throws(ToolFailure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ToolFailure("cannot create PID file: Cannot open '\(path)': \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let text = Array("\(getpid())\n".utf8)
        guard write(descriptor, text, text.count) == text.count else { throw ToolFailure("cannot write PID file '\(path)': \(String(cString: strerror(errno)))") }
    }
}

/// The end of a tool that serves: asked for by a signal, or from within.
final class Ending: Sendable {
    private let reason = Waiting<Int32?>(nil)

    /// From now on SIGINT, SIGTERM and SIGHUP ask for the end. Called before the first thread is made.
    func followSignals() -> Bool {
        signal(SIGPIPE, SIG_IGN)
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        return BackgroundThread.start { [self] in
            var signals = sigset_t()
            sigemptyset(&signals)
            for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
            var number: Int32 = 0
            while sigwait(&signals, &number) != 0 {}
            ask()
        }
    }

    func ask(status: Int32 = 0) { reason.change { $0 = $0 ?? status } }
    /// The status asked for.
    func wait() -> Int32 { reason.wait { $0 } ?? 0 }
}
