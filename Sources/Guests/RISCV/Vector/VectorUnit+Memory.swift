// "Vector Loads and Stores". Every access is guarded; at a fault `vstart` names the element, all before it are done, and
// the instruction can be run again from there. Fault-only-first loads shorten `vl` instead, but for element 0. In machines
// the vCPU's `SoftMMU` finds the memory, a page at a time.

import CHost
import Core
import Translation

extension VectorUnit {
    private var memoryBase: UInt64 { state.load(fromByteOffset: Int(StateHeader.memoryBase), as: UInt64.self) }

    /// A sum of addresses, offsets and strides as an address.
    private func address(_ sum: UInt64) -> UInt64 {
        instruction.capability.contains(.narrowAddresses) ? sum & 0xffff_ffff : sum
    }

    /// Notes the fault of an access of `bytes` at guest address `address`, made for element `index`.
    private mutating func fault(_ address: UInt64, _ bytes: Int, _ index: Int) {
        if SoftMMU.of(state) != nil {
            // The exception is recorded.
            faulted = true
            start = index
            return
        }
        let fault = apus_last_fault_get().pointee
        let offset = fault.address &- memoryBase &- address
        // An address that the host's processor cannot express is reported without address or code.
        let inside = offset < UInt64(truncatingIfNeeded: bytes)
        let segmentationFault: UInt32 = 11, notMapped: UInt32 = 1
        state.storeBytes(of: inside ? UInt32(bitPattern: fault.signal) : segmentationFault, toByteOffset: Int(StateHeader.faultSignal), as: UInt32.self)
        state.storeBytes(of: inside ? UInt32(bitPattern: fault.code) : notMapped, toByteOffset: Int(StateHeader.faultCode), as: UInt32.self)
        state.storeBytes(of: inside ? address &+ offset : address, toByteOffset: Int(StateHeader.faultAddress), as: UInt64.self)
        faulted = true
        start = index
    }

    private func host(_ address: UInt64) -> UnsafeMutableRawPointer? {
        UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: address &+ memoryBase))
    }

    /// One element between memory and a register; false if memory faulted.
    @inline(__always)
    private func transfer(_ element: UnsafeMutableRawPointer, _ address: UInt64, _ bytes: Int, isLoad: Bool) -> Bool {
        if isLoad {
            let value: UInt64
            if let mmu = SoftMMU.of(state) {
                guard let loaded = mmu.load(address, bytes: bytes, mmuIndex: mmu.dataIndex) else { return false }
                value = loaded
            } else {
                var failed: Int32 = 0
                value = apus_guarded_load(host(address), Int32(truncatingIfNeeded: bytes), &failed)
                guard failed == 0 else { return false }
            }
            switch bytes {
            case 1: element.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
            case 2: element.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
            case 4: element.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
            default: element.storeBytes(of: value, as: UInt64.self)
            }
            return true
        }
        let value: UInt64
        switch bytes {
        case 1: value = UInt64(element.load(as: UInt8.self))
        case 2: value = UInt64(element.load(as: UInt16.self))
        case 4: value = UInt64(element.load(as: UInt32.self))
        default: value = element.load(as: UInt64.self)
        }
        if let mmu = SoftMMU.of(state) { return mmu.store(address, value, bytes: bytes, mmuIndex: mmu.dataIndex) }
        return apus_guarded_store(host(address), value, Int32(truncatingIfNeeded: bytes)) == 0
    }

    /// `bytes` bytes, whole elements of `1 << shift`, between a machine's memory and a register: all of them where they are
    /// RAM on one page, else one element. - Returns: how many; 0 if the first faulted.
    private func transferMany(_ mmu: SoftMMU, _ element: UnsafeMutableRawPointer, _ address: UInt64, _ bytes: Int, shift: Int, isLoad: Bool) -> Int {
        let rest = Int(truncatingIfNeeded: RAMBlock.pageBytes &- address & (RAMBlock.pageBytes &- 1))
        let whole = (Swift.min(bytes, rest) &>> shift) &<< shift
        if whole > 0, case .memory(let host) = mmu.host(address, isLoad ? .load : .store, bytes: whole, mmuIndex: mmu.dataIndex) {
            if isLoad { element.copyMemory(from: host, byteCount: whole) } else { host.copyMemory(from: element, byteCount: whole) }
            if mmu.watched != nil { mmu.didStore(bytes: whole) }
            return whole
        }
        return transfer(element, address, 1 &<< shift, isLoad: isLoad) ? 1 &<< shift : 0
    }

    mutating func runMemory() {
        switch operation {
        case .loadWhole, .storeWhole:
            let width = operation == .loadWhole ? instruction.width : 0
            return consecutive(count: instruction.segments &<< (instruction.registerShift &- width), shift: width, isLoad: operation == .loadWhole)
        case .loadMask, .storeMask: return consecutive(count: (length &+ 7) &>> 3, shift: 0, isLoad: operation == .loadMask)
        case .load where instruction.isUnmasked && instruction.segments == 1:
            return consecutive(count: length, shift: instruction.width, isLoad: true)
        case .store where instruction.isUnmasked && instruction.segments == 1:
            return consecutive(count: length, shift: instruction.width, isLoad: false)
        default: segments()
        }
    }

    /// `count` elements side by side, in pieces through a buffer so that no element is loaded by halves.
    private mutating func consecutive(count: Int, shift: Int, isLoad: Bool) {
        var index = start
        while index < count {
            let element = UnsafeMutableRawPointer(register(vd, as: UInt8.self)) + index &<< shift
            let address = address(scalar &+ UInt64(truncatingIfNeeded: index &<< shift))
            let bytes = Swift.min((count &- index) &<< shift, 256)
            if let mmu = SoftMMU.of(state) {
                let done = transferMany(mmu, element, address, bytes, shift: shift, isLoad: isLoad)
                if WatchTable.isActive { WatchTable.note(state, address, done, isLoad: isLoad) }
                index &+= done &>> shift
                if done == 0 { return fault(address, 1 &<< shift, index) }
                continue
            }
            // No element is stored by halves either: where one may lie across pages, each is one access.
            if !isLoad, shift > 0, Int(truncatingIfNeeded: address & 4095) &+ bytes > 4096 {
                guard transfer(element, address, 1 &<< shift, isLoad: false) else { return fault(address, 1 &<< shift, index) }
                index &+= 1
                continue
            }
            let copied = withUnsafeTemporaryAllocation(byteCount: 256, alignment: 16) { buffer -> Int in
                guard isLoad, let temporary = buffer.baseAddress else { return apus_guarded_copy(host(address), element, bytes) }
                let copied = apus_guarded_copy(temporary, host(address), bytes)
                element.copyMemory(from: temporary, byteCount: (copied &>> shift) &<< shift)
                return copied
            }
            if WatchTable.isActive { WatchTable.note(state, address, copied, isLoad: isLoad) }
            index &+= copied &>> shift
            if copied < bytes {
                let rest = copied & (1 &<< shift &- 1)
                return fault(self.address(address &+ UInt64(truncatingIfNeeded: copied &- rest)), 1 &<< shift, index)
            }
        }
    }

    /// Elements one by one: strided, indexed, masked, in segments, fault-only-first.
    private mutating func segments() {
        let isLoad: Bool = switch operation { case .load, .loadFaultFirst, .loadStrided, .loadIndexed: true; default: false }
        let isIndexed = operation == .loadIndexed || operation == .storeIndexed
        let isStrided = operation == .loadStrided || operation == .storeStrided
        let shift = isIndexed ? sew : instruction.width, bytes = 1 &<< shift
        let fields = instruction.segments
        let lmul = isIndexed ? instruction.lmul : shift &- sew &+ instruction.lmul
        let distance = 1 &<< (instruction.registerShift &+ Swift.max(lmul, 0))
        let step = isStrided ? stride : UInt64(truncatingIfNeeded: fields &<< shift)
        let base = UnsafeMutableRawPointer(register(vd, as: UInt8.self))
        var index = start
        while index < length {
            guard instruction.isUnmasked || isActive(index) else {
                index &+= 1
                continue
            }
            var address = address(scalar &+ (isIndexed ? offset(index) : step &* UInt64(truncatingIfNeeded: index)))
            // A segment that a fault cuts off leaves nothing behind.
            if operation == .loadFaultFirst, let field = unreadable(address, fields, shift) {
                return index > 0 ? shorten(to: index) : fault(self.address(address &+ UInt64(truncatingIfNeeded: field &<< shift)), bytes, index)
            }
            for field in 0 ..< fields {
                let element = base + (field &* distance &+ index &<< shift)
                if !transfer(element, address, bytes, isLoad: isLoad) {
                    return fault(address, bytes, index)
                }
                if WatchTable.isActive { WatchTable.note(state, address, bytes, isLoad: isLoad) }
                address = self.address(address &+ UInt64(truncatingIfNeeded: bytes))
            }
            index &+= 1
        }
    }

    /// The index operand of an indexed access, zero-extended.
    private func offset(_ index: Int) -> UInt64 {
        switch instruction.width {
        case 0: UInt64(register(vs2, as: UInt8.self)[index])
        case 1: UInt64(register(vs2, as: UInt16.self)[index])
        case 2: UInt64(register(vs2, as: UInt32.self)[index])
        default: register(vs2, as: UInt64.self)[index]
        }
    }

    /// The first field of a segment that cannot be read.
    private func unreadable(_ address: UInt64, _ fields: Int, _ shift: Int) -> Int? {
        if let mmu = SoftMMU.of(state) {
            return (0 ..< fields).first { mmu.load(address &+ UInt64(truncatingIfNeeded: $0 &<< shift), bytes: 1 &<< shift, mmuIndex: mmu.dataIndex) == nil }
        }
        var failed: Int32 = 0
        return (0 ..< fields).first { field in
            _ = apus_guarded_load(host(address &+ UInt64(truncatingIfNeeded: field &<< shift)), Int32(1 &<< shift), &failed)
            return failed != 0
        }
    }

    private func shorten(to count: Int) {
        state.storeBytes(of: UInt64(truncatingIfNeeded: count), toByteOffset: Int(RISCVState.vectorLength), as: UInt64.self)
        VectorMode.update(state, vectorBytes: 1 &<< instruction.registerShift)
    }
}
