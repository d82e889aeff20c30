import CHost
import Glibc

/// How a system call reaches the guest's memory and the host kernel.
///
/// Unsafe code: guest addresses become host pointers here. Apus itself touches them only by guarded copies, which turn
/// a bad address into EFAULT; the host kernel checks the pointers that are passed on to it in the same way.
extension SystemCall {
    var shape: GuestShape { GuestShape(model, process.abi.flavour) }

    /// A guest address as the host kernel's argument; null stays null.
    @inline(__always)
    func pointer(_ address: UInt64) -> Int {
        address == 0 ? 0 : Int(bitPattern: UInt(truncatingIfNeeded: address &+ memory.base))
    }

    /// Argument `index` as a pointer for the host kernel.
    @inline(__always)
    func pointer(at index: Int) -> Int { pointer(self[index]) }

    /// Copies guest memory to `target`; false if some of it cannot be read.
    func copyIn(_ address: UInt64, _ target: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        guard let source = UnsafeRawPointer(bitPattern: pointer(address)) else { return count == 0 }
        return apus_guarded_copy(target, source, count) == count
    }

    /// Copies `source` to guest memory; false if some of it cannot be written.
    func copyOut(_ address: UInt64, _ source: UnsafeRawPointer, _ count: Int) -> Bool {
        guard let target = UnsafeMutableRawPointer(bitPattern: pointer(address)) else { return count == 0 }
        return apus_guarded_copy(target, source, count) == count
    }

    /// An integer of the guest's byte order.
    func readInteger(_ address: UInt64, size: Int, signed: Bool = false) -> UInt64? {
        var raw: UInt64 = 0
        return withUnsafeMutableBytes(of: &raw) { bytes -> UInt64? in
            guard let base = bytes.baseAddress, copyIn(address, base, min(size, 8)) else { return nil }
            return IntegerBytes.load(base, size, bigEndian: model.bigEndian, signed: signed)
        }
    }

    func writeInteger(_ address: UInt64, _ value: UInt64, size: Int) -> Bool {
        var raw: UInt64 = 0
        return withUnsafeMutableBytes(of: &raw) { bytes in
            guard let base = bytes.baseAddress else { return false }
            IntegerBytes.store(value, base, size, bigEndian: model.bigEndian)
            return copyOut(address, base, min(size, 8))
        }
    }

    /// A guest `long`, sign-extended.
    func readLong(_ address: UInt64) -> Int64? {
        readInteger(address, size: model.wordSize, signed: true).map { Int64(bitPattern: $0) }
    }
    func readPointer(_ address: UInt64) -> UInt64? { readInteger(address, size: model.wordSize) }
    func readInt(_ address: UInt64) -> Int32? {
        readInteger(address, size: 4).map { Int32(truncatingIfNeeded: $0) }
    }

    /// Bytes up to and without the NUL; nil if the string cannot be read or is longer than `limit`.
    func readString(_ address: UInt64, limit: Int = 4096) -> [UInt8]? {
        guard let start = UnsafePointer<CChar>(bitPattern: pointer(address)) else { return nil }
        let length = apus_guarded_string(start, limit)
        // All ones, -1 here, tells of a fault.
        guard length >= 0, length < limit else { return nil }
        return [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
            count = buffer.baseAddress.map { apus_guarded_copy($0, start, length) } ?? 0
        }
    }

    /// Fills the host structure at `host` from the guest's at `address`.
    func readStructure(_ layout: StructLayout, _ address: UInt64, _ host: UnsafeMutableRawPointer) -> Bool {
        let pair = layout.conversions(shape)
        if pair.identical { return copyIn(address, host, pair.host.size) }
        return withUnsafeTemporaryAllocation(byteCount: pair.guest.size, alignment: 16) { buffer in
            guard let base = buffer.baseAddress, copyIn(address, base, pair.guest.size) else { return false }
            pair.toHost.apply(base, host)
            return true
        }
    }

    /// Writes the host structure at `host` to the guest's at `address`, at most `limit` bytes of it.
    func writeStructure(_ layout: StructLayout, _ address: UInt64, _ host: UnsafeRawPointer,
                        limit: Int = .max) -> Bool {
        let pair = layout.conversions(shape)
        if pair.identical { return copyOut(address, host, min(limit, pair.host.size)) }
        return withUnsafeTemporaryAllocation(byteCount: pair.guest.size, alignment: 16) { buffer in
            guard let base = buffer.baseAddress else { return false }
            pair.toGuest.apply(host, base)
            return copyOut(address, base, min(limit, pair.guest.size))
        }
    }

    /// Runs `body` with a host pointer to the structure the guest has at `address` (null stays null): the guest's own
    /// memory where both layouts agree, else a copy. EFAULT if it cannot be read.
    func withInput(_ layout: StructLayout, _ address: UInt64, _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        let pair = layout.conversions(shape)
        if address == 0 || pair.identical { return body(pointer(address)) }
        return withUnsafeTemporaryAllocation(byteCount: pair.host.size, alignment: 16) { buffer in
            guard let base = buffer.baseAddress, readStructure(layout, address, base) else { return .error(EFAULT) }
            return body(Int(bitPattern: base))
        }
    }

    /// As `withInput`, for a structure the host writes: copied to the guest if the call succeeds.
    func withOutput(_ layout: StructLayout, _ address: UInt64, alsoInput: Bool = false,
                    _ body: (Int) -> SystemCallResult) -> SystemCallResult {
        let pair = layout.conversions(shape)
        if address == 0 || pair.identical { return body(pointer(address)) }
        return withUnsafeTemporaryAllocation(byteCount: pair.host.size, alignment: 16) { buffer in
            guard let base = buffer.baseAddress else { return .error(EFAULT) }
            base.initializeMemory(as: UInt8.self, repeating: 0, count: pair.host.size)
            if alsoInput, !readStructure(layout, address, base) { return .error(EFAULT) }
            let result = body(Int(bitPattern: base))
            if case .value(let value) = result, value >= 0, !writeStructure(layout, address, base) {
                return .error(EFAULT)
            }
            return result
        }
    }

    // MARK: The host kernel

    /// A host call that cannot block for long. Raw result.
    @inline(__always)
    func host(_ number: Int32, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0,
              _ f: Int = 0) -> Int64 {
        Int64(apus_syscall(Int(number), a, b, c, d, e, f))
    }

    /// A host call that may block; a signal for the guest ends it. Which calls are restarted afterwards is the host
    /// kernel's own decision, the same on all architectures (signal(7)).
    @inline(__always)
    func host(_ waiting: Waiting, _ number: Int32, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0, _ d: Int = 0,
              _ e: Int = 0, _ f: Int = 0) -> SystemCallResult {
        if waiting == .never { return .value(host(number, a, b, c, d, e, f)) }
        return SystemCallResult(hostCall: hostCall(thread, Int(number), a, b, c, d, e, f))
    }
}

/// Whether a host call may wait, so that signals for the guest must be able to end it.
enum Waiting: UInt8, Sendable {
    case never
    case waits
}
