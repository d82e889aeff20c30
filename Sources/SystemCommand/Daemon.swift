// `-daemonize` and the signals that end a machine.

import CHost
import Core
import Glibc
import Host

enum Daemon {
    /// Goes on in a child process; the parent ends when the child is ready or has failed. No second thread runs yet.
    /// - Returns: to be called when the child is ready: it lets the parent and the terminal go.
    static func enter() throws(ConfigurationError) -> @Sendable () -> Void {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ConfigurationError("-daemonize: \(String(cString: strerror(errno)))") }
        let child = apus_process_fork()
        guard child >= 0 else { throw ConfigurationError("-daemonize: \(String(cString: strerror(errno)))") }
        if child > 0 {
            close(ends[1])
            var byte: UInt8 = 0
            var count = read(ends[0], &byte, 1)
            while count < 0, errno == EINTR { count = read(ends[0], &byte, 1) }
            if count == 1 { _exit(0) }
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
                for descriptor: Int32 in 0 ... 2 { dup2(null, descriptor) }
                if null > 2 { close(null) }
            }
            var byte: UInt8 = 1
            _ = write(ready, &byte, 1)
            close(ready)
        }
    }

    private static func ending() -> sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
        return signals
    }

    /// Keeps SIGINT, SIGTERM and SIGHUP for `onSignal`. Called before the first thread is made.
    static func holdSignals() {
        signal(SIGPIPE, SIG_IGN)
        var signals = ending()
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// Calls `body` once one of them comes.
    static func onSignal(_ body: @escaping @Sendable () -> Void) {
        _ = BackgroundThread.start {
            var signals = ending(), number: Int32 = 0
            while sigwait(&signals, &number) != 0 {}
            body()
        }
    }
}
