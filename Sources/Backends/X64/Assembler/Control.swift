// Jumps, calls, forward labels, patchable fields, traps and padding. Intel SDM volume 2; the multi-byte NOP
// sequences are those recommended under NOP; that an aligned field can be rewritten while others execute it is
// volume 3, section 9.1.1 (accesses within 8 aligned bytes are atomic).

/// A jump whose target is not known yet. It holds the place of its displacement.
package struct ForwardJump: BitwiseCopyable {
    /// The displacement field in the writable view; nil if the jump was dropped.
    package let field: UnsafeMutablePointer<UInt8>?
    let isShort: Bool
}

extension Assembler {
    /// Jumps to an executable address, always with a 32-bit displacement.
    package mutating func jmp(_ target: UInt64) {
        guard hasRoom() else { return }
        byte(0xE9)
        relative32(target)
    }

    package mutating func jmp(_ target: UnsafeRawPointer) { jmp(UInt64(UInt(bitPattern: target))) }
    package mutating func jmp(_ target: GPR) { legacy(0xFF, .b32, reg: 4, rm: .direct(target)) }
    package mutating func jmp(_ target: Mem) { legacy(0xFF, .b32, reg: 4, rm: target) }

    /// Calls an executable address.
    package mutating func call(_ target: UInt64) {
        guard hasRoom() else { return }
        byte(0xE8)
        relative32(target)
    }

    package mutating func call(_ target: UnsafeRawPointer) { call(UInt64(UInt(bitPattern: target))) }
    package mutating func call(_ target: GPR) { legacy(0xFF, .b32, reg: 2, rm: .direct(target)) }
    package mutating func call(_ target: Mem) { legacy(0xFF, .b32, reg: 2, rm: target) }
    package mutating func ret() { fixed(0xC3, bytes: 1) }

    /// Jumps to an executable address if the condition holds, always with a 32-bit displacement.
    package mutating func jcc(_ condition: ConditionCode, _ target: UInt64) {
        guard hasRoom() else { return }
        byte(0x0F)
        byte(0x80 | condition.rawValue)
        relative32(target)
    }

    package mutating func jcc(_ condition: ConditionCode, _ target: UnsafeRawPointer) {
        jcc(condition, UInt64(UInt(bitPattern: target)))
    }

    /// Jumps back to an address already written, in the shorter form that reaches it.
    package mutating func jmpBackward(_ target: UInt64) {
        guard hasRoom() else { return }
        guard let distance = shortDistance(target) else { return jmp(target) }
        byte(0xEB)
        byte(distance)
    }

    /// Jumps back to an address already written if the condition holds, in the shorter form that reaches it.
    package mutating func jccBackward(_ condition: ConditionCode, _ target: UInt64) {
        guard hasRoom() else { return }
        guard let distance = shortDistance(target) else { return jcc(condition, target) }
        byte(0x70 | condition.rawValue)
        byte(distance)
    }

    /// A jump to be bound later; 32-bit displacement.
    package mutating func jmpForward() -> ForwardJump {
        guard hasRoom() else { return ForwardJump(field: nil, isShort: false) }
        byte(0xE9)
        return forward(isShort: false)
    }

    package mutating func jccForward(_ condition: ConditionCode) -> ForwardJump {
        guard hasRoom() else { return ForwardJump(field: nil, isShort: false) }
        byte(0x0F)
        byte(0x80 | condition.rawValue)
        return forward(isShort: false)
    }

    /// A jump to be bound at most 127 bytes later.
    package mutating func jmpShort() -> ForwardJump {
        guard hasRoom() else { return ForwardJump(field: nil, isShort: true) }
        byte(0xEB)
        return forward(isShort: true)
    }

    package mutating func jccShort(_ condition: ConditionCode) -> ForwardJump {
        guard hasRoom() else { return ForwardJump(field: nil, isShort: true) }
        byte(0x70 | condition.rawValue)
        return forward(isShort: true)
    }

    /// Makes the jump land at the cursor. A short jump that cannot sets `outOfRange`.
    package mutating func bind(_ jump: ForwardJump) {
        guard let field = jump.field else { return }
        let distance = cursor - field
        if jump.isShort {
            let value = Int8(truncatingIfNeeded: distance - 1)
            if Int(value) != distance - 1 { outOfRange = true }
            field.pointee = UInt8(bitPattern: value)
        } else {
            UnsafeMutableRawPointer(field).storeBytes(of: Int32(truncatingIfNeeded: distance - 4), as: Int32.self)
        }
    }

    /// Redirects a written jump or call. If the field lies within 8 aligned bytes (see `alignForPatch`), other
    /// threads may be executing the instruction meanwhile.
    /// - Parameters:
    ///   - at: the rel32 field in the writable view.
    ///   - executableAddress: the same field in the executable view.
    ///   - target: the executable address to go to.
    /// - Returns: false, with nothing written, if the target is out of reach.
    @discardableResult
    package static func patchRel32(at field: UnsafeMutableRawPointer, executableAddress: UInt64, target: UInt64) -> Bool {
        let distance = Int64(bitPattern: target &- executableAddress &- 4)
        guard distance == Int64(Int32(truncatingIfNeeded: distance)) else { return false }
        field.storeBytes(of: Int32(truncatingIfNeeded: distance), as: Int32.self)
        return true
    }

    @discardableResult
    package static func patchRel32(at field: UnsafeMutableRawPointer, executableAddress: UnsafeRawPointer,
                                   target: UnsafeRawPointer) -> Bool {
        patchRel32(at: field, executableAddress: UInt64(UInt(bitPattern: executableAddress)),
                   target: UInt64(UInt(bitPattern: target)))
    }

    /// Pads so that a 4-byte field `fieldOffset` bytes after the cursor does not cross an 8-byte boundary.
    package mutating func alignForPatch(fieldOffset: Int) {
        let place = Int((here &+ UInt64(truncatingIfNeeded: fieldOffset)) & 7)
        if place > 4 { nop(8 - place) }
    }

    /// Pads the executable address to a multiple of `boundary`, a power of two.
    package mutating func align(to boundary: Int) {
        let past = Int(truncatingIfNeeded: here) & (boundary - 1)
        if past != 0 { nop(boundary - past) }
    }

    package mutating func int3() { fixed(0xCC, bytes: 1) }
    package mutating func ud2() { fixed(0x0B0F, bytes: 2) }

    /// Exactly `count` bytes of padding, in as few instructions as possible.
    package mutating func nop(_ count: Int = 1) {
        var rest = count
        while rest > 0 {
            guard hasRoom() else { return }
            let length = min(rest, 9)
            rest -= length
            if length == 9 { byte(0x66) }
            let tail = min(length, 8)
            let code: UInt64 = switch tail {
            case 1: 0x90
            case 2: 0x9066
            case 3: 0x00_1F0F
            case 4: 0x0040_1F0F
            case 5: 0x00_0044_1F0F
            case 6: 0x0000_441F_0F66
            case 7: 0x00_0000_0080_1F0F
            default: 0x0000_0000_0084_1F0F
            }
            // Writes eight bytes, of which the cursor keeps `tail`; hasRoom covers the others.
            UnsafeMutableRawPointer(cursor).storeBytes(of: code, as: UInt64.self)
            cursor += tail
        }
    }

    @inline(__always)
    private mutating func relative32(_ target: UInt64) {
        word32(UInt32(bitPattern: relative(to: target, from: here &+ 4)))
    }

    /// The displacement of a two-byte jump at the cursor, if the target is that near.
    @inline(__always)
    private func shortDistance(_ target: UInt64) -> UInt8? {
        let distance = Int64(bitPattern: target &- here &- 2)
        guard distance == Int64(Int8(truncatingIfNeeded: distance)) else { return nil }
        return UInt8(truncatingIfNeeded: distance)
    }

    @inline(__always)
    private mutating func forward(isShort: Bool) -> ForwardJump {
        let field = cursor
        if isShort { byte(0) } else { word32(0) }
        return ForwardJump(field: field, isShort: isShort)
    }
}
