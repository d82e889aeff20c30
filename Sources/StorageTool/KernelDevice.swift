// The kernel's NBD client, by the requests of include/uapi/linux/nbd.h: a socket pair whose one end the kernel has, and the
// other this process. Left out: the netlink interface, several connections to one device.

import CHost
import Glibc
import Host
import ImageTool
import Sockets

/// A device such as /dev/nbd0.
final class KernelDevice: Sendable {
    private enum Request {
        static let setSocket = 0xab00, setBlockSize = 0xab01, doIt = 0xab03, clearSocket = 0xab04, clearQueue = 0xab05
        static let setBlocks = 0xab07, disconnect = 0xab08, setFlags = 0xab0a
    }
    let path: String
    private let descriptor: Int32

    init(_ path: String) throws(ToolFailure) {
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw ToolFailure("Failed to open \(path): \(reason)" + (errno == ENOENT ? " (is the kernel's module 'nbd' loaded?)" : ""))
        }
        self.path = path
    }
    deinit { close(descriptor) }

    private func control(_ request: Int, _ argument: Int) -> Int { Int(apus_syscall(Int(SYS_ioctl), Int(descriptor), request, argument, 0, 0, 0)) }

    /// Makes the device; requests come in on the channel.
    func attach(size: UInt64, flags: UInt16) throws(ToolFailure) -> Channel {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw ToolFailure("a pair of sockets: \(String(cString: strerror(errno)))")
        }
        // Whole sectors only.
        let blocks = size / 512
        for (request, argument, what) in [(Request.setSocket, Int(ends[1]), "the device is in use"), (Request.setBlockSize, 512, "setting the block size"),
                                          (Request.setBlocks, Int(blocks), "setting the size"), (Request.setFlags, Int(flags), "setting the flags")] {
            let result = control(request, argument)
            guard result >= 0 else {
                close(ends[0])
                close(ends[1])
                throw ToolFailure("\(path): \(what): \(String(cString: strerror(Int32(-result))))")
            }
        }
        let kernelEnd = ends[1]
        let started = BackgroundThread.start { [self] in
            // Returns when the device is disconnected.
            _ = control(Request.doIt, 0)
            _ = control(Request.clearQueue, 0)
            _ = control(Request.clearSocket, 0)
            close(kernelEnd)
        }
        guard started else { throw ToolFailure("the host gives no thread") }
        return Channel(ends[0])
    }

    func detach() { _ = control(Request.disconnect, 0) }

    /// Ends another process's connection of the device.
    static func disconnect(_ path: String) throws(ToolFailure) {
        let device = try KernelDevice(path)
        for request in [Request.clearQueue, Request.disconnect, Request.clearSocket] {
            let result = device.control(request, 0)
            guard result >= 0 else { throw ToolFailure("\(path): cannot disconnect: \(String(cString: strerror(Int32(-result))))") }
        }
    }
}
