// `--trace-calls`: a line for each call of a guest function, indented by depth. Returns are not shown, they end the
// indentation. A call is what the guest's instruction set marks as one; a jump to another function's beginning is not.

import CHost
import Glibc
import Host
import IR
import Translation

final class CallTrace: TranslationHook {
    private struct State: @unchecked Sendable {
        var symbols: ProgramSymbols?
        var write: @Sendable (String) -> Void = { _ in }
        /// By the state pointer of the vCPU: the stack pointers are not known here, so calls without return count on.
        var depths: [UInt: Int] = [:]
    }

    /// Deepest indentation.
    private static let deepest = 60
    private static let state = Locked(State())
    private static let called = HelperTable.register { vcpu, target, site, _ in
        CallTrace.note(vcpu, target, site)
        return 0
    }
    private static let returned = HelperTable.register { vcpu, _, _, _ in
        CallTrace.state.withLock { state in
            let key = UInt(bitPattern: vcpu)
            state.depths[key] = max((state.depths[key] ?? 0) &- 1, 0)
        }
        return 0
    }

    init(memory: GuestMemory, write: @escaping @Sendable (String) -> Void) {
        _ = (Self.called, Self.returned)
        Self.state.withLock { state in
            state.symbols = ProgramSymbols(memory)
            state.write = write
        }
    }

    private static func note(_ vcpu: UnsafeMutableRawPointer, _ target: UInt64, _ site: UInt64) {
        state.withLock { state in
            guard let symbols = state.symbols else { return }
            let key = UInt(bitPattern: vcpu), depth = state.depths[key] ?? 0
            state.depths[key] = depth &+ 1
            let indent = String(repeating: "  ", count: min(depth, deepest))
            state.write("\(directCall(SYS_gettid)) \(indent)\(symbols.name(at: target))  from \(symbols.name(at: site, offset: true))\n")
        }
    }

    func didTranslate(_ site: InstructionSite, _ instruction: TranslatedInstruction) -> Bool {
        guard let ending = instruction.ending else { return false }
        let builder = site.builder
        switch ending.code {
        case .call:
            _ = builder.helper(Self.called, [.readsState, .writesState], builder.constant(ending.imm), builder.constant(site.pc))
        case .callIndirect:
            _ = builder.helper(Self.called, [.readsState, .writesState], Value(builder.arena, ending.a, .i64), builder.constant(site.pc))
        case .ret:
            _ = builder.helper(Self.returned, [.readsState, .writesState])
        default: break
        }
        return false
    }

    static func willFork() { state.lock() }
    static func didFork() { state.unlock() }
}
