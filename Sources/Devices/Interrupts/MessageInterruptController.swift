// The IMSICs of all harts as devices see them: a page for each interrupt file, whose first word takes messages.
// "RISC-V Advanced Interrupt Architecture" 1.0, sections 3.5 and 3.6.

import Core

/// The interrupt files of one privilege level, hart by hart: `stride` pages each, of which the first ones are files.
public final class MessageInterruptController: MessageReceiver {
    public static let pageSize: UInt64 = 0x1000
    private let files: [[InterruptFile]]
    private let stride: Int

    /// - Parameters:
    ///   - files: of each hart: its own one, then those of its guests.
    ///   - indexBits: guest numbers take so many bits of an address.
    public init(files: [[InterruptFile]], indexBits: Int) {
        self.files = files
        stride = 1 << min(max(indexBits, 0), 6)
    }

    /// Bytes of the window.
    public var size: UInt64 { UInt64(files.count * stride) * Self.pageSize }

    public func reset() { for file in files.joined() { file.reset() } }

    private enum Port { static let little: UInt64 = 0, big: UInt64 = 4 }

    public func widths(bank: Int) -> ClosedRange<Int> { 4 ... 4 }
    public func read(bank: Int, offset: UInt64, width: Int) -> UInt64 { 0 }

    public func write(bank: Int, offset: UInt64, value: UInt64, width: Int) {
        let page = Int(offset / Self.pageSize), hart = page / stride, number = page % stride
        guard files.indices.contains(hart), files[hart].indices.contains(number) else { return }
        let value = UInt32(truncatingIfNeeded: value)
        switch offset % Self.pageSize {
        case Port.little: files[hart][number].receive(value)
        case Port.big: files[hart][number].receive(value.byteSwapped)
        default: return
        }
    }
}
