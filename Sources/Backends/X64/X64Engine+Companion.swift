import CHost
import Glibc
import Host
import Translation

extension X64Engine {
    /// What the engine keeps for a vCPU beside its state block.
    final class Companion {
        let shadowTop: UnsafeMutableRawPointer
        /// One jump cache for each translation context that the vCPU has been in.
        var caches: [(context: UInt64, cache: UnsafeMutableRawPointer)] = []
        /// In machines, a shadow stack for each context, so that no return leads to code of another one: its top, and how far
        /// it was filled when the context was left.
        var stacks: [(context: UInt64, top: UnsafeMutableRawPointer, pointer: UInt64)] = []
        /// Which of them is in use.
        var current = -1
        let stepper: (any SingleStepper)?

        init?(_ stepper: (any SingleStepper)? = nil) {
            guard let top = ShadowStack.allocate() else { return nil }
            shadowTop = top
            self.stepper = stepper
        }

        deinit {
            ShadowStack.deallocate(shadowTop)
            for entry in stacks { ShadowStack.deallocate(entry.top) }
            for entry in caches { HostMemory.unmap(entry.cache, JumpCache.bytes) }
        }

        /// Goes on with the shadow stack of the vCPU's context.
        func switchStack(_ vcpu: VCPU) {
            let context = vcpu.context
            if current >= 0 {
                if stacks[current].context == context { return }
                stacks[current].pointer = vcpu[UInt64.self, BackendState.shadowStack]
            }
            current = stacks.firstIndex { $0.context == context } ?? -1
            if current < 0, let top = ShadowStack.allocate() {
                current = stacks.count
                stacks.append((context, top, UInt64(UInt(bitPattern: top))))
            }
            // Without memory for another one, the first serves, empty.
            let top = current >= 0 ? stacks[current].top : shadowTop
            vcpu[UInt64.self, BackendState.shadowTop] = UInt64(UInt(bitPattern: top))
            vcpu[UInt64.self, BackendState.shadowStack] = current >= 0 ? stacks[current].pointer : UInt64(UInt(bitPattern: top))
        }

        /// Called by other threads too, like `forgetKeys`.
        func forgetKey(_ pc: UInt64, _ context: UInt64) {
            for entry in caches where entry.context == context {
                let words = (entry.cache + Int(truncatingIfNeeded: pc & UInt64(JumpCache.mask)) &* 8).assumingMemoryBound(to: UInt64.self)
                if words[0] == pc { words[0] = 1 }
            }
        }

        func cache(for context: UInt64, _ lock: UnsafeMutablePointer<pthread_mutex_t>) -> UnsafeMutableRawPointer? {
            for entry in caches where entry.context == context { return entry.cache }
            // Others look through the list inside the lock.
            pthread_mutex_lock(lock)
            defer { pthread_mutex_unlock(lock) }
            guard let cache = HostMemory.map(JumpCache.bytes, PROT_READ | PROT_WRITE) else { return nil }
            Self.clear(cache)
            caches.append((context, cache))
            return cache
        }

        func clearAll() {
            for entry in caches {
                madvise(entry.cache, JumpCache.bytes, MADV_DONTNEED)
                Self.clear(entry.cache)
            }
        }

        /// Called by other threads too, while the vCPU may be between comparing a key and using its address: only keys
        /// change.
        func forgetKeys() {
            for entry in caches {
                let words = entry.cache.assumingMemoryBound(to: UInt64.self)
                for index in 0 ..< JumpCache.entries { words[index &* 2] = 1 }
            }
        }

        /// Zeroed entries match only address 0: its entry gets an address that no jump has.
        private static func clear(_ cache: UnsafeMutableRawPointer) { cache.storeBytes(of: 1, as: UInt64.self) }
    }
}
