// INQUIRY with its pages of vital product data (SPC-4 6.6 and 7.8, SBC-3 6.6), and mode pages (SPC-4 6.13, 7.5; SBC-3 6.5;
// MMC-5 appendix). One mode bit can be set: WCE, the write cache.

import Core

extension SCSIDisk {
    private var type: UInt8 { isOptical ? 5 : 0 }

    func inquiry(_ request: SCSIRequest) -> SCSIReply {
        let allocation = request.field(3, 2)
        if request.byte(1) & 1 != 0 {
            guard let page = page(request.byte(2)) else { return .check(.invalidField) }
            return answer(request, [type, request.byte(2)] + big(UInt16(page.count)) + page, allocation: allocation)
        }
        guard request.byte(2) == 0 else { return .check(.invalidField) }
        // Version SPC-3, response format 2, tagged commands.
        let head: [UInt8] = [type, isRemovable ? 0x80 : 0, 5, 0x12, 31, 0, 0, 2]
        return answer(request, head + padded(vendor, 8) + padded(product, 16) + padded(revision, 4), allocation: allocation)
    }

    private func page(_ number: UInt8) -> [UInt8]? {
        switch number {
        case 0: return [0] + (serial.isEmpty ? [] : [0x80]) + [0x83] + (isOptical ? [] : [0xb0, 0xb1, 0xb2])
        case 0x80: return serial.isEmpty ? nil : Array(serial.utf8)
        case 0x83:
            // The unit's name in ASCII, vendor-specific; NAA for a world wide name.
            let text = Array(identifier.utf8.prefix(251))
            return [2, 0, 0, UInt8(text.count)] + text + (name == 0 ? [] : [1, 3, 0, 8] + big(name))
        case 0xb0 where !isOptical:
            let transfer = UInt32(Self.maximumBytes / blockSize)
            return [0, 0] + big(UInt16(clamping: smallest)) + big(transfer) + big(UInt32(clamping: best)) + big(UInt32(0)) + big(UInt32(Self.maximumSame))
                + big(UInt32(Self.maximumRanges)) + big(UInt32(1)) + big(UInt32(0)) + big(Self.maximumSame) + [UInt8](repeating: 0, count: 20)
        case 0xb1 where !isOptical: return big(rotationRate) + [UInt8](repeating: 0, count: 58)
        // UNMAP, WRITE SAME (16) and (10) with UNMAP; thin.
        case 0xb2 where !isOptical: return [0, 0xe0, 2, 0]
        default: return nil
        }
    }

    // MARK: modes

    private enum Control { static let current: UInt8 = 0, changeable: UInt8 = 1, saved: UInt8 = 3 }

    private func modePage(_ number: UInt8, _ control: UInt8) -> [UInt8]? {
        let isMask = control == Control.changeable
        func page(_ values: [UInt8], _ mask: [UInt8]? = nil) -> [UInt8] {
            [number, UInt8(values.count)] + (isMask ? mask ?? [UInt8](repeating: 0, count: values.count) : values)
        }
        switch number {
        case 1: return page([0x80, 3] + [UInt8](repeating: 0, count: isOptical ? 4 : 8))
        case 8 where !isOptical:
            let zeros = [UInt8](repeating: 0, count: 17)
            return page([disk.isWriteCacheEnabled ? 4 : 0] + zeros, [4] + zeros)
        case 0x0a: return page([2, 0x10] + [UInt8](repeating: 0, count: 8))
        case 0x2a where isOptical:
            // Reads CD-R, CD-RW and DVD-ROM; a tray that locks and ejects; 706 kB/s.
            return page([0x3b, 0, 0x71, 0x60, 0x29, 0] + big(UInt16(706)) + [0, 2] + big(UInt16(512)) + big(UInt16(706)) + [0, 0, 0, 0])
        default: return nil
        }
    }

    func modeSense(_ request: SCSIRequest) -> SCSIReply {
        let isLong = request.byte(0) == 0x5a, number = request.byte(2) & 0x3f, control = request.byte(2) >> 6
        guard control != Control.saved else { return .check(SCSISense(5, 0x39)) }
        guard request.byte(3) == 0 || request.byte(3) == 0xff && number == 0x3f else { return .check(.invalidField) }
        let pages: [UInt8]
        if number == 0x3f {
            pages = [1, 8, 0x0a, 0x2a].compactMap { modePage($0, control) }.flatMap(\.self)
        } else {
            guard let page = modePage(number, control) else { return .check(.invalidField) }
            pages = page
        }
        let specific: UInt8 = isOptical ? 0 : (disk.isReadOnly ? 0x80 : 0) | (mayForce ? 0x10 : 0)
        let hasBlocks = !isOptical && request.byte(1) & 8 == 0
        let descriptor = hasBlocks ? big(UInt32(min(blocks, 0xff_ffff))) + big(UInt32(blockSize)) : []
        let size = descriptor.count + pages.count
        let head: [UInt8] = isLong ? big(UInt16(size + 6)) + [0, specific, 0, 0] + big(UInt16(descriptor.count))
            : [UInt8(min(255, size + 3)), 0, specific, UInt8(descriptor.count)]
        return answer(request, head + descriptor + pages, allocation: isLong ? request.field(7, 2) : request.field(4, 1))
    }

    func modeSelect(_ request: SCSIRequest) -> SCSIReply {
        let isLong = request.byte(0) == 0x55, length = Int(isLong ? request.field(7, 2) : request.field(4, 1))
        guard length > 0 else { return .good() }
        let list = request.output.bytes(0, length), head = isLong ? 8 : 4
        guard request.byte(1) & 0x11 == 0x10, list.count >= head else { return .check(list.count >= head ? .invalidField : SCSISense(5, 0x1a)) }
        var at = head + (isLong ? Int(list[6]) << 8 | Int(list[7]) : Int(list[3]))
        var isCached: Bool?
        while at < list.count {
            guard at + 2 <= list.count, at + 2 + Int(list[at + 1]) <= list.count else { return .check(SCSISense(5, 0x1a)) }
            let number = list[at] & 0x3f, size = Int(list[at + 1]) + 2, given = Array(list[at ..< at + size])
            guard let now = modePage(number, Control.current), let mask = modePage(number, Control.changeable), now.count == size else { return .check(.invalidParameter) }
            for index in 2 ..< size where (given[index] ^ now[index]) & ~mask[index] != 0 { return .check(.invalidParameter) }
            if number == 8 { isCached = given[2] & 4 != 0 }
            at += size
        }
        if let isCached {
            // What was promised to a cache has to be on the disk before there is none.
            if !isCached, !disk.flush().isDone { return .check(.writeError) }
            disk.isWriteCacheEnabled = isCached
        }
        return .good(list.count)
    }
}
