// What CD-ROM drives have beside disks (MMC-5 chapter 6): one session with one data track.

import Core

extension SCSIDisk {
    /// READ TOC/PMA/ATIP, formats 0 (tracks) and 1 (sessions).
    func tableOfContents(_ request: SCSIRequest) -> SCSIReply {
        let isTime = request.byte(1) & 2 != 0, format = request.byte(2) & 15, first = request.byte(6)
        func place(_ block: UInt64) -> [UInt8] {
            guard isTime else { return big(UInt32(clamping: block)) }
            let frames = block + 150
            return [0, UInt8(clamping: frames / 75 / 60), UInt8(frames / 75 % 60), UInt8(frames % 75)]
        }
        var body: [UInt8] = [1, 1]
        switch format {
        case 0:
            guard first <= 1 || first == 0xaa else { return .check(.invalidField) }
            if first <= 1 { body += [0, 0x14, 1, 0] + place(0) }
            body += [0, 0x16, 0xaa, 0] + place(blocks)
        case 1: body += [0, 0x14, 1, 0] + place(0)
        default: return .check(.invalidField)
        }
        return answer(request, big(UInt16(body.count)) + body, allocation: request.field(7, 2))
    }

    /// GET CONFIGURATION: the profiles CD-ROM and DVD-ROM, of which the larger medium is the current one.
    func configuration(_ request: SCSIRequest) -> SCSIReply {
        let isEmpty = !hasMedium, isDVD = blocks > 1_433_600 / 4
        let current: UInt16 = isEmpty ? 0 : isDVD ? 0x10 : 0x08
        let features: [(UInt16, [UInt8])] = [
            (0x0000, [3, 8] + big(UInt16(0x10)) + [current == 0x10 ? 1 : 0, 0] + big(UInt16(0x08)) + [current == 0x08 ? 1 : 0, 0]),
            (0x0001, [0x0b, 8] + big(UInt32(isOptical ? 2 : 1)) + [1, 0, 0, 0]),
            (0x0003, [3, 4, 0x29, 0, 0, 0]),
        ]
        let kind = request.byte(1) & 3, start = UInt16(truncatingIfNeeded: request.field(2, 2))
        let shown = features.filter { kind == 2 ? $0.0 == start : $0.0 >= start && (kind == 0 || $0.1[0] & 1 != 0) }
        let body = shown.flatMap { big($0.0) + $0.1 }
        return answer(request, big(UInt32(body.count + 4)) + [0, 0] + big(current) + body, allocation: request.field(7, 2))
    }

    func discInformation(_ request: SCSIRequest) -> SCSIReply {
        guard request.byte(1) & 7 == 0 else { return .check(.invalidField) }
        // Complete and finished, one session, one track.
        let body: [UInt8] = [0, 32, 0x0e, 1, 1, 1, 1, 0x20] + [UInt8](repeating: 0, count: 26)
        return answer(request, body, allocation: request.field(7, 2))
    }
}
