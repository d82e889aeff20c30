import CHost
import Glibc
import Host
import Translation

/// Running a Linux program of another instruction set: from a path to its first instruction.
public enum UserMode {
    /// Runs `program` until it ends; returns only if it cannot be started.
    /// - Parameters:
    ///   - arguments: what follows argv[0].
    ///   - only: the name of the one guest wanted (`apus-riscv64`), or nil for whatever the program is.
    public static func run(_ options: UserOptions, program: [UInt8], arguments: [[UInt8]], guests: [UserGuest],
                           engines: [UserEngine], stepper: MakeStepper, only: String? = nil) throws(UserModeError) -> Never {
        var options = options
        VirtualLimits.inherit(from: &options.environment, heeded: !KernelLaunch.isSecure)
        let paths = PathTranslation(root: options.sysroot)
        var launch = try Launch(program: program, arguments: arguments, options: options, paths: paths)
        try launch.resolveScripts(paths)
        let guest = try launch.chooseGuest(guests, only: only)
        let abi = try guest.makeABI(options.cpu)
        apus_reserve_heap(4 << 20)
        if options.stackSize == nil { options.stackSize = VirtualLimits.stackSize(wordSize: guest.model.wordSize) }
        let memory = GuestMemory(layout: try addressLayout(options, guest.model), base: options.guestBase ?? 0)
        let image = try launch.load(into: memory, abi: abi, options: options, paths: paths)
        let debugging = options.debugger != nil || options.inheritedSession != nil ? DebuggerTools() : nil
        let tools = ProgramTools(options, memory)
        // Breakpoints first: what is behind one does not run.
        let hooks: [any TranslationHook] = (debugging.map { [$0.breakpoints, $0.watches] } ?? []) + (tools?.hooks ?? [])
        let engine = try makeEngine(options, hooks.isEmpty ? abi.guest : InstrumentedGuest(abi.guest, hooks: hooks), memory, engines)
        memory.setEngine(engine)
        logPages(options, memory)

        let threads = ThreadTable()
        let debugger = debugging.map { tools in
            GuestDebugger(abi: abi, memory: memory, engine: engine,
                          stepper: stepper(InstrumentedGuest(abi.guest, hooks: [tools.watches]), memory),
                          tools: tools, table: threads, paths: paths, image: image)
        }
        let process = Process(options: options, abi: abi, engine: engine, memory: memory, signals: SignalTable(seesFatal: debugger != nil || options.strace || tools != nil),
                              threads: threads, paths: paths, image: image, debugger: debugger, tools: tools)
        let vcpu = engine.makeVCPU()
        vcpu[UInt64.self, StateHeader.memoryBase] = memory.base
        abi.start(vcpu, entry: image.start, stack: image.stackPointer)
        setProcessName(launch.commandName)
        KernelRecord.publish(image, memory)
        // The program's file is closed: the guest owns all descriptors.
        launch.close()
        let thread = GuestThread.main(process: process, vcpu: vcpu)
        if let debugger { try debugger.begin(options, thread) }
        RunLoop.run(thread)
        exit(0)
    }

    /// Makes what a debugger steps with.
    public typealias MakeStepper = @Sendable (any Guest, any CodeSource) -> any SingleStepper

    private static func setProcessName(_ name: String) {
        _ = name.withCString { apus_syscall(Int(SYS_prctl), 15 /* PR_SET_NAME */, Int(bitPattern: $0), 0, 0, 0, 0) }
    }

    private static func addressLayout(_ options: UserOptions, _ model: DataModel) throws(UserModeError) -> AddressLayout {
        var random: UInt64 = 0
        // As setarch -R asks for.
        let noRandom = 0x0040000
        if apus_syscall(Int(SYS_personality), 0xffff_ffff, 0, 0, 0, 0, 0) & noRandom == 0 {
            withUnsafeMutableBytes(of: &random) {
                _ = apus_syscall(Int(SYS_getrandom), Int(bitPattern: $0.baseAddress), 8, 1 /* GRND_NONBLOCK */, 0, 0, 0)
            }
        }
        let limit = AddressLayout.hostLimit(), base = options.guestBase ?? 0
        guard base < limit / 2 else { throw UserModeError("-B: the host's own memory is there") }
        return AddressLayout(wordSize: model.wordSize, hostLimit: limit &- base,
                             reserved: options.reservedVirtualMemory, stackSize: UInt64(max(options.stackSize ?? 0, 0)), random: random)
    }

    private static func makeEngine(_ options: UserOptions, _ guest: any Guest, _ memory: GuestMemory,
                                   _ engines: [UserEngine]) throws(UserModeError) -> any Engine {
        var engineOptions = options.engineOptions
        engineOptions.memoryBase = memory.base
        if let name = options.engine {
            guard let row = engines.first(where: { $0.name == name }) else {
                throw UserModeError("unknown engine '\(name)' (known: \(engines.map(\.name).joined(separator: ", ")))")
            }
            return try row.make(guest, memory, engineOptions)
        }
        var reason = UserModeError("no engine runs on this host")
        for row in engines {
            do { return try row.make(guest, memory, engineOptions) } catch { reason = error }
        }
        throw reason
    }

    /// `-d page`: the address space at the start.
    private static func logPages(_ options: UserOptions, _ memory: GuestMemory) {
        guard let log = options.engineOptions.log, log.items.contains(.page) else { return }
        func hex(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: max(0, 16 &- digits.count)) + digits
        }
        var text = "start            end              size             prot\n"
        for region in memory.regions() {
            let p = region.protection
            text += "\(hex(region.start))-\(hex(region.end)) \(hex(region.end &- region.start)) "
                + (p & PROT_READ != 0 ? "r" : "-") + (p & PROT_WRITE != 0 ? "w" : "-") + (p & PROT_EXEC != 0 ? "x\n" : "-\n")
        }
        log.write(text + "start_brk   0x\(hex(memory.programBreak.start))\n")
    }
}
