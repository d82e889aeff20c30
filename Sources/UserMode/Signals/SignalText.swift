// Signals as `-strace` shows them, in the form of strace(1): `--- SIGSEGV {si_signo=SIGSEGV, …} ---`.

import Glibc

enum SignalText {
    private static let names = [
        "0", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV",
        "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN",
        "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
    ]

    static func name(_ signal: Int) -> String {
        names.indices.contains(signal) ? names[signal] : signal <= 64 && signal >= 32 ? "SIGRT_\(signal - 32)" : String(signal)
    }

    /// Codes that mean the same for all signals.
    private static let codes: [Int32: String] = [
        0: "SI_USER", 0x80: "SI_KERNEL", -1: "SI_QUEUE", -2: "SI_TIMER", -3: "SI_MESGQ", -4: "SI_ASYNCIO", -5: "SI_SIGIO", -6: "SI_TKILL",
    ]
    private static let codesOfSignal: [Int32: [String]] = [
        SIGILL: ["ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC", "ILL_PRVREG", "ILL_COPROC", "ILL_BADSTK"],
        SIGFPE: ["FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV", "FPE_FLTSUB"],
        SIGSEGV: ["SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR", "SEGV_ACCADI", "SEGV_ADIDERR",
            "SEGV_ADIPERR", "SEGV_MTEAERR", "SEGV_MTESERR", "SEGV_CPERR"],
        SIGBUS: ["BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR"],
        SIGTRAP: ["TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT"],
        SIGCHLD: ["CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"],
    ]

    static func text(_ signal: Int, _ info: SignalInformation) -> String {
        let number = Int32(truncatingIfNeeded: signal), code = info.code
        let ofSignal = codesOfSignal[number] ?? []
        let codeName = codes[code] ?? (code >= 1 && Int(code) <= ofSignal.count ? ofSignal[Int(code) - 1] : String(code))
        var text = "--- \(name(signal)) {si_signo=\(name(signal)), si_code=\(codeName)"
        func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
        switch number {
        case _ where code == -2: text += ", si_timerid=\(info.int(16)), si_overrun=\(info.int(20))"
        case _ where code <= 0 && code != -5:
            text += ", si_pid=\(info.int(16)), si_uid=\(UInt32(bitPattern: info.int(20)))"
            if code == -1 { text += ", si_value=\(hex(info.word(24)))" }
        case SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP: if code != 0x80 { text += ", si_addr=\(hex(info.word(16)))" }
        case SIGCHLD:
            let status = info.int(24)
            text += ", si_pid=\(info.int(16)), si_uid=\(UInt32(bitPattern: info.int(20))), si_status="
                + (code == 1 ? String(status) : name(Int(status)))
        case SIGIO: text += ", si_band=\(info.word(16)), si_fd=\(info.int(24))"
        default: break
        }
        return text + "} ---\n"
    }
}
