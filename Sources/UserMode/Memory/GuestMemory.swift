import CHost
import Glibc
import Host
import Translation

/// The guest's address space: a part of the host process's own, at host address = guest address + `base`.
///
/// The host kernel does the mapping and the faulting; this class chooses addresses, keeps the guest away from Apus's
/// own memory, and remembers permissions: guest code is never executable on the host, so which pages the guest may
/// execute is known only here. Names and results follow the Linux system calls: addresses or 0, or a negated errno.
///
/// Safety: guest-chosen addresses become pointers only here. Everything that dereferences one goes through the guarded
/// accesses of CHost or a host system call, both of which report a fault instead of taking it.
public final class GuestMemory: CodeSource, Sendable {
    /// Added to guest addresses to make host addresses; a multiple of the page size.
    public let base: UInt64
    package let layout: AddressLayout
    let state: Locked<State>

    struct State: Sendable {
        var map = RegionMap()
        var engine: (any Engine)?
        /// The program break: where it began, and where it is.
        var breakStart: UInt64 = 0
        var breakEnd: UInt64 = 0
        /// System V segments: address and size.
        var attached: [UInt64: UInt64] = [:]
        var signalReturn: UInt64 = 0
    }

    package init(layout: AddressLayout, base: UInt64 = 0) {
        self.layout = layout
        self.base = base & ~(AddressLayout.page &- 1)
        state = Locked(State())
        if base == 0, AddressLayout.executableIsLow(limit: layout.limit) { noteForeignMappings() }
    }

    /// Whom to tell when code is unmapped or changed.
    package func setEngine(_ engine: any Engine) { state.withLock { $0.engine = engine } }

    /// Holds the map still while the process forks; `didFork` must follow in parent and child.
    package func willFork() { state.lock() }
    package func didFork() { state.unlock() }

    // MARK: addresses

    /// The host pointer of a guest address, unchecked: only for host system calls, which check it.
    public func host(_ address: UInt64) -> UnsafeMutableRawPointer {
        // Guest address 0 becomes a null pointer, as the kernel expects of an absent argument.
        unsafeBitCast(UnsafeMutableRawPointer(bitPattern: UInt(truncatingIfNeeded: address == 0 ? 0 : address &+ base)),
                      to: UnsafeMutableRawPointer.self)
    }

    /// Whether `count` bytes at `address` lie in the guest's part of the address space, mapped or not.
    public func contains(_ address: UInt64, _ count: UInt64) -> Bool {
        address < layout.limit && count <= layout.limit &- address
    }

    /// The guest address of a host address, or nil if it is not in the guest's part.
    public func guest(_ host: UInt64) -> UInt64? {
        let address = host &- base
        return address < layout.limit ? address : nil
    }

    // MARK: code

    public func readCode(at pc: UInt64, into buffer: UnsafeMutableRawPointer, count: Int) -> Int {
        guard count > 0, pc < layout.limit else { return 0 }
        let wanted = pc &+ min(UInt64(count), layout.limit &- pc)
        let end = state.withLock { state in
            var reached = pc
            var i = state.map.index(of: pc)
            while reached < wanted, i < state.map.regions.count {
                let region = state.map.regions[i]
                guard region.start <= reached, region.isExecutable else { break }
                if region.protection & PROT_WRITE != 0 { watch(&state, reached, min(region.end, wanted)) }
                reached = region.end
                i &+= 1
            }
            return min(reached, wanted)
        }
        guard end > pc else { return 0 }
        return apus_guarded_copy(buffer, host(pc), Int(end &- pc))
    }

    public func isWritable(_ pc: UInt64) -> Bool {
        state.withLock { state in
            guard let region = state.map.region(at: pc) else { return false }
            // Shared memory may be written through another mapping: how careful JIT compilers write their code.
            return region.protection & PROT_WRITE != 0 || region.shared
        }
    }

    /// Whether an instruction can be fetched at `pc`, as far as permissions go.
    package func isExecutable(_ pc: UInt64) -> Bool {
        state.withLock { $0.map.region(at: pc)?.isExecutable ?? false }
    }

    /// Whether anything is mapped at `address`: tells SEGV_ACCERR from SEGV_MAPERR.
    package func isMapped(_ address: UInt64) -> Bool {
        state.withLock { state in
            guard let region = state.map.region(at: address) else { return false }
            return region.kind != .foreign
        }
    }

    /// A copy of the map without Apus's own memory: for `/proc/self/maps`.
    package func regions() -> [Region] {
        state.withLock { $0.map.regions.filter { $0.kind != .foreign } }
    }

    /// The program break's first address and its present one.
    package var programBreak: (start: UInt64, end: UInt64) { state.withLock { ($0.breakStart, $0.breakEnd) } }

    // MARK: foreign memory

    /// Enters Apus's own mappings below the limit as unavailable. Needed only when the host's layout is unusual.
    func noteForeignMappings() {
        let own = HostMappings.below(layout.limit)
        state.withLock { state in
            for (start, end) in own {
                var at = start
                // Only what is not the guest's.
                while at < end {
                    let i = state.map.index(of: at)
                    let next = i < state.map.regions.count ? state.map.regions[i] : nil
                    if let next, next.start <= at { at = next.end; continue }
                    let stop = min(end, next?.start ?? end)
                    state.map.insert(Region(start: at, end: stop, protection: 0, kind: .foreign))
                    at = stop
                }
            }
        }
    }
}
