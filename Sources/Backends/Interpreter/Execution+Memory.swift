// Memory ops: every access goes through the guarded functions of CHost, so that a fault becomes an exit at the
// accessing instruction. Each function answers false after leaving the exit reason and the fault in the state header.
import CHost
import IR
import Synchronization
import Translation

extension Execution {
    @inline(__always)
    private func host(_ address: UInt64) -> UnsafeMutableRawPointer? {
        // Address 0 of the host is never mapped, so it may stand for itself as a null pointer.
        UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: address &+ memoryBase))
    }

    private var addressMask: UInt64 { state.load(fromByteOffset: Int(StateHeader.addressMask), as: UInt64.self) }

    @inline(__always)
    func load(_ op: UnsafePointer<Op>, _ out: UnsafeMutablePointer<UInt64>) -> Bool {
        let access = MemoryAccess(rawValue: op.pointee.aux)
        let address = value(op.pointee.a) &+ op.pointee.imm
        guard isAllowed(address, access) else { return misaligned(address) }
        if let machine { return load(machine._withUnsafeGuaranteedRef { $0 }, address & addressMask, access, op.pointee.type, out) }
        var failed: Int32 = 0
        let bytes = access.bytes
        if bytes > 8 { return loadWide(address, out) }
        let raw = apus_guarded_load(host(address), Int32(truncatingIfNeeded: bytes), &failed)
        guard failed == 0 else { return memoryFault(address, bytes) }
        if access.atomic { order() }
        out[0] = converted(raw, access, op.pointee.type)
        return true
    }

    @inline(__always)
    func store(_ op: UnsafePointer<Op>) -> Bool {
        let access = MemoryAccess(rawValue: op.pointee.aux)
        let address = value(op.pointee.a) &+ op.pointee.imm
        guard isAllowed(address, access) else { return misaligned(address, .store) }
        if let machine { return store(machine._withUnsafeGuaranteedRef { $0 }, address & addressMask, access, values + (Int(op.pointee.b) &<< 1)) }
        let bytes = access.bytes
        if bytes > 8 { return storeWide(address, values + (Int(op.pointee.b) &<< 1)) }
        if access.atomic { order() }
        let image = memoryImage(value(op.pointee.b), access)
        guard apus_guarded_store(host(address), image, Int32(truncatingIfNeeded: bytes)) == 0 else { return memoryFault(address, bytes) }
        return true
    }

    func atomicRMW(_ op: UnsafePointer<Op>, _ out: UnsafeMutablePointer<UInt64>) -> Bool {
        let access = MemoryAccess(rawValue: op.pointee.aux)
        let address = value(op.pointee.a), operand = value(op.pointee.b)
        guard isAllowed(address, access) else { return misaligned(address, .store) }
        guard let operation = AtomicOperation(rawValue: op.pointee.imm & 0xff) else { return true }
        if let machine {
            return update(machine._withUnsafeGuaranteedRef { $0 }, address & addressMask, access, op.pointee.type, out) {
                Self.combine(operation, $0, operand, access)
            }
        }
        var old: UInt64 = 0
        let bytes = Int32(truncatingIfNeeded: access.bytes)
        if access.bigEndian {
            // The guest's arithmetic is on the swapped value, which no host instruction does.
            var failed: Int32 = 0
            old = apus_guarded_load(host(address), bytes, &failed)
            guard failed == 0 else { return memoryFault(address, access.bytes) }
            while true {
                let seen = old
                let new = memoryImage(Self.combine(operation, memoryImage(seen, access), operand, access), access)
                guard apus_guarded_cas(host(address), &old, new, bytes) == 0 else { return memoryFault(address, access.bytes) }
                if old == seen { break }
            }
        } else {
            guard apus_guarded_rmw(host(address), Int32(truncatingIfNeeded: operation.rawValue), operand, bytes, &old) == 0 else {
                return memoryFault(address, access.bytes)
            }
        }
        out[0] = converted(old, access, op.pointee.type)
        return true
    }

    func compareAndSwap(_ op: UnsafePointer<Op>, _ out: UnsafeMutablePointer<UInt64>) -> Bool {
        let access = MemoryAccess(rawValue: op.pointee.aux)
        let address = value(op.pointee.a)
        guard isAllowed(address, access) else { return misaligned(address, .store) }
        if let machine {
            let unused = UInt64(truncatingIfNeeded: 64 &- access.bytes &* 8), wanted = value(op.pointee.b) &<< unused, new = value(op.pointee.c)
            return update(machine._withUnsafeGuaranteedRef { $0 }, address & addressMask, access, op.pointee.type, out) { $0 &<< unused == wanted ? new : nil }
        }
        var expected = memoryImage(value(op.pointee.b), access)
        let new = memoryImage(value(op.pointee.c), access)
        guard apus_guarded_cas(host(address), &expected, new, Int32(truncatingIfNeeded: access.bytes)) == 0 else {
            return memoryFault(address, access.bytes)
        }
        out[0] = converted(expected, access, op.pointee.type)
        return true
    }

    func storeConditional(_ op: UnsafePointer<Op>, _ out: UnsafeMutablePointer<UInt64>) -> Bool {
        let access = MemoryAccess(rawValue: op.pointee.aux)
        let address = value(op.pointee.a)
        guard isAllowed(address, access) else { return misaligned(address, .store) }
        let reserved = state.load(fromByteOffset: Int(StateHeader.reservationAddress), as: UInt64.self) == address
        let value64 = state.load(fromByteOffset: Int(StateHeader.reservationValue), as: UInt64.self)
        let expected = memoryImage(value64, access)
        if let machine {
            let unused = UInt64(truncatingIfNeeded: 64 &- access.bytes &* 8), new = value(op.pointee.b)
            var old: UInt64 = 0
            let done = withUnsafeMutablePointer(to: &old) { out in
                update(machine._withUnsafeGuaranteedRef { $0 }, address & addressMask, access, .i64, out, reads: false) { reserved && $0 &<< unused == value64 &<< unused ? new : nil }
            }
            guard done else { return false }
            state.storeBytes(of: ~0, toByteOffset: Int(StateHeader.reservationAddress), as: UInt64.self)
            out[0] = reserved && old &<< unused == value64 &<< unused ? 0 : 1
            return true
        }
        var old = expected
        // Without a reservation the same access, changing nothing, still checks the right to write.
        let new = reserved ? memoryImage(value(op.pointee.b), access) : expected
        guard apus_guarded_cas(host(address), &old, new, Int32(truncatingIfNeeded: access.bytes)) == 0 else {
            return memoryFault(address, access.bytes)
        }
        state.storeBytes(of: ~0, toByteOffset: Int(StateHeader.reservationAddress), as: UInt64.self)
        out[0] = reserved && old == expected ? 0 : 1
        return true
    }

    func fence() { atomicMemoryFence(ordering: .sequentiallyConsistent) }

    // MARK: parts

    /// Hosts with total store order need nothing for acquire and release.
    @inline(__always)
    func order() {
        #if !arch(x86_64)
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        #endif
    }

    @inline(__always)
    private func isAllowed(_ address: UInt64, _ access: MemoryAccess) -> Bool {
        !access.aligned || address & UInt64(truncatingIfNeeded: access.bytes &- 1) == 0
    }

    private func loadWide(_ address: UInt64, _ out: UnsafeMutablePointer<UInt64>) -> Bool {
        let copied = apus_guarded_copy(out, host(address), 16)
        return copied == 16 || memoryFault(address, 16)
    }

    private func storeWide(_ address: UInt64, _ from: UnsafeMutablePointer<UInt64>) -> Bool {
        let copied = apus_guarded_copy(host(address), from, 16)
        return copied == 16 || memoryFault(address, 16)
    }

    /// The low bytes of `value` in the memory's byte order.
    @inline(__always)
    func memoryImage(_ value: UInt64, _ access: MemoryAccess) -> UInt64 {
        let unused = UInt64(truncatingIfNeeded: 64 &- access.bytes &* 8)
        return access.bigEndian ? value.byteSwapped &>> unused : (value &<< unused) &>> unused
    }

    /// A value of `type` from its zero-extended memory image.
    @inline(__always)
    func converted(_ raw: UInt64, _ access: MemoryAccess, _ type: ValueType) -> UInt64 {
        let number = access.bigEndian ? memoryImage(raw, access) : raw
        guard access.signed else { return number }
        let shift = Int64(truncatingIfNeeded: 64 &- access.bytes &* 8)
        return UInt64(bitPattern: (Int64(bitPattern: number) &<< shift) &>> shift) & type.mask
    }

    private static func combine(_ operation: AtomicOperation, _ old: UInt64, _ operand: UInt64, _ access: MemoryAccess) -> UInt64 {
        let shift = UInt64(truncatingIfNeeded: 64 &- access.bytes &* 8)
        // Shifted to the top, both signed and unsigned order are those of the narrow numbers.
        let a = old &<< shift, b = operand &<< shift
        switch operation {
        case .swap: return operand
        case .add: return old &+ operand
        case .and: return old & operand
        case .or: return old | operand
        case .xor: return old ^ operand
        case .minS: return Int64(bitPattern: a) <= Int64(bitPattern: b) ? old : operand
        case .maxS: return Int64(bitPattern: a) >= Int64(bitPattern: b) ? old : operand
        case .minU: return a <= b ? old : operand
        case .maxU: return a >= b ? old : operand
        }
    }

    // MARK: faults

    func leave(_ reason: ExitReason, _ address: UInt64) -> Bool {
        let mask = state.load(fromByteOffset: Int(StateHeader.addressMask), as: UInt64.self)
        state.storeBytes(of: address & mask, toByteOffset: Int(StateHeader.faultAddress), as: UInt64.self)
        state.storeBytes(of: UInt32(reason.rawValue), toByteOffset: Int(StateHeader.exitReason), as: UInt32.self)
        return false
    }

    @inline(never)
    private func misaligned(_ address: UInt64, _ kind: AccessKind = .load) -> Bool {
        if machine != nil { state.storeBytes(of: UInt32(kind.rawValue), toByteOffset: Int(StateHeader.faultCode), as: UInt32.self) }
        return leave(.misaligned, address)
    }

    @inline(never)
    private func memoryFault(_ address: UInt64, _ bytes: Int) -> Bool {
        let fault = apus_last_fault_get().pointee
        // An address that the host's processor cannot express is reported without address or code; an access that
        // crosses into an unmapped page faults on its later part.
        let offset = fault.address &- memoryBase &- address
        let inside = offset < UInt64(truncatingIfNeeded: bytes)
        let segmentationFault: UInt32 = 11, notMapped: UInt32 = 1
        state.storeBytes(of: inside ? UInt32(bitPattern: fault.signal) : segmentationFault,
                         toByteOffset: Int(StateHeader.faultSignal), as: UInt32.self)
        state.storeBytes(of: inside ? UInt32(bitPattern: fault.code) : notMapped,
                         toByteOffset: Int(StateHeader.faultCode), as: UInt32.self)
        return leave(.memoryFault, inside ? address &+ offset : address)
    }
}
