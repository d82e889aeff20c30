import CHost

// Checked access to guest memory by Apus itself: guarded copies, bounded by the guest's part of the address space.
extension GuestMemory {
    /// Copies `count` bytes out of guest memory; false (part may have been copied) if any cannot be read.
    public func read(_ address: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Bool {
        guard count > 0 else { return count == 0 }
        guard contains(address, UInt64(count)) else { return false }
        return apus_guarded_copy(buffer, host(address), count) == count
    }

    /// Copies `count` bytes into guest memory; false (part may have been copied) if any cannot be written.
    public func write(_ address: UInt64, from buffer: UnsafeRawPointer, count: Int) -> Bool {
        guard count > 0 else { return count == 0 }
        guard contains(address, UInt64(count)) else { return false }
        if apus_guarded_copy(host(address), buffer, count) == count { return true }
        return liftAllWatches() && apus_guarded_copy(host(address), buffer, count) == count
    }

    /// A value in host byte order, or nil if it cannot be read.
    public func read<T: BitwiseCopyable>(_ address: UInt64, as type: T.Type) -> T? {
        withUnsafeTemporaryAllocation(of: T.self, capacity: 1) { buffer -> T? in
            guard let slot = buffer.baseAddress, read(address, into: slot, count: MemoryLayout<T>.size) else { return nil }
            return slot.pointee
        }
    }

    /// Writes a value in host byte order; false if it cannot be written.
    public func write<T: BitwiseCopyable>(_ address: UInt64, _ value: T) -> Bool {
        withUnsafePointer(to: value) { write(address, from: $0, count: MemoryLayout<T>.size) }
    }

    /// `count` bytes, or nil if any cannot be read. The caller bounds `count`.
    public func readBytes(_ address: UInt64, _ count: Int) -> [UInt8]? {
        guard count > 0 else { return count == 0 ? [] : nil }
        guard contains(address, UInt64(count)) else { return nil }
        let source = host(address)
        var complete = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            guard let target = buffer.baseAddress else { return }
            initialized = min(apus_guarded_copy(target, source, count), count)
            complete = initialized == count
        }
        return complete ? bytes : nil
    }

    public func writeBytes(_ address: UInt64, _ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { buffer in
            guard let source = buffer.baseAddress else { return true }
            return write(address, from: source, count: buffer.count)
        }
    }

    /// A NUL-terminated string of at most `maximum` bytes with its NUL; nil if it cannot be read or is longer.
    public func string(at address: UInt64, maximum: Int = 4096) -> [CChar]? {
        guard address < layout.limit else { return nil }
        let reach = Int(min(UInt64(maximum), layout.limit &- address))
        let length = apus_guarded_string(host(address).assumingMemoryBound(to: CChar.self), reach)
        guard length < reach else { return nil }
        guard let bytes = readBytes(address, length) else { return nil }
        return bytes.map { CChar(bitPattern: $0) } + [0]
    }

    /// As `string(at:)`, repaired where it is not UTF-8: for messages, not for paths.
    public func text(at address: UInt64, maximum: Int = 4096) -> String? {
        guard let chars = string(at: address, maximum: maximum) else { return nil }
        return String(decoding: chars.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
