import IR
import Translation

/// Verifies tier 1's register allocation on one block, from the IR and the log of what the lowering read and moved.
///
/// It keeps its own account of which value each host register, spill slot and guest slot holds, consults nothing that
/// the allocator believes, and reports
/// - a read or a copy of a value from a place that holds another;
/// - a guest slot whose home does not hold the slot's value where the guest's state must be precise: at every
///   instruction, at every op that may fault or leave, and before every helper;
/// - a move between a jump to cold code and the place where that comes back.
///
/// It does not see what single instructions inside the lowering of one op do to registers; the differential tests do.
struct PlacementChecker {
    private let ops: UnsafeMutablePointer<Op>
    private let count: Int
    private let homeRegister: UnsafeMutablePointer<UInt8>
    /// What each place holds: the number of a value, or a negative number for what was there at first or is unknown.
    private var content: [Int32]
    /// What each value is: its own number, or that of the content of the slot that a `get` read.
    private var symbol: [Int32]
    /// What each guest slot must hold.
    private var expected: [Int32]
    private var touched: [Int] = []
    private var isTouched: [Bool]
    private var fresh: Int32 = -1_000_000
    private var isAway = false
    private(set) var faults: [String] = []

    init(_ ops: UnsafeMutablePointer<Op>, _ count: Int, homeRegister: UnsafeMutablePointer<UInt8>) {
        self.ops = ops
        self.count = count
        self.homeRegister = homeRegister
        content = (0 ..< Place.count).map { -1 - Int32($0) }
        symbol = (0 ..< count).map { Int32($0) }
        expected = []
        isTouched = [Bool](repeating: false, count: SlotMap.slots)
        for slot in 0 ..< SlotMap.slots { expected.append(content[Int(home(slot).number)]) }
    }

    private func home(_ slot: Int) -> Place {
        homeRegister[slot] != Placement.none ? .register(homeRegister[slot]) : .slot(slot)
    }

    mutating func run(_ log: PlacementLog, isLive: (Int) -> Bool) {
        var next = 0
        for index in 0 ..< count where isLive(index) {
            let op = ops[index]
            if needsPreciseState(op) { checkSlots(index) }
            if op.code == .get {
                let slot = SlotMap.slot(op.offset, op.type)
                if slot >= 0 {
                    touch(slot)
                    symbol[index] = expected[slot]
                }
            }
            while next < log.count, Int(log.base[next].index) <= index {
                let event = log.base[next]
                if Int(event.index) == index { apply(event) }
                next += 1
            }
            finish(op)
            if op.traits.endsTrace { break }
        }
    }

    private func needsPreciseState(_ op: Op) -> Bool {
        op.code == .instruction || op.code == .branch || op.code == .helper || op.traits.mayFault || op.traits.endsTrace
    }

    private mutating func touch(_ slot: Int) {
        guard !isTouched[slot] else { return }
        isTouched[slot] = true
        touched.append(slot)
    }

    /// What the op means to guest state.
    private mutating func finish(_ op: Op) {
        switch op.code {
        case .put:
            let slot = SlotMap.slot(op.offset, op.type)
            if slot >= 0 {
                touch(slot)
                expected[slot] = symbol[Int(op.a)]
            }
        case .storeConditional:
            let slot = SlotMap.slot(StateHeader.reservationAddress, .i64)
            touch(slot)
            change(slot)
        default: break
        }
    }

    /// Something but a `put` replaced the content of `slot`.
    private mutating func change(_ slot: Int) {
        fresh -= 1
        expected[slot] = fresh
        content[Int(home(slot).number)] = fresh
    }

    private mutating func apply(_ event: PlacementEvent) {
        let place = Int(event.place.number)
        switch event.kind {
        case .read: check(event, event.place)
        case .move:
            if isAway { faults.append("\(line(event)) is moved to \(event.place) where cold code does not come by") }
            check(event, event.source)
            content[place] = content[Int(event.source.number)]
        case .write: content[place] = symbol[Int(event.value)]
        case .clobber:
            fresh -= 1
            content[place] = fresh
        case .call:
            fresh -= 1
            let scratch = Placement.integerScratchMask | Placement.floatScratchMask
            for register in 0 ..< 64 where scratch >> UInt64(register) & 1 != 0 { content[register] = fresh }
            if ops[Int(event.index)].aux & HelperEffects.writesState.rawValue != 0 {
                for slot in 0 ..< SlotMap.slots { change(slot) }
            }
        case .leave: isAway = true
        case .rejoin: isAway = false
        }
    }

    private mutating func check(_ event: PlacementEvent, _ place: Place) {
        let found = content[Int(place.number)], wanted = symbol[Int(event.value)]
        if found != wanted { faults.append("\(line(event)) is not in \(place), which holds \(name(found))") }
    }

    private mutating func checkSlots(_ index: Int) {
        for slot in touched where content[Int(home(slot).number)] != expected[slot] {
            faults.append("before op \(index): the home of state [\(Placement.offset(ofSlot: slot))] holds "
                + "\(name(content[Int(home(slot).number)])), not \(name(expected[slot]))")
        }
    }

    private func line(_ event: PlacementEvent) -> String { "at op \(event.index): %\(event.value)" }
    private func name(_ symbol: Int32) -> String {
        symbol >= 0 ? "%\(symbol)" : symbol > -1_000_000 ? "what was there at first (\(symbol))" : "something else"
    }
}
