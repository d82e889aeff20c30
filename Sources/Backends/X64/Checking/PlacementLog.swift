/// Where a value can be in host code: a register, a spill slot, or the memory of a guest slot.
struct Place: BitwiseCopyable, Equatable, CustomStringConvertible {
    let number: UInt16

    static func register(_ number: UInt8) -> Place { Place(number: UInt16(number & 63)) }
    static func spill(_ number: Int16) -> Place { Place(number: 64 &+ UInt16(truncatingIfNeeded: number & 63)) }
    static func slot(_ number: Int) -> Place { Place(number: 128 &+ UInt16(truncatingIfNeeded: number & 1023)) }
    static let count = 128 + 1024

    var description: String {
        switch number {
        case 0 ..< 16: "integer register \(number)"
        case 16 ..< 64: "vector register \(number - 16)"
        case 64 ..< 128: "spill slot \(number - 64)"
        default: "state [\(Placement.offset(ofSlot: Int(number) - 128))]"
        }
    }
}

/// One thing that the register allocator did or relied on, at op `index`.
struct PlacementEvent: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        /// The code reads `value` from `place`.
        case read
        /// The code copies `value` from `source` to `place`.
        case move
        /// The code puts `value`, a constant or the op's result, into `place`.
        case write
        /// The code may put anything into `place`.
        case clobber
        /// The code calls out of the block: all scratch registers are lost.
        case call
        /// From here a jump leads to cold code; that comes back at the next `rejoin`. What is moved between them would
        /// not have been moved on the cold path.
        case leave, rejoin
    }

    var kind: Kind
    var index: Int32
    var value: Int32
    var place: Place
    var source: Place
}

/// The log of one block, kept only where a checker wants it.
typealias PlacementLog = RawList<PlacementEvent>

extension Lowering {
    @inline(__always)
    func record(_ kind: PlacementEvent.Kind, _ value: Int = -1, _ place: @autoclosure () -> Place = .register(0),
                from source: @autoclosure () -> Place = .register(0)) {
        guard let placementLog else { return }
        placementLog.pointee.append(PlacementEvent(kind: kind, index: Int32(truncatingIfNeeded: index),
                                                   value: Int32(truncatingIfNeeded: value), place: place(), source: source()))
    }
}
