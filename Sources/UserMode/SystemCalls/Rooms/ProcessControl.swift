import CHost
import Glibc

/// `prctl(2)`: the options that mean something to a guest. Those that would change how the host runs Apus's own code
/// (seccomp, speculation, time stamp counter traps) answer EINVAL, as on a kernel without them.
enum ProcessControl {
    static let calls: [SystemCallDescription] = [
        SystemCallDescription("prctl", [.flags(.processControl), .hex, .hex, .hex, .hex], run),
        .refused("arch_prctl", EINVAL, [.int, .pointer], because: "its options are of x86"),
    ]

    private static func run(_ call: SystemCall) -> SystemCallResult {
        let option = call.int(0)
        func perform(_ value: Int) -> SystemCallResult {
            .value(call.host(SYS_prctl, Int(option), value, Int(call.long(2)), Int(call.long(3)), Int(call.long(4))))
        }
        switch option {
        // PDEATHSIG set, DUMPABLE, KEEPCAPS, TIMING, SECUREBITS, TIMERSLACK, MCE_KILL, CHILD_SUBREAPER set,
        // NO_NEW_PRIVS, THP_DISABLE, CAPBSET, CAP_AMBIENT, IO_FLUSHER, perf events
        case 1, 3, 4, 7, 8, 13, 14, 23, 24, 27, 28, 29, 30, 31, 32, 33, 34, 36, 38, 39, 41, 42, 47, 57, 58:
            return perform(Int(call.long(1)))
        case 2, 37: return call.withOutput(.cInt, call[1]) { perform($0) }  // GET_PDEATHSIG, GET_CHILD_SUBREAPER
        case 15, 16: return perform(call.pointer(at: 1))  // SET_NAME, GET_NAME
        case 40:  // GET_TID_ADDRESS
            return .error(EINVAL)
        case 0x53564d41:  // SET_VMA (names of anonymous memory)
            return .value(call.host(SYS_prctl, Int(option), Int(call.long(1)), call.pointer(at: 2), Int(call.long(3)), call.pointer(at: 4)))
        // Those of one architecture; none has UNALIGN, FPEMU, FPEXC, ENDIAN, SECCOMP, TSC, SET_MM, speculation controls.
        default:
            return .value(call.process.abi.processControl(option, [call[1], call[2], call[3], call[4]], call.thread.vcpu, memory: call.memory) ?? -Int64(EINVAL))
        }
    }
}

package extension FlagSet {
    static let processControl = FlagSet.enumeration {
        ["PR_SET_PDEATHSIG": 1, "PR_GET_PDEATHSIG": 2, "PR_GET_DUMPABLE": 3, "PR_SET_DUMPABLE": 4, "PR_GET_KEEPCAPS": 7,
         "PR_SET_KEEPCAPS": 8, "PR_SET_NAME": 15, "PR_GET_NAME": 16, "PR_GET_SECCOMP": 21, "PR_SET_SECCOMP": 22,
         "PR_CAPBSET_READ": 23, "PR_CAPBSET_DROP": 24, "PR_GET_SECUREBITS": 27, "PR_SET_SECUREBITS": 28,
         "PR_SET_TIMERSLACK": 29, "PR_GET_TIMERSLACK": 30, "PR_SET_MM": 35, "PR_SET_CHILD_SUBREAPER": 36,
         "PR_GET_CHILD_SUBREAPER": 37, "PR_SET_NO_NEW_PRIVS": 38, "PR_GET_NO_NEW_PRIVS": 39, "PR_SET_THP_DISABLE": 41,
         "PR_GET_THP_DISABLE": 42, "PR_CAP_AMBIENT": 47, "PR_RISCV_V_SET_CONTROL": 69,
         "PR_RISCV_V_GET_CONTROL": 70, "PR_RISCV_SET_ICACHE_FLUSH_CTX": 71, "PR_GET_SHADOW_STACK_STATUS": 74,
         "PR_SET_SHADOW_STACK_STATUS": 75, "PR_LOCK_SHADOW_STACK_STATUS": 76, "PR_GET_CFI": 80, "PR_SET_CFI": 81, "PR_SET_VMA": 0x53564d41]
    }
}
