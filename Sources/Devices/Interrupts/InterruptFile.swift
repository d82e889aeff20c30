// Interrupt files of an IMSIC: pending and enable bits of each identity, the threshold and the wire to the hart.
// "RISC-V Advanced Interrupt Architecture" 1.0, sections 3.8 and 3.9. Delivery from a PLIC or APLIC in the file's place
// (`eidelivery` 0x4000_0000) is not there.

import Core
import Host

/// One interrupt file. The wire changes under the file's lock, so that levels arrive in order.
public final class InterruptFile: MessageInterruptFile {
    /// The largest identity; the smallest is 1.
    public static let identities = 255
    private static let words = (identities + 1) / 32

    private struct State {
        var pending = [UInt32](repeating: 0, count: InterruptFile.words)
        var enabled = [UInt32](repeating: 0, count: InterruptFile.words)
        var isDelivering = false
        var threshold = 0

        var top: Int {
            for word in pending.indices {
                let bits = pending[word] & enabled[word]
                guard bits != 0 else { continue }
                let identity = word * 32 + bits.trailingZeroBitCount
                return threshold == 0 || identity < threshold ? identity : 0
            }
            return 0
        }
    }

    private let state = Locked(State())
    private let wire: InterruptLine

    public init(wire: InterruptLine) { self.wire = wire }

    private func change<Result>(_ body: (inout State) -> Result) -> Result {
        state.withLock { state in
            let result = body(&state)
            wire.set(state.isDelivering && state.top != 0)
            return result
        }
    }

    public func reset() { change { $0 = State() } }

    /// A message has arrived. Identities that there are not are ignored.
    public func receive(_ identity: UInt32) {
        guard (1 ... UInt32(Self.identities)).contains(identity) else { return }
        change { $0.pending[Int(identity / 32)] |= 1 << (identity % 32) }
    }

    public var top: Int { state.withLock { $0.top } }

    public func claim() -> Int {
        change { state in
            let identity = state.top
            state.pending[identity / 32] &= ~(1 << UInt32(identity % 32))
            return identity
        }
    }

    private enum Register { static let delivery = 0x70, threshold = 0x72, pending = 0x80, enabled = 0xc0, end = 0x100 }

    public func exchange(_ number: Int, clear: UInt64, set: UInt64, bits: Int) -> UInt64 {
        change { state in
            switch number {
            case Register.delivery:
                let old: UInt64 = state.isDelivering ? 1 : 0
                state.isDelivering = (old & ~clear | set) & 0xffff_ffff == 1
                return old
            case Register.threshold:
                let old = UInt64(state.threshold)
                state.threshold = Int((old & ~clear | set) & UInt64(Self.identities))
                return old
            case Register.pending ..< Register.enabled:
                return Self.exchange(&state.pending, number - Register.pending, clear, set, bits)
            case Register.enabled ..< Register.end:
                return Self.exchange(&state.enabled, number - Register.enabled, clear, set, bits)
            default: return 0
            }
        }
    }

    /// Words `index` and, 64 bits wide, the next one. Those that there are not, and identity 0, read as 0.
    private static func exchange(_ words: inout [UInt32], _ index: Int, _ clear: UInt64, _ set: UInt64, _ bits: Int) -> UInt64 {
        var result: UInt64 = 0
        for part in 0 ..< bits / 32 where words.indices.contains(index + part) {
            let shift = UInt64(part * 32), old = words[index + part]
            result |= UInt64(old) << shift
            let new = old & ~UInt32(truncatingIfNeeded: clear >> shift) | UInt32(truncatingIfNeeded: set >> shift)
            words[index + part] = index + part == 0 ? new & ~1 : new
        }
        return result
    }
}
