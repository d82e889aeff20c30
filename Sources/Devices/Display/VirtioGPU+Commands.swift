// Commands of virtio-gpu (sections 5.7.6.7 to 5.7.6.10). A command is read once; its answer goes to the chain's writable part.

import Core

extension VirtioGPU {
    private enum Command {
        static let displayInfo: UInt32 = 0x100, create: UInt32 = 0x101, remove: UInt32 = 0x102, setScanout: UInt32 = 0x103, flush: UInt32 = 0x104
        static let transfer: UInt32 = 0x105, attach: UInt32 = 0x106, detach: UInt32 = 0x107, identification: UInt32 = 0x10a
        static let updateCursor: UInt32 = 0x300, moveCursor: UInt32 = 0x301
    }
    private enum Answer {
        static let ok: UInt32 = 0x1100, displayInfo: UInt32 = 0x1101, identification: UInt32 = 0x1104
        static let unspecified: UInt32 = 0x1200, noMemory: UInt32 = 0x1201, badScanout: UInt32 = 0x1202, badResource: UInt32 = 0x1203, badParameter: UInt32 = 0x1205
    }
    private static let headerBytes = 24
    private static let fence: UInt32 = 1

    /// A command's bytes behind the header, as words.
    private struct Words {
        let bytes: [UInt8]
        subscript(index: Int) -> UInt32 { bytes.number(index * 4) }
        func long(_ index: Int) -> UInt64 { bytes.number(index * 4) }
        var area: PixelArea { PixelArea(x: Int(self[0]), y: Int(self[1]), width: Int(self[2]), height: Int(self[3])) }
    }

    /// Does a command of the control queue. - Returns: bytes of the answer.
    func control(_ chain: VirtChain) -> Int {
        let header = chain.readable.bytes(0, Self.headerBytes)
        guard header.count == Self.headerBytes else { return 0 }
        let words = Words(bytes: chain.readable.bytes(Self.headerBytes, 32))
        let (answer, body): (UInt32, [UInt8]) = switch header.number(0, as: UInt32.self) {
        case Command.displayInfo: (Answer.displayInfo, displayInfo())
        case Command.create: (create(words), [])
        case Command.remove: (remove(words[0]), [])
        case Command.setScanout: (setScanout(words), [])
        case Command.flush: (flush(words), [])
        case Command.transfer: (transferToHost(words), [])
        case Command.attach: (attach(words, chain), [])
        case Command.detach: (detach(words[0]), [])
        case Command.identification: identification(words[0])
        default: (Answer.unspecified, [])
        }
        var fields = FieldWriter()
        fields.add(answer)
        let flags = header.number(4, as: UInt32.self) & Self.fence
        fields.add(flags)
        // Who set a fence is told which one, and of which context.
        fields.add(flags != 0 ? Array(header[8 ..< 20]) : [UInt8](repeating: 0, count: 12))
        fields.add(UInt32(0))
        fields.add(body)
        return chain.writable.fill(0, bytes: fields.bytes)
    }

    private func displayInfo() -> [UInt8] {
        var fields = FieldWriter()
        for index in 0 ..< Self.maximumHeads {
            let head = heads.indices.contains(index) ? heads[index] : nil
            for word in [0, 0, head?.width ?? 0, head?.height ?? 0, head == nil ? 0 : 1, 0] as [UInt32] { fields.add(word) }
        }
        return fields.bytes
    }

    private func identification(_ head: UInt32) -> (UInt32, [UInt8]) {
        guard hasIdentification else { return (Answer.unspecified, []) }
        guard heads.indices.contains(Int(head)) else { return (Answer.badParameter, []) }
        let block = EDID.block(width: Int(heads[Int(head)].width), height: Int(heads[Int(head)].height), serial: head + 1)
        var fields = FieldWriter()
        fields.add(UInt32(block.count))
        fields.add(UInt32(0))
        fields.add(block)
        fields.pad(to: 8 + 1024)
        return (Answer.identification, fields.bytes)
    }

    // MARK: resources

    private func create(_ words: Words) -> UInt32 {
        let number = words[0]
        guard number != 0, resources[number] == nil else { return Answer.badResource }
        guard GPUResource.form(words[1]) != nil, let cost = GPUResource.cost(width: words[2], height: words[3]) else { return Answer.badParameter }
        guard resources.count < Self.maximumResources, cost <= memoryLimit - memoryUsed,
              let resource = GPUResource(format: words[1], width: words[2], height: words[3]) else { return Answer.noMemory }
        resources[number] = resource
        memoryUsed += cost
        return Answer.ok
    }

    private func remove(_ number: UInt32) -> UInt32 {
        guard let resource = resources.removeValue(forKey: number) else { return Answer.badResource }
        memoryUsed -= resource.memory.size
        for head in heads.indices where heads[head].resource == number {
            heads[head].resource = 0
            show(head)
        }
        // A cursor stays as it was shown; its picture is not needed any more.
        return Answer.ok
    }

    private func attach(_ words: Words, _ chain: VirtChain) -> UInt32 {
        guard let resource = resources[words[0]] else { return Answer.badResource }
        let count = Int(words[1])
        guard resource.entries == nil, count > 0, count <= Self.maximumEntries else { return Answer.unspecified }
        let bytes = chain.readable.bytes(Self.headerBytes + 8, count * 16)
        guard bytes.count == count * 16 else { return Answer.unspecified }
        let entries = (0 ..< count).flatMap { [bytes.number($0 * 16, as: UInt64.self), UInt64(bytes.number($0 * 16 + 8, as: UInt32.self))] }
        return resource.attach(entries, core.memory, limit: Self.maximumPieces - piecesUsed) ? Answer.ok : Answer.unspecified
    }

    private func detach(_ number: UInt32) -> UInt32 {
        guard let resource = resources[number] else { return Answer.badResource }
        guard resource.entries != nil else { return Answer.unspecified }
        resource.detach()
        return Answer.ok
    }

    private func transferToHost(_ words: Words) -> UInt32 {
        guard let resource = resources[words[6]] else { return Answer.badResource }
        guard resource.entries != nil else { return Answer.unspecified }
        guard isInside(words.area, resource) else { return Answer.badParameter }
        resource.update(words.area, from: words.long(4))
        return Answer.ok
    }

    private func isInside(_ area: PixelArea, _ resource: GPUResource) -> Bool {
        area.x <= resource.width && area.y <= resource.height && area.width <= resource.width - area.x && area.height <= resource.height - area.y
    }

    // MARK: heads

    private func setScanout(_ words: Words) -> UInt32 {
        let number = words[5], area = words.area
        guard let head = Int(exactly: words[4]), heads.indices.contains(head) else { return Answer.badScanout }
        if number == 0 {
            heads[head].resource = 0
            show(head)
            return Answer.ok
        }
        guard let resource = resources[number] else { return Answer.badResource }
        guard !area.isEmpty, isInside(area, resource) else { return Answer.badParameter }
        heads[head].resource = number
        heads[head].area = area
        show(head)
        return Answer.ok
    }

    private func flush(_ words: Words) -> UInt32 {
        let number = words[4], area = words.area
        guard let resource = resources[number] else { return Answer.badResource }
        guard isInside(area, resource) else { return Answer.badParameter }
        for head in heads where head.resource == number {
            let moved = PixelArea(x: area.x - head.area.x, y: area.y - head.area.y, width: area.width, height: area.height).clipped(to: head.area.width, head.area.height)
            if !moved.isEmpty { head.console.touch(moved) }
        }
        return Answer.ok
    }

    // MARK: cursors

    /// Does a command of the cursor queue, which has no answer.
    func cursor(_ chain: VirtChain) -> Int {
        let kind = chain.readable.load(0, as: UInt32.self)
        let words = Words(bytes: chain.readable.bytes(Self.headerBytes, 32))
        guard kind == Command.updateCursor, let head = Int(exactly: words[0]), heads.indices.contains(head) else { return 0 }
        heads[head].cursor = words[4]
        heads[head].hot = (words[5], words[6])
        showCursor(head)
        return 0
    }
}
