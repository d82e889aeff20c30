import CHost
import Glibc
import Host
import Translation

// mmap(2), munmap(2), mprotect(2) and mremap(2) as Linux defines them, over the host's own. Apus's memory behaves like
// memory of another process: addresses beyond the limit do not exist.
//
// Flags and protections are the asm-generic numbers, which are also the host's; an ABI with others converts first.
extension GuestMemory {
    static var page: UInt64 { AddressLayout.page }
    /// Flags passed on to the host: without placement, which is decided here, and without x86's own (0x40, 0x80).
    static let passedFlags: Int32 = ~(MAP_FIXED | Int32(MAP_FIXED_NOREPLACE) | 0x40 | 0x80 | 0x100)
    static let hugePage: UInt64 = 2 << 20

    /// The length in whole pages, or nil if that overflows.
    static func wholePages(_ length: UInt64) -> UInt64? {
        let (sum, overflow) = length.addingReportingOverflow(page &- 1)
        return overflow ? nil : sum & ~(page &- 1)
    }

    /// The host never executes guest pages; it reads those that the guest may execute.
    static func hostProtection(_ protection: Int32) -> Int32 {
        let readWrite = protection & (PROT_READ | PROT_WRITE)
        return protection & PROT_EXEC != 0 ? readWrite | PROT_READ : readWrite
    }

    static func isPageAligned(_ value: UInt64) -> Bool { value & (page &- 1) == 0 }

    // MARK: mmap

    public func mmap(_ address: UInt64, _ length: UInt64, _ protection: Int32, _ flags: Int32, _ fd: Int32,
                     _ offset: Int64) -> Int64 {
        map(address, length, protection, flags, fd, offset, kind: flags & MAP_ANONYMOUS != 0 ? .anonymous : .file)
    }

    /// As `mmap`, saying what the mapping is for.
    func map(_ address: UInt64, _ length: UInt64, _ protection: Int32, _ flags: Int32, _ fd: Int32, _ offset: Int64,
             kind: RegionKind) -> Int64 {
        guard length != 0 else { return -Int64(EINVAL) }
        guard let size = Self.wholePages(length), size <= layout.limit else { return -Int64(ENOMEM) }
        guard offset & Int64(Self.page &- 1) == 0 else { return -Int64(EINVAL) }
        let noReplace = flags & Int32(MAP_FIXED_NOREPLACE) != 0
        let fixed = noReplace || flags & MAP_FIXED != 0
        if fixed {
            guard Self.isPageAligned(address) else { return -Int64(EINVAL) }
            guard contains(address, size) else { return -Int64(ENOMEM) }
        }
        let alignment = flags & MAP_ANONYMOUS != 0 && size & (Self.hugePage &- 1) == 0 ? Self.hugePage : Self.page
        let region = Region(start: 0, end: 0, protection: protection & 7, kind: kind, shared: flags & 3 != MAP_PRIVATE)

        var lostCode: (any Engine)?
        let result: Int64 = withForeignRetry {
            state.withLock { state in
                let target: UInt64
                if fixed {
                    let end = address &+ size
                    if noReplace, !state.map.isFree(address, end) { return -Int64(EEXIST) }
                    if state.map.contains(address, end, where: { $0.kind == .foreign }) { return -Int64(ENOMEM) }
                    target = address
                } else {
                    guard let chosen = choose(state, hint: address, size: size, alignment: alignment) else {
                        return -Int64(ENOMEM)
                    }
                    target = chosen
                }
                let replaces = fixed && !noReplace
                guard (replaces && !state.map.isFree(target, target &+ size))
                    || fitsLimits(state, adding: size, isData: Self.isData(region)) else { return -Int64(ENOMEM) }
                let host = apus_syscall(
                    Int(SYS_mmap), Int(truncatingIfNeeded: target &+ base), Int(truncatingIfNeeded: size),
                    Int(Self.hostProtection(protection)),
                    Int(flags & Self.passedFlags | (replaces ? MAP_FIXED : Int32(MAP_FIXED_NOREPLACE))), Int(fd), Int(offset))
                if host < 0 && host > -4096 { return Int64(host) }
                if replaces, state.map.contains(target, target &+ size, where: \.isExecutable) { lostCode = state.engine }
                var placed = region
                placed.start = target
                placed.end = target &+ size
                state.map.insert(placed)
                return Int64(bitPattern: target)
            }
        }
        if let lostCode, result >= 0 { lostCode.invalidate(UInt64(bitPattern: result)..<UInt64(bitPattern: result) &+ size) }
        return result
    }

    /// Where the kernel would put a mapping: at its hint if that is free, else as high as possible below the stack,
    /// else anywhere.
    func choose(_ state: borrowing State, hint: UInt64, size: UInt64, alignment: UInt64) -> UInt64? {
        if hint != 0 {
            let (sum, overflow) = hint.addingReportingOverflow(Self.page &- 1)
            let start = overflow ? 0 : max(sum & ~(Self.page &- 1), AddressLayout.lowest)
            if start != 0, contains(start, size), state.map.isFree(start, start &+ size) { return start }
        }
        if alignment != Self.page,
           let start = state.map.highestGap(size, alignment: alignment, low: AddressLayout.lowest, high: layout.mapTop) {
            return start
        }
        return state.map.highestGap(size, alignment: Self.page, low: AddressLayout.lowest, high: layout.mapTop)
            ?? state.map.highestGap(size, alignment: Self.page, low: AddressLayout.lowest, high: layout.limit)
    }

    /// Runs `body` again if the host has something of its own where the map showed a hole.
    private func withForeignRetry(_ body: () -> Int64) -> Int64 {
        let first = body()
        guard first == -Int64(EEXIST) else { return first }
        let before = state.withLock { $0.map.regions.count }
        noteForeignMappings()
        return state.withLock { $0.map.regions.count } == before ? first : body()
    }

    // MARK: munmap

    public func munmap(_ address: UInt64, _ length: UInt64) -> Int64 {
        guard Self.isPageAligned(address), length != 0, let size = Self.wholePages(length), contains(address, size) else {
            return -Int64(EINVAL)
        }
        var lostCode: (any Engine)?
        let result: Int64 = state.withLock { state in
            let end = address &+ size
            if state.map.contains(address, end, where: { $0.kind == .foreign }) {
                // As if those pages were not there: unmap around them.
                for piece in state.map.pieces(address, end) where piece.kind != .foreign {
                    let result = unmap(&state, piece.start, piece.end, &lostCode)
                    if result < 0 { return result }
                }
                return 0
            }
            return unmap(&state, address, end, &lostCode)
        }
        lostCode?.invalidate(address..<address &+ size)
        return result
    }

    private func unmap(_ state: inout State, _ start: UInt64, _ end: UInt64, _ lostCode: inout (any Engine)?) -> Int64 {
        let host = apus_syscall(Int(SYS_munmap), Int(truncatingIfNeeded: start &+ base), Int(truncatingIfNeeded: end &- start),
                                0, 0, 0, 0)
        guard host == 0 else { return Int64(host) }
        if state.map.contains(start, end, where: \.isExecutable) { lostCode = state.engine }
        state.map.remove(start, end)
        return 0
    }

    // MARK: mprotect

    public func mprotect(_ address: UInt64, _ length: UInt64, _ protection: Int32) -> Int64 {
        let growsDown: Int32 = 0x0100_0000, growsUp: Int32 = 0x0200_0000
        guard Self.isPageAligned(address), protection & ~(7 | 8 | growsDown | growsUp) == 0 else { return -Int64(EINVAL) }
        guard length != 0 else { return 0 }
        guard let size = Self.wholePages(length), contains(address, size) else { return -Int64(ENOMEM) }
        var lostCode: (any Engine)?
        var changed = address..<address &+ size
        let result: Int64 = state.withLock { state in
            var start = address
            if protection & growsDown != 0 {
                guard let stack = state.map.region(at: address), stack.kind == .stack else { return -Int64(EINVAL) }
                start = stack.start
            } else if protection & growsUp != 0 {
                return -Int64(EINVAL)
            }
            let end = address &+ size
            var mapped = state.map.mappedEnd(from: start, to: end)
            if let foreign = state.map.pieces(start, end).first(where: { $0.kind == .foreign }) {
                mapped = min(mapped, foreign.start)
            }
            guard mapped > start else { return -Int64(ENOMEM) }
            if state.map.contains(start, mapped, where: { $0.kind == .shadowStack }) { return -Int64(EINVAL) }
            let host = apus_syscall(Int(SYS_mprotect), Int(truncatingIfNeeded: start &+ base),
                                    Int(truncatingIfNeeded: mapped &- start), Int(Self.hostProtection(protection)), 0, 0, 0)
            guard host == 0 else { return Int64(host) }
            if state.map.contains(start, mapped, where: \.isExecutable) { lostCode = state.engine }
            state.map.protect(start, mapped, protection & 7)
            changed = start..<mapped
            return mapped == end ? 0 : -Int64(ENOMEM)
        }
        lostCode?.invalidate(changed)
        return result
    }

    // MARK: mremap

    public func mremap(_ address: UInt64, _ oldLength: UInt64, _ newLength: UInt64, _ flags: Int32,
                       _ newAddress: UInt64) -> Int64 {
        let mayMove: Int32 = 1, fixed: Int32 = 2, dontUnmap: Int32 = 4
        guard flags & ~7 == 0, Self.isPageAligned(address) else { return -Int64(EINVAL) }
        if flags & fixed != 0, flags & mayMove == 0 { return -Int64(EINVAL) }
        if flags & dontUnmap != 0, flags & mayMove == 0 || oldLength != newLength { return -Int64(EINVAL) }
        guard newLength != 0, let newSize = Self.wholePages(newLength), let oldSize = Self.wholePages(oldLength),
              newSize <= layout.limit else { return -Int64(EINVAL) }
        guard contains(address, max(oldSize, Self.page)) else { return -Int64(EFAULT) }
        if flags & fixed != 0 {
            guard Self.isPageAligned(newAddress), contains(newAddress, newSize) else { return -Int64(EINVAL) }
            guard newAddress >= address &+ oldSize || newAddress &+ newSize <= address else { return -Int64(EINVAL) }
        }
        var lostCode: (any Engine)?
        let result: Int64 = state.withLock { state in
            let end = address &+ oldSize
            guard let first = state.map.region(at: address), first.kind != .foreign else { return -Int64(EFAULT) }
            if state.map.contains(address, max(end, address &+ 1), where: \.isExecutable) {
                lostCode = state.engine
                // Pages take their host permissions with them.
                openWatched(&state, address..<max(end, address &+ 1))
            }
            guard newSize <= oldSize || fitsLimits(state, adding: newSize &- oldSize, isData: Self.isData(first)) else {
                return -Int64(ENOMEM)
            }
            let inPlace = flags & (fixed | dontUnmap) == 0 && oldSize != 0
                && (newSize <= oldSize || (contains(address, newSize) && state.map.isFree(end, address &+ newSize)))
            if inPlace {
                let host = apus_syscall(Int(SYS_mremap), Int(truncatingIfNeeded: address &+ base), Int(truncatingIfNeeded: oldSize),
                                        Int(truncatingIfNeeded: newSize), 0, 0, 0)
                if host >= 0 || host <= -4096 {
                    if newSize < oldSize {
                        state.map.remove(address &+ newSize, end)
                    } else if newSize > oldSize {
                        var grown = state.map.region(at: end &- 1) ?? first
                        grown.start = end
                        grown.end = address &+ newSize
                        state.map.insert(grown)
                    }
                    return Int64(bitPattern: address)
                }
                // The host has something there that the guest cannot see: move instead.
                guard host == -Int(ENOMEM), flags & mayMove != 0 else { return Int64(host) }
            }
            guard flags & mayMove != 0 else { return -Int64(ENOMEM) }
            var target = newAddress
            if flags & fixed == 0 {
                guard let chosen = choose(state, hint: flags & dontUnmap != 0 ? newAddress : 0, size: newSize, alignment: Self.page)
                else { return -Int64(ENOMEM) }
                target = chosen
            } else if state.map.contains(target, target &+ newSize, where: { $0.kind == .foreign }) {
                return -Int64(ENOMEM)
            } else if state.map.contains(target, target &+ newSize, where: \.isExecutable) {
                lostCode = state.engine
            }
            let host = apus_syscall(Int(SYS_mremap), Int(truncatingIfNeeded: address &+ base), Int(truncatingIfNeeded: oldSize),
                                    Int(truncatingIfNeeded: newSize), Int(flags | mayMove | fixed),
                                    Int(truncatingIfNeeded: target &+ base), 0)
            if host < 0 && host > -4096 { return Int64(host) }
            move(&state, from: address, oldSize, to: target, newSize, keep: flags & dontUnmap != 0 || oldSize == 0, first)
            return Int64(bitPattern: target)
        }
        if let lostCode {
            lostCode.invalidate(address..<address &+ max(oldSize, Self.page))
            if result >= 0 { lostCode.invalidate(UInt64(bitPattern: result)..<UInt64(bitPattern: result) &+ newSize) }
        }
        return result
    }

    /// Enters a move in the map: the pieces keep their permissions, a longer tail takes the last one's.
    private func move(_ state: inout State, from address: UInt64, _ oldSize: UInt64, to target: UInt64, _ newSize: UInt64,
                      keep: Bool, _ first: Region) {
        var pieces = state.map.pieces(address, address &+ min(oldSize, newSize))
        for i in pieces.indices {
            pieces[i].start = pieces[i].start &- address &+ target
            pieces[i].end = pieces[i].end &- address &+ target
        }
        var tail = pieces.last ?? first
        if pieces.isEmpty { tail.end = target }
        if tail.end < target &+ newSize {
            tail.start = tail.end
            tail.end = target &+ newSize
            pieces.append(tail)
        }
        if !keep { state.map.remove(address, address &+ oldSize) }
        state.map.replace(target, target &+ newSize, with: pieces)
    }
}
