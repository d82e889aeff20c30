// What `clone` and `clone3` ask for (clone(2), include/uapi/linux/sched.h).

import Glibc

/// Flags of clone, the same on all Linux guests.
enum CloneFlags {
    static let vm: UInt64 = 0x100, fs: UInt64 = 0x200, files: UInt64 = 0x400, signalHandlers: UInt64 = 0x800
    static let pidfd: UInt64 = 0x1000, ptrace: UInt64 = 0x2000, vfork: UInt64 = 0x4000, parent: UInt64 = 0x8000
    static let thread: UInt64 = 0x10000, newNS: UInt64 = 0x20000, semaphoreUndo: UInt64 = 0x40000
    static let setTLS: UInt64 = 0x80000, parentSetTID: UInt64 = 0x100000, childClearTID: UInt64 = 0x200000
    static let detached: UInt64 = 0x400000, untraced: UInt64 = 0x800000, childSetTID: UInt64 = 0x1000000
    static let clearSignalHandlers: UInt64 = 0x1_0000_0000, intoCGroup: UInt64 = 0x2_0000_0000
    /// New namespaces: cgroup, UTS, IPC, user, PID, network, mount.
    static let namespaces: UInt64 = 0x7e020000
    /// Done by Apus itself around the host's fork, so that the host's C library may do it.
    static let emulated = setTLS | parentSetTID | childClearTID | childSetTID | pidfd | detached | clearSignalHandlers
}

struct CloneRequest {
    var flags: UInt64
    /// The signal the parent gets when the child ends; 0: none.
    var exitSignal: Int32
    /// The child's stack pointer, if it has a stack of its own.
    var stack: UInt64?
    var parentTID: UInt64
    var childTID: UInt64
    var tls: UInt64
    var pidfd: UInt64

    func has(_ flag: UInt64) -> Bool { flags & flag != 0 }
    var newTLS: UInt64? { has(CloneFlags.setTLS) ? tls : nil }

    /// The same without what parent and child would share.
    var withoutSharing: CloneRequest {
        var request = self
        request.flags &= ~(CloneFlags.vm | CloneFlags.vfork | CloneFlags.signalHandlers)
        return request
    }

    /// From the registers of `clone`, whose last two arguments stand in the order of the architecture.
    init(clone call: SystemCall) {
        let tlsFirst = call.process.abi.cloneTakesTLSBeforeChildTID
        flags = call[0] & 0xffff_ff00
        exitSignal = Int32(truncatingIfNeeded: call[0] & 0xff)
        stack = call[1] == 0 ? nil : call[1]
        parentTID = call[2]
        pidfd = call[2]
        tls = tlsFirst ? call[3] : call[4]
        childTID = tlsFirst ? call[4] : call[3]
    }

    /// Of `fork` and `vfork`, where the architecture has them.
    init(flags: UInt64) {
        self.flags = flags
        exitSignal = SIGCHLD
        stack = nil
        parentTID = 0
        childTID = 0
        tls = 0
        pidfd = 0
    }

    /// From the structure of `clone3`; an errno if it asks for what is not supported.
    static func clone3(_ call: SystemCall) -> Result<CloneRequest, Errno> {
        let size = call[1]
        guard size >= 64 else { return .failure(Errno(EINVAL)) }
        guard size <= 4096 else { return .failure(Errno(E2BIG)) }
        guard let bytes = call.memory.readBytes(call[0], Int(size)), bytes.count == Int(size) else { return .failure(Errno(EFAULT)) }
        if bytes.dropFirst(88).contains(where: { $0 != 0 }) { return .failure(Errno(E2BIG)) }
        func field(_ index: Int) -> UInt64 {
            var value: UInt64 = 0
            for byte in 0 ..< 8 where index * 8 + byte < bytes.count {
                value |= UInt64(bytes[index * 8 + byte]) &<< UInt64(8 * (call.model.bigEndian ? 7 - byte : byte))
            }
            return value
        }
        var request = CloneRequest(flags: field(0))
        request.pidfd = field(1)
        request.childTID = field(2)
        request.parentTID = field(3)
        request.exitSignal = Int32(truncatingIfNeeded: field(4))
        request.tls = field(7)
        if field(4) & ~0xff != 0 || request.has(CloneFlags.detached) || field(9) != 0 { return .failure(Errno(EINVAL)) }
        if request.has(CloneFlags.intoCGroup) { return .failure(Errno(ENOSYS)) }
        switch (field(5), field(6)) {
        case (0, 0): request.stack = nil
        case (0, _), (_, 0): return .failure(Errno(EINVAL))
        case (let base, let length): request.stack = base &+ length
        }
        return .success(request)
    }
}

/// An errno as an error.
struct Errno: Error {
    let code: Int32
    init(_ code: Int32) { self.code = code }
}
