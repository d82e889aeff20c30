// virtio-gpu (Virtual I/O Device 1.3, section 5.7): pictures in two dimensions on up to 16 heads, with cursors and EDID.
// The commands themselves are in VirtioGPU+Commands.swift. Left out: blobs, contexts and what is drawn in three dimensions.

import Core
import Host

public final class VirtioGPU: VirtioFunction {
    public static let properties = [
        Property("max_outputs", .integer, "heads", default: "1"),
        Property("xres", .integer, "preferred width", default: "1280"),
        Property("yres", .integer, "preferred height", default: "800"),
        Property("edid", .flag, "the guest can read what monitors say of themselves", default: "on"),
        Property("max_hostmem", .size, "memory of the host for the guest's pictures", default: "256M"),
    ]

    private enum Feature { static let identification: UInt64 = 1 << 1 }
    static let maximumHeads = 16
    /// Pieces of guest memory that all pictures together may consist of.
    static let maximumPieces = 1 << 19
    static let maximumEntries = 16384
    static let maximumResources = 16384

    /// One head.
    struct Head {
        let console: Console
        /// What the guest is told to show.
        var width: UInt32
        var height: UInt32
        /// The picture it shows; 0: none.
        var resource: UInt32 = 0
        var area = PixelArea(x: 0, y: 0, width: 0, height: 0)
        /// The cursor's picture; 0: it is hidden.
        var cursor: UInt32 = 0
        var hot: (x: UInt32, y: UInt32) = (0, 0)
    }

    public let type = VirtioType.gpu
    public let features: UInt64
    public let queueSizes: [UInt16] = [256, 16]
    let memoryLimit: Int
    private let standardSize: (width: UInt32, height: UInt32)
    private(set) unowned var core: VirtioCore! // Set by `connect`, before anything else is called.
    var heads: [Head] = []
    var resources: [UInt32: GPUResource] = [:]
    /// Bytes and pieces of all resources.
    var memoryUsed = 0
    var piecesUsed: Int { resources.values.reduce(0) { $0 + $1.pieceCount } }
    private var events: UInt32 = 0
    var hasIdentification: Bool { features & Feature.identification != 0 }

    public init(_ properties: Properties, id: String, displays: DisplaySet) throws(ConfigurationError) {
        let owner = properties.owner
        func number(_ name: String, _ standard: UInt64, _ range: ClosedRange<UInt64>) throws(ConfigurationError) -> UInt64 {
            let value = properties.integer(name) ?? standard
            guard range.contains(value) else { throw ConfigurationError("\(owner): property '\(name)' is \(value), expected \(range.lowerBound) to \(range.upperBound)") }
            return value
        }
        let count = try number("max_outputs", 1, 1 ... UInt64(Self.maximumHeads))
        standardSize = (UInt32(try number("xres", 1280, 64 ... 4095)), UInt32(try number("yres", 800, 64 ... 4095)))
        memoryLimit = Int(clamping: min(properties.size("max_hostmem") ?? 256 << 20, 1 << 40))
        features = properties.flag("edid") ? Feature.identification : 0
        for head in 0 ..< Int(count) {
            heads.append(Head(console: displays.addConsole(device: id, head: head), width: standardSize.width, height: standardSize.height))
        }
    }

    deinit {
        for head in heads {
            head.console.onResize(nil)
            head.console.setCursor(nil)
            head.console.show(nil)
        }
    }

    public func connect(_ core: VirtioCore) {
        self.core = core
        for (index, head) in heads.enumerated() {
            let resize = core.host.request { [unowned self] (size: [Int]) in self.resize(index, size) }
            head.console.onResize { resize([$0, $1]) ?? false }
        }
    }

    /// A person wants another size.
    private func resize(_ head: Int, _ size: [Int]) -> Bool {
        guard heads.indices.contains(head), size.count == 2, (64 ... 4095).contains(size[0]), (64 ... 4095).contains(size[1]), core.isRunning else { return false }
        heads[head].width = UInt32(size[0])
        heads[head].height = UInt32(size[1])
        events |= 1
        core.configurationChanged()
        return true
    }

    public var configuration: [UInt8] {
        var fields = FieldWriter()
        fields.add(events)
        fields.add(UInt32(0))
        fields.add(UInt32(heads.count))
        fields.add(UInt32(0))
        return fields.bytes
    }

    /// `events_clear`.
    public func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        for (index, byte) in bytes.enumerated() where (4 ..< 8).contains(offset + index) { events &= ~(UInt32(byte) << UInt32((offset + index - 4) * 8)) }
    }

    public func start() { for queue in core.queues where queue.isEnabled { process(queue) } }

    public func process(_ queue: VirtQueue) {
        var isDone = false
        while let chain = queue.next() {
            let written = queue.index == 0 ? control(chain) : cursor(chain)
            queue.complete(chain, written: written)
            isDone = true
        }
        if isDone { queue.interrupt() }
    }

    // MARK: heads

    /// Shows what `head` is set to; a picture that has gone shows nothing.
    func show(_ head: Int) {
        guard heads.indices.contains(head) else { return }
        let surface = resources[heads[head].resource]?.surface(heads[head].area)
        heads[head].console.show(surface)
    }

    func showCursor(_ head: Int) {
        guard heads.indices.contains(head) else { return }
        guard let resource = resources[heads[head].cursor], resource.width <= 256, resource.height <= 256 else { return heads[head].console.setCursor(nil) }
        let hot = heads[head].hot
        heads[head].console.setCursor(CursorImage(width: resource.width, height: resource.height, hotX: min(Int(hot.x), resource.width - 1),
                                                  hotY: min(Int(hot.y), resource.height - 1), pixels: resource.colours()))
    }

    public func reset() {
        resources = [:]
        memoryUsed = 0
        events = 0
        for head in heads.indices {
            heads[head] = Head(console: heads[head].console, width: standardSize.width, height: standardSize.height)
            show(head)
            showCursor(head)
        }
    }

    // MARK: state

    public func transfer(_ state: inout StateTransfer) throws(StateError) {
        try state.field("events", &events)
        var numbers = resources.keys.sorted()
        try state.field("resources", &numbers, maximum: Self.maximumResources)
        if state.isLoading { (resources, memoryUsed) = ([:], 0) }
        for number in numbers { try state.part("resource\(number)") { (part) throws(StateError) in try transfer(number, &part) } }
        for head in heads.indices {
            let old = heads[head]
            var words = [old.width, old.height, old.resource, UInt32(old.area.x), UInt32(old.area.y), UInt32(old.area.width), UInt32(old.area.height), old.cursor, old.hot.x, old.hot.y]
            try state.field("head\(head)", &words)
            guard state.isLoading else { continue }
            heads[head].width = words[0]
            heads[head].height = words[1]
            heads[head].resource = words[2]
            heads[head].area = PixelArea(x: Int(words[3]), y: Int(words[4]), width: Int(words[5]), height: Int(words[6]))
            let fits = resources[words[2]].map { heads[head].area == heads[head].area.clipped(to: $0.width, $0.height) && !heads[head].area.isEmpty }
            if words[2] != 0, fits != true { throw .badValue("head\(head)") }
            heads[head].cursor = words[7]
            heads[head].hot = (words[8], words[9])
            show(head)
            showCursor(head)
        }
    }

    private func transfer(_ number: UInt32, _ state: inout StateTransfer) throws(StateError) {
        let old = resources[number]
        var shape = [old?.format ?? 0, UInt32(old?.width ?? 0), UInt32(old?.height ?? 0)]
        try state.field("shape", &shape)
        var entries = old?.entries ?? []
        try state.field("entries", &entries, maximum: Self.maximumEntries * 2)
        let cost = GPUResource.cost(width: shape[1], height: shape[2]) ?? 0
        var pixels = old.map { Array($0.memory.pixelBytes) } ?? []
        try state.field("pixels", &pixels, maximum: cost)
        guard state.isLoading else { return }
        guard number != 0, resources[number] == nil, memoryUsed + cost <= memoryLimit, pixels.count == cost,
              let new = GPUResource(format: shape[0], width: shape[1], height: shape[2]) else { throw .badValue("resource\(number)") }
        pixels.withUnsafeBytes { if let base = $0.baseAddress { new.memory.base.copyMemory(from: base, byteCount: min($0.count, new.memory.size)) } }
        if !entries.isEmpty { new.restore(entries, core.memory, limit: Self.maximumPieces - piecesUsed) }
        resources[number] = new
        memoryUsed += cost
    }
}
