// ramfb, by QEMU's specification: firmware writes into the fw_cfg file `etc/ramfb` where in guest memory a picture is; there
// are no registers.

import Core
import Host

public final class RAMFramebuffer: Device {
    public let banks: [Bank] = []
    private static let file = "etc/ramfb"
    private static let size = 28
    /// DRM's four-letter codes of pixel formats.
    private static let forms: [UInt32: PixelForm] = [
        0x3432_5258: .standard, 0x3432_5241: .standard, // XR24, AR24
        0x3432_4258: .bytes(red: 0, green: 1, blue: 2), 0x3432_4241: .bytes(red: 0, green: 1, blue: 2), // XB24, AB24
        0x3432_4752: .packed24, 0x3631_4752: .high(isWide: true), 0x3531_5258: .high(isWide: false), // RG24, RG16, XR15
    ]

    private let host: DeviceHost
    private let firmware: FirmwareConfiguration
    private let console: Console
    /// What the guest has written: address, four letters, flags, width, height, stride, all big-endian.
    private var description = [UInt8](repeating: 0, count: size)

    /// Called before the machine runs.
    public init(_ host: DeviceHost, firmware: FirmwareConfiguration, id: String, displays: DisplaySet) {
        self.host = host
        self.firmware = firmware
        console = displays.addConsole(device: id)
    }

    deinit { console.show(nil) }

    /// Puts the file in place, once the device has its slot.
    public func connect() {
        let written = host.callback { [unowned self] (bytes: [UInt8]) in
            description = Array(bytes.prefix(Self.size))
            show()
        }
        firmware.add(file: Self.file, [UInt8](repeating: 0, count: Self.size), written: written)
    }

    private func show() {
        func big(_ offset: Int, _ count: Int) -> UInt64 { description[offset ..< offset + count].reduce(0) { $0 << 8 | UInt64($1) } }
        guard description.count == Self.size, let form = Self.forms[UInt32(truncatingIfNeeded: big(8, 4))], let span = host.memory.memory(at: big(0, 8)) else { return console.show(nil) }
        let width = big(16, 4), given = big(24, 4)
        let stride = given == 0 ? width * UInt64(form.bytes) : given
        let height = big(20, 4)
        // All of it has to lie in one piece of memory: height and stride are at most 32 bits, so nothing overflows.
        guard height > 0, (height - 1) &* stride &+ width * UInt64(form.bytes) <= span.count else { return console.show(nil) }
        console.show(Surface(span.block, offset: span.offset, width: width, height: height, stride: stride, form, tellsChanges: false))
    }

    public func read(_ bank: Int, _ offset: UInt64, _ width: Int) -> UInt64 { 0 }
    public func write(_ bank: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {}

    public func reset() {
        description = [UInt8](repeating: 0, count: Self.size)
        console.show(nil)
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("description", &description)
        if state.isLoading { show() }
    }
}
