import IR
import Translation

/// Byte shuffles that take segments apart and put them together, behind the other lane tables.
///
/// For a lane width and a number of fields there is one shuffle for each pair of a 16-byte piece of memory and a field:
/// where the piece holds lanes of the field it brings them to their place in the field's vector (or the reverse), all other
/// bytes become 0, so that the parts are joined by OR.
enum SegmentShuffle {
    /// In the order of `offset`.
    static var bytes: [UInt8] {
        var all: [UInt8] = []
        for isStore in [false, true] {
            for lane in 0 ..< 4 {
                for fields in 2 ... 4 {
                    for target in 0 ..< fields { for source in 0 ..< fields { all += shuffle(isStore, lane, fields, target, source) } }
                }
            }
        }
        return all
    }

    /// For loads target is a field and source a piece; for stores the reverse.
    private static func shuffle(_ isStore: Bool, _ lane: Int, _ fields: Int, _ target: Int, _ source: Int) -> [UInt8] {
        (0 ..< 16).map { byte in
            let width = 1 << lane
            if isStore {
                // Byte of memory in piece `target`: which element and field it is.
                let position = target * 16 + byte, element = position / (width * fields), field = position / width % fields
                return field == source ? UInt8(element * width + position % width) : 0x80
            }
            let position = (byte / width * fields + target) * width + byte % width
            return position / 16 == source ? UInt8(position % 16) : 0x80
        }
    }

    /// Bytes from the first shuffle to the one wanted.
    static func offset(isStore: Bool, lane: Int, fields: Int, target: Int, source: Int) -> Int {
        let perLane = 4 + 9 + 16, before = fields == 2 ? 0 : fields == 3 ? 4 : 13
        return (((isStore ? 4 : 0) + lane) * perLane + before + target * fields + source) * 16
    }
}

extension Lowering {
    /// Segments of two to four fields, sixteen bytes of each field at a time.
    mutating func emitLaneSegments(_ lanes: Lanes) {
        guard var base = lanes.scalar else { return }
        let form = lanes.form, fields = form.immediate, isStore = lanes.operation == .storeSegments
        if memoryBase != 0 {
            a.movImmediate(lanes.t1, memoryBase)
            a.alu(.add, .b64, lanes.t1, base)
            base = lanes.t1
        }
        let table = trampolines.laneTables &+ UInt64(LaneTable.allCases.count * 32)
        for position in stride(from: 0, to: form.groupBytes, by: 16) {
            for target in 0 ..< fields {
                for source in 0 ..< fields {
                    let register = source == 0 ? Lanes.r : Lanes.v
                    let memory = Mem.base(base, Int32(truncatingIfNeeded: (position * fields) + (isStore ? target : source) * 16))
                    let field = isStore ? source : target
                    let group = Self.mem(form.d + Int32(truncatingIfNeeded: field) * (form.y - form.d) + Int32(truncatingIfNeeded: position))
                    let offset = SegmentShuffle.offset(isStore: isStore, lane: form.laneShift, fields: fields, target: target, source: source)
                    a.vmovdqu(register, isStore ? group : memory)
                    a.avx(.vpshufb, register, register, .ripRelative(address: table &+ UInt64(offset)))
                    if source > 0 { a.avx(.vpor, Lanes.r, Lanes.r, Lanes.v) }
                    guard source == fields - 1 else { continue }
                    if isStore {
                        a.vmovdqu(memory, Lanes.r)
                    } else {
                        a.vmovdqu(group, Lanes.r)
                    }
                }
            }
        }
    }
}
