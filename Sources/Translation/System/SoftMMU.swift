// The address translation of one vCPU in a machine: where helpers of the guest and the back ends reach guest memory.

import CHost
import Core
import IR

/// What a vCPU of a machine has beside its state block. Used by the vCPU's own thread, but for `requestFlush`.
public final class SoftMMU {
    public unowned let vcpu: VCPU
    public let guest: any SystemGuest
    public let memory: AddressSpace

    public init(vcpu: VCPU, guest: any SystemGuest, memory: AddressSpace) {
        self.vcpu = vcpu
        self.guest = guest
        self.memory = memory
        vcpu[UInt64.self, StateHeader.softMMU] = UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))
    }

    deinit { vcpu[UInt64.self, StateHeader.softMMU] = 0 }

    /// The MMU of the vCPU with state pointer `state`: how a helper finds its machine. Nil in user mode.
    public static func of(_ state: UnsafeMutableRawPointer) -> SoftMMU? {
        let bits = state.load(fromByteOffset: Int(StateHeader.softMMU), as: UInt64.self)
        guard let pointer = UnsafeRawPointer(bitPattern: UInt(bits)) else { return nil }
        return Unmanaged<SoftMMU>.fromOpaque(pointer).takeUnretainedValue()
    }

    // MARK: forgetting translations

    /// Forgets all translations (of the given MMU indices, one bit each).
    public func flush(indices: UInt16 = .max) {}

    /// Forgets the translations of the page of `address`.
    public func flush(page address: UInt64, indices: UInt16 = .max) {}

    // MARK: accesses of helpers

    /// Loads `bytes` (1, 2, 4, 8) at virtual `address`, little-endian, zero-extended.
    /// - Returns: nil if it faulted: the exception is recorded, and the helper returns `ExitReason.memoryFault` plus 1
    ///   (effect `mayExit`).
    public func load(_ address: UInt64, bytes: Int, mmuIndex: Int, kind: AccessKind = .load) -> UInt64? {
        let first = min(UInt64(bytes), RAMBlock.pageBytes - address & (RAMBlock.pageBytes - 1))
        guard first == UInt64(bytes) else {
            var value: UInt64 = 0
            for index in 0 ..< UInt64(bytes) {
                guard let byte = load(address &+ index, bytes: 1, mmuIndex: mmuIndex, kind: kind) else { return nil }
                value |= byte &<< (index * 8)
            }
            return value
        }
        guard let page = guest.translate(address, kind, bytes: bytes, mmuIndex: mmuIndex, of: vcpu, memory: memory) else { return nil }
        guard let value = memory.read(page.physical, width: bytes) else {
            guest.recordBusError(address, kind, mmuIndex: mmuIndex, of: vcpu)
            return nil
        }
        return value
    }

    /// Stores the low `bytes` (1, 2, 4, 8) of `value` at virtual `address`. - Returns: false if it faulted.
    public func store(_ address: UInt64, _ value: UInt64, bytes: Int, mmuIndex: Int) -> Bool {
        let first = min(UInt64(bytes), RAMBlock.pageBytes - address & (RAMBlock.pageBytes - 1))
        guard first == UInt64(bytes) else {
            // Both pages must be there before anything is stored.
            for end in [address, address &+ UInt64(bytes - 1)] {
                guard guest.translate(end, .store, bytes: 1, mmuIndex: mmuIndex, of: vcpu, memory: memory) != nil else { return false }
            }
            for index in 0 ..< UInt64(bytes) {
                guard store(address &+ index, value &>> (index * 8), bytes: 1, mmuIndex: mmuIndex) else { return false }
            }
            return true
        }
        guard let page = guest.translate(address, .store, bytes: bytes, mmuIndex: mmuIndex, of: vcpu, memory: memory) else { return false }
        guard memory.write(page.physical, value, width: bytes) else {
            guest.recordBusError(address, .store, mmuIndex: mmuIndex, of: vcpu)
            return false
        }
        return true
    }
}
