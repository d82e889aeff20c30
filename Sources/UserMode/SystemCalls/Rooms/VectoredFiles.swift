import CHost
import Glibc

/// Reads and writes with a list of buffers: `readv(2)`, `preadv2(2)`, `vmsplice(2)`, `process_vm_readv(2)`.
enum VectoredFiles {
    static let calls: [SystemCallDescription] = [
        SystemCallDescription("readv", [.fd, .pointer, .int]) { scattered($0, SYS_readv) },
        SystemCallDescription("writev", [.fd, .pointer, .int]) { scattered($0, SYS_writev) },
        SystemCallDescription("preadv", [.fd, .pointer, .int, .offset]) { scattered($0, SYS_preadv) },
        SystemCallDescription("pwritev", [.fd, .pointer, .int, .offset]) { scattered($0, SYS_pwritev) },
        SystemCallDescription("preadv2", [.fd, .pointer, .int, .offset, .hex, .flags(.readWrite)]) {
            scattered($0, SYS_preadv2)
        },
        SystemCallDescription("pwritev2", [.fd, .pointer, .int, .offset, .hex, .flags(.readWrite)]) {
            scattered($0, SYS_pwritev2)
        },
        SystemCallDescription("vmsplice", [.fd, .pointer, .size, .flags(.splice)]) { scattered($0, SYS_vmsplice) },
        SystemCallDescription("process_vm_readv", [.pid, .pointer, .size, .pointer, .size, .hex]) {
            otherProcess($0, SYS_process_vm_readv)
        },
        SystemCallDescription("process_vm_writev", [.pid, .pointer, .size, .pointer, .size, .hex]) {
            otherProcess($0, SYS_process_vm_writev)
        },
    ]

    /// The last three arguments: position in two halves (the halves of the guest's long) and flags, as the guest has
    /// them; 64-bit hosts take the position from the first half.
    private static func scattered(_ call: SystemCall, _ number: Int32) -> SystemCallResult {
        call.withVectors(call[1], count: call[2]) { vectors in
            var low = Int(call.long(3))
            if call.model.wordSize == 4 && number != SYS_vmsplice {
                low = Int(truncatingIfNeeded: call[3] & 0xffff_ffff | call[4] << 32)
            }
            return call.host(.waits, number, Int(call.int(0)), vectors, Int(call.long(2)), low, 0, Int(call.long(5)))
        }
    }

    private static func otherProcess(_ call: SystemCall, _ number: Int32) -> SystemCallResult {
        call.withVectors(call[1], count: call[2]) { local in
            call.withVectors(call[3], count: call[4]) { remote in
                .value(call.host(number, Int(call.int(0)), local, Int(call.long(2)), remote, Int(call.long(4)),
                                 Int(call.long(5))))
            }
        }
    }
}

extension SystemCall {
    /// Most entries of an `iovec` array (`UIO_MAXIOV`).
    static let maximumVectors: UInt64 = 1024

    /// Runs `body` with a host `iovec` array for the guest's at `address`.
    func withVectors(_ address: UInt64, count: UInt64, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        let pair = StructLayout.iovec.conversions(shape)
        if address == 0 || (pair.identical && memory.base == 0) { return body(pointer(address)) }
        guard count <= SystemCall.maximumVectors else { return .error(EINVAL) }
        let entries = Int(count)
        return withUnsafeTemporaryAllocation(byteCount: max(entries, 1) * 16, alignment: 16) { buffer in
            guard let base = buffer.baseAddress else { return .error(EFAULT) }
            for index in 0..<entries {
                let at = address &+ UInt64(index &* pair.guest.size)
                guard let start = readPointer(at), let length = readPointer(at &+ UInt64(model.wordSize)) else {
                    return .error(EFAULT)
                }
                base.storeBytes(of: pointer(start), toByteOffset: index * 16, as: Int.self)
                base.storeBytes(of: length, toByteOffset: index * 16 + 8, as: UInt64.self)
            }
            return body(Int(bitPattern: base))
        }
    }
}
