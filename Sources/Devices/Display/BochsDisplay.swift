// The display of Bochs's VBE extensions ("Bochs VBE interface", with the memory-mapped registers of QEMU's "standard-vga"
// specification): `bochs-display`, and `VGA` with the palette registers beside it. Linear modes of 8 to 32 bits a pixel.
//
// Left out of VGA: text and planar modes with their window at 0xa0000 and ports of the ISA bus, which machines without an
// ISA bus cannot reach either; the option ROM.

import Core

/// Bochs's display as a PCI function.
public final class BochsDisplay: PCIFunction {
    public static let properties = [
        Property("vgamem", .size, "video memory", default: "16M"),
        Property("edid", .flag, "the guest can read what the monitor says of itself", default: "on"),
        Property("xres", .integer, "the monitor's preferred width", default: "1280"),
        Property("yres", .integer, "the monitor's preferred height", default: "800"),
    ]
    /// VGA counts its memory in MiB.
    public static let compatibleProperties = [Property("vgamem_mb", .integer, "video memory in MiB", default: "16")] + properties.dropFirst()

    private enum Register {
        static let identity = 0, width = 1, height = 2, depth = 3, enable = 4, bank = 5
        static let virtualWidth = 6, virtualHeight = 7, offsetX = 8, offsetY = 9, memory = 10
        static let count = 11
    }
    private enum Enable {
        static let on: UInt16 = 1, capabilities: UInt16 = 2, wideColours: UInt16 = 0x20, linear: UInt16 = 0x40, keepsMemory: UInt16 = 0x80
    }
    /// Parts of the register window.
    private enum Part {
        static let ports: UInt64 = 0x400, interface: UInt64 = 0x500, extensions: UInt64 = 0x600
    }
    private static let newest: UInt16 = 0xb0c5
    private static let maximum = (width: 16000 as UInt16, height: 12000 as UInt16, depth: 32 as UInt16)

    public let identity: PCIIdentity
    public let windows: [PCIBar]
    public let interrupts = PCIInterrupts(pin: 0)
    private let memory: RAMBlock
    private let console: Console
    private let identification: [UInt8]
    private var registers = [UInt16](repeating: 0, count: Register.count)
    private var colours: ColourRegisters?
    private var isBigEndian = false

    /// - Parameter isCompatible: whether it is `VGA`.
    public init(_ properties: Properties, isCompatible: Bool, id: String, displays: DisplaySet) throws(ConfigurationError) {
        let owner = properties.owner
        let size = isCompatible ? (properties.integer("vgamem_mb") ?? 16) &* (1 << 20) : properties.size("vgamem") ?? 16 << 20
        guard size >= 1 << 20, size <= 256 << 20, size & (size - 1) == 0 else {
            throw ConfigurationError("\(owner): the video memory is \(size >> 20) MiB, expected a power of two from 1 to 256 MiB")
        }
        let width = properties.integer("xres") ?? 1280, height = properties.integer("yres") ?? 800
        guard (64 ... 4095).contains(width), (64 ... 4095).contains(height) else { throw ConfigurationError("\(owner): the preferred size is \(width)x\(height), expected 64 to 4095") }
        do throws(MemoryError) { memory = try RAMBlock(name: "\(id).vram", size: size) } catch { throw ConfigurationError("\(owner): \(error)") }
        identity = PCIIdentity(vendor: 0x1234, device: 0x1111, revision: 2, classCode: isCompatible ? 0x030000 : 0x038000)
        windows = [PCIBar(0, memory.name, size: size, .prefetchable32, .memory(memory)),
                   PCIBar(2, "\(id).mmio", size: 4096, .memory32, .registers(widths: 1 ... 8))]
        identification = properties.flag("edid") ? EDID.block(width: Int(width), height: Int(height), serial: 1) : []
        colours = isCompatible ? ColourRegisters() : nil
        console = displays.addConsole(device: id)
        reset()
    }

    deinit { console.show(nil) }

    public func connect(_ port: PCIPort) {}

    // MARK: registers

    public func read(_ bar: Int, _ offset: UInt64, _ width: Int) -> UInt64 {
        (0 ..< UInt64(width)).reduce(0) { $0 | UInt64(readByte(offset + $1)) << ($1 * 8) }
    }

    private func readByte(_ offset: UInt64) -> UInt8 {
        switch offset {
        case 0 ..< Part.ports: identification.indices.contains(Int(offset)) ? identification[Int(offset)] : 0
        case Part.ports ..< Part.ports + 0x20: colours?.read(Int(offset - Part.ports)) ?? 0
        case Part.interface ..< Part.interface + UInt64(Register.count * 2):
            UInt8(truncatingIfNeeded: value(Int(offset - Part.interface) / 2) >> UInt16(offset & 1 * 8))
        // The extensions: their size, and the byte order of pixels.
        case Part.extensions ..< Part.extensions + 8: extensions(Int(offset - Part.extensions))
        default: 0
        }
    }

    private func extensions(_ index: Int) -> UInt8 {
        if index < 4 { return index == 0 ? 8 : 0 }
        return isBigEndian ? 0xbe : 0x1e
    }

    private func value(_ register: Int) -> UInt16 {
        if register == Register.memory { return UInt16(clamping: memory.size >> 16) }
        guard registers[Register.enable] & Enable.capabilities != 0 else { return registers[register] }
        switch register {
        case Register.width: return Self.maximum.width
        case Register.height: return Self.maximum.height
        case Register.depth: return Self.maximum.depth
        default: return registers[register]
        }
    }

    public func write(_ bar: Int, _ offset: UInt64, _ value: UInt64, _ width: Int) {
        switch offset {
        case Part.ports ..< Part.ports + 0x20:
            for index in 0 ..< width where colours?.write(Int(offset - Part.ports) + index, UInt8(truncatingIfNeeded: value >> UInt64(index * 8))) == true { update() }
        case Part.interface ..< Part.interface + UInt64(Register.count * 2):
            guard width >= 2, offset & 1 == 0 else { return }
            for index in 0 ..< width / 2 { set(Int(offset - Part.interface) / 2 + index, UInt16(truncatingIfNeeded: value >> UInt64(index * 16))) }
        case Part.extensions + 4 where width == 4:
            if value == 0xbebe_bebe { isBigEndian = true }
            if value == 0x1e1e_1e1e { isBigEndian = false }
            update()
        default: break
        }
    }

    private func set(_ register: Int, _ value: UInt16) {
        switch register {
        case Register.identity: if (0xb0c0 ... Self.newest).contains(value) { registers[register] = value }
        case Register.width: registers[register] = min(value, Self.maximum.width) & ~7
        case Register.height: registers[register] = min(value, Self.maximum.height)
        case Register.depth: if [0, 8, 15, 16, 24, 32].contains(value) { registers[register] = value == 0 ? 8 : value }
        case Register.enable: setEnable(value)
        case Register.bank, Register.virtualWidth, Register.offsetX, Register.offsetY: registers[register] = value
        default: return
        }
        update()
    }

    private func setEnable(_ value: UInt16) {
        let starts = value & Enable.on != 0 && registers[Register.enable] & Enable.on == 0
        registers[Register.enable] = value
        colours?.isWide = value & Enable.wideColours != 0
        guard starts else { return }
        registers[Register.virtualWidth] = registers[Register.width]
        registers[Register.offsetX] = 0
        registers[Register.offsetY] = 0
        if value & Enable.keepsMemory == 0, let surface = surface() {
            let bytes = min(memory.size, UInt64(surface.stride) * UInt64(surface.height))
            memory.willWrite(0, bytes)
            memory.host.initializeMemory(as: UInt8.self, repeating: 0, count: Int(bytes))
            memory.willWrite(0, bytes)
        }
    }

    // MARK: the picture

    private func update() {
        let surface = surface()
        // How many lines fit into memory, for whoever wants to scroll.
        if let surface { registers[Register.virtualHeight] = UInt16(clamping: memory.size / UInt64(max(1, surface.stride))) }
        console.show(surface)
    }

    private func surface() -> Surface? {
        guard registers[Register.enable] & Enable.on != 0 else { return nil }
        let depth = UInt64(registers[Register.depth]), bytes = (depth + 7) / 8
        let pitch = max(UInt64(registers[Register.virtualWidth]), UInt64(registers[Register.width])) * bytes
        let offset = UInt64(registers[Register.offsetY]) * pitch + UInt64(registers[Register.offsetX]) * bytes
        guard let form = form(depth) else { return nil }
        return Surface(memory, offset: offset, width: UInt64(registers[Register.width]), height: UInt64(registers[Register.height]), stride: pitch, form, tellsChanges: false)
    }

    private func form(_ depth: UInt64) -> PixelForm? {
        switch depth {
        case 32: isBigEndian ? .bytes(red: 1, green: 2, blue: 3) : .standard
        case 24: .packed24
        case 16: .high(isWide: true)
        case 15: .high(isWide: false)
        case 8: .palette(colours?.palette ?? (0 ..< 256).map { $0 * 0x010101 })
        default: nil
        }
    }

    public func reset() {
        registers = [UInt16](repeating: 0, count: Register.count)
        registers[Register.identity] = Self.newest
        registers[Register.depth] = 8
        isBigEndian = false
        if colours != nil { colours = ColourRegisters() }
        update()
    }

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("vbe", &registers)
        try state.field("bigEndian", &isBigEndian)
        if colours != nil { try state.part("colours") { (part) throws(StateError) in try colours?.transfer(&part) } }
        var contents = state.isLoading ? [] : Self.used(memory)
        try state.field("vram", &contents, maximum: Int(memory.size))
        guard state.isLoading else { return }
        memory.willWrite(0, memory.size)
        memory.host.initializeMemory(as: UInt8.self, repeating: 0, count: Int(memory.size))
        contents.withUnsafeBytes { if let base = $0.baseAddress { memory.host.copyMemory(from: base, byteCount: $0.count) } }
        memory.willWrite(0, memory.size)
        colours?.isWide = registers[Register.enable] & Enable.wideColours != 0
        update()
    }

    /// The memory up to its last byte that is not zero.
    private static func used(_ memory: RAMBlock) -> [UInt8] {
        let words = UnsafeBufferPointer(start: UnsafePointer(memory.host.assumingMemoryBound(to: UInt64.self)), count: Int(memory.size / 8))
        let last = words.lastIndex { $0 != 0 }.map { ($0 + 1) * 8 } ?? 0
        return Array(UnsafeRawBufferPointer(start: memory.host, count: last))
    }
}
