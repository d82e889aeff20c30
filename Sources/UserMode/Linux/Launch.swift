import CHost
import Glibc
import Host

/// A program on its way from a path to a loaded image, in the order of execve(2): open, follow `#!` lines, identify,
/// check, map, build the stack.
struct Launch {
    private var file: ProgramFile?
    /// The path of what is loaded, as a guest path: AT_EXECFN.
    private var path: [UInt8]
    private var arguments: [[UInt8]]
    private let environment: [[UInt8]]

    init(program: [UInt8], arguments: [[UInt8]], options: UserOptions, paths: PathTranslation) throws(UserModeError) {
        path = program
        self.arguments = [options.argv0 ?? program] + arguments
        environment = options.environment
        if let descriptor = options.programDescriptor {
            let name = String(decoding: program, as: UTF8.self)
            do { file = try ProgramFile(descriptor: descriptor, name: name) } catch {
                throw UserModeError("\(name): \(error.text)", status: 126)
            }
        } else {
            file = try Launch.open(path, paths)
        }
    }

    /// The first 15 bytes of the last component, as the kernel names a process.
    var commandName: String {
        let name = path[((path.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
        return String(decoding: name.prefix(15), as: UTF8.self)
    }

    mutating func close() { file = nil }

    /// Opens a program by its host path, else by its guest path. Exit statuses as shells give them.
    private static func open(_ path: [UInt8], _ paths: PathTranslation) throws(UserModeError) -> ProgramFile {
        let name = String(decoding: path, as: UTF8.self)
        var failure = HostError(ENOENT)
        let translated = paths.host(path)
        for candidate in translated == path ? [path] : [path, translated] {
            do { return try ProgramFile(path: candidate, name: name) } catch {
                if failure.code == ENOENT { failure = error }
            }
        }
        throw UserModeError("\(name): \(failure.text)", status: failure.code == ENOENT || failure.code == ENOTDIR ? 127 : 126)
    }

    /// Replaces a script by its interpreter, at most four times, as Linux.
    mutating func resolveScripts(_ paths: PathTranslation) throws(UserModeError) {
        for _ in 0..<5 {
            guard let current = file, let script = Script(head: current.head) else { return }
            arguments = [script.interpreter] + (script.argument.map { [$0] } ?? []) + [path] + arguments.dropFirst()
            path = script.interpreter
            // The interpreter is a guest program: its guest path comes first.
            let translated = paths.host(path)
            do { file = try ProgramFile(path: translated) } catch {
                throw UserModeError("\(current.name): interpreter \(String(decoding: path, as: UTF8.self)): \(error.text)",
                                    status: error.code == ENOENT ? 127 : 126)
            }
        }
        throw UserModeError("\(String(decoding: path, as: UTF8.self)): \(HostError.text(ELOOP))", status: 126)
    }

    private func program() throws(UserModeError) -> ProgramFile {
        guard let file else { throw UserModeError(HostError.text(ENOEXEC)) }
        return file
    }

    /// The guest whose programs look like this file.
    func chooseGuest(_ guests: [UserGuest], only: String?) throws(UserModeError) -> UserGuest {
        let file = try program()
        let identity: ELFImage.Identity
        do { identity = try ELFImage.identify(file.head) } catch { throw Launch.refused(file, error) }
        let found = guests.first {
            $0.machine == identity.machine && $0.model.wordSize == identity.wordSize && $0.model.bigEndian == identity.bigEndian
                && (only == nil || $0.name == only)
        }
        guard let found else { throw Launch.refused(file, .wrongMachine(identity.machine)) }
        return found
    }

    private static func refused(_ file: ProgramFile, _ error: ELFError) -> UserModeError {
        UserModeError("\(file.name): \(error.text(HostError.text))")
    }

    private static func parse(_ file: ProgramFile, _ memory: GuestMemory, _ abi: any GuestABI) throws(UserModeError) -> ELFImage {
        do {
            let image = try ELFImage(header: file.head, fileSize: file.size, limit: memory.layout.limit, fetch: file.bytes)
            guard image.identity.machine == abi.elfMachine, image.identity.wordSize == abi.dataModel.wordSize,
                  image.identity.bigEndian == abi.dataModel.bigEndian else { throw ELFError.wrongMachine(image.identity.machine) }
            return image
        } catch let error as ELFError {
            throw refused(file, error)
        } catch {
            throw UserModeError(file.name)
        }
    }

    private static func place(_ image: ELFImage, _ file: ProgramFile, _ memory: GuestMemory,
                              preferred: UInt64) throws(UserModeError) -> ELFLoader.Placement {
        do { return try ELFLoader(memory: memory).load(image, from: file, preferred: preferred) } catch { throw refused(file, error) }
    }

    /// Maps program, interpreter, vDSO and stack.
    func load(into memory: GuestMemory, abi: any GuestABI, options: UserOptions, paths: PathTranslation) throws(UserModeError) -> ProgramImage {
        let file = try program()
        let image = try Launch.parse(file, memory, abi)
        // A static position-independent program goes where interpreters go, so that its break has room.
        let preferred = image.interpreter == nil ? 0 : memory.layout.programBase
        let main = try Launch.place(image, file, memory, preferred: preferred == 0 ? memory.layout.programBase : preferred)

        var start = main.entry
        var interpreterBase: UInt64 = 0
        if let name = image.interpreter {
            let text = String(decoding: name, as: UTF8.self)
            let interpreterFile: ProgramFile
            do { interpreterFile = try ProgramFile(path: paths.host(name), name: text) } catch {
                throw UserModeError("\(file.name): interpreter \(text): \(error.text)"
                    + (options.sysroot == nil ? " (name the guest's root with -L)" : ""), status: 127)
            }
            let interpreter = try Launch.parse(interpreterFile, memory, abi)
            guard interpreter.isPositionIndependent else { throw Launch.refused(interpreterFile, .interpreterIsNotPositionIndependent) }
            let placement = try Launch.place(interpreter, interpreterFile, memory, preferred: 0)
            start = placement.entry
            interpreterBase = placement.bias
        }
        let pageMask = AddressLayout.page &- 1
        memory.setBreak(start: (main.end &+ pageMask) & ~pageMask)

        let vdso = try mapVDSO(memory, abi)
        let stack = try mapStack(memory, options, executable: image.executableStack)
        let initial = InitialStack(
            model: abi.dataModel, top: stack.upperBound, arguments: arguments, environment: environment, executable: path,
            platform: abi.hardwareCapabilities.2, random: Launch.randomBytes(),
            fixed: auxiliary(abi, image, main, interpreterBase: interpreterBase, vdso: vdso))
        guard UInt64(initial.bytes.count) <= (stack.upperBound &- stack.lowerBound) / 4 * 3,
              memory.writeBytes(initial.pointer, initial.bytes) else {
            throw UserModeError("\(file.name): \(HostError.text(E2BIG))", status: 126)
        }
        return ProgramImage(executable: Launch.realPath(file), arguments: arguments, environment: environment, start: start,
                            stack: stack, initialStack: initial, vdso: vdso,
                            signalReturn: vdso.map { $0 &+ abi.vdsoSignalReturn } ?? 0, program: main.start..<main.end,
                            elfFlags: image.identity.flags)
    }

    private func auxiliary(_ abi: any GuestABI, _ image: ELFImage, _ main: ELFLoader.Placement, interpreterBase: UInt64,
                           vdso: UInt64?) -> [(key: UInt64, value: UInt64)] {
        let capabilities = abi.hardwareCapabilities
        var entries: [(key: UInt64, value: UInt64)] = []
        if let vdso { entries.append((AuxiliaryKey.systemInfoHeader, vdso)) }
        entries += [
            (AuxiliaryKey.hardwareCapabilities, capabilities.0), (AuxiliaryKey.pageSize, AddressLayout.page),
            (AuxiliaryKey.clockTicks, UInt64(truncatingIfNeeded: sysconf(Int32(_SC_CLK_TCK)))),
            (AuxiliaryKey.programHeaders, main.programHeaders),
            (AuxiliaryKey.programHeaderSize, UInt64(image.programHeaderSize)),
            (AuxiliaryKey.programHeaderCount, UInt64(image.programHeaderCount)),
            (AuxiliaryKey.base, interpreterBase), (AuxiliaryKey.flags, 0), (AuxiliaryKey.entry, main.entry),
            (AuxiliaryKey.uid, UInt64(getuid())), (AuxiliaryKey.euid, UInt64(geteuid())),
            (AuxiliaryKey.gid, UInt64(getgid())), (AuxiliaryKey.egid, UInt64(getegid())),
            (AuxiliaryKey.secure, UInt64(getauxval(UInt(AT_SECURE)))),
            (AuxiliaryKey.minimumSignalStack, abi.minimumSignalStack),
        ]
        if capabilities.1 != 0 { entries.append((AuxiliaryKey.hardwareCapabilities2, capabilities.1)) }
        return entries
    }

    private func mapVDSO(_ memory: GuestMemory, _ abi: any GuestABI) throws(UserModeError) -> UInt64? {
        guard let bytes = abi.vdso else { return nil }
        let address = memory.mapAnonymous(0, UInt64(bytes.count), PROT_READ | PROT_WRITE, kind: .vdso)
        guard address >= 0 else { throw UserModeError("vDSO: \(HostError.text(Int32(truncatingIfNeeded: -address)))") }
        let start = UInt64(bitPattern: address)
        guard memory.writeBytes(start, bytes), memory.mprotect(start, UInt64(bytes.count), PROT_READ | PROT_EXEC) == 0 else {
            throw UserModeError("vDSO: \(HostError.text(EFAULT))")
        }
        memory.setSignalReturn(start &+ abi.vdsoSignalReturn)
        return start
    }

    private func mapStack(_ memory: GuestMemory, _ options: UserOptions, executable: Bool) throws(UserModeError) -> Range<UInt64> {
        let page = AddressLayout.page
        let size = max(UInt64(max(options.stackSize ?? 0, 0)) &+ page &- 1, 32 &* page) & ~(page &- 1)
        let start = memory.layout.stackTop &- size
        let protection = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0)
        let result = size < memory.layout.stackTop ? memory.mapAnonymous(start, size, protection, kind: .stack) : -Int64(ENOMEM)
        guard result >= 0 else {
            throw UserModeError("stack of \(size) bytes: \(HostError.text(Int32(truncatingIfNeeded: -result)))")
        }
        return UInt64(bitPattern: result)..<UInt64(bitPattern: result) &+ size
    }

    private static func randomBytes() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 16)
        bytes.withUnsafeMutableBytes { _ = apus_syscall(Int(SYS_getrandom), Int(bitPattern: $0.baseAddress), 16, 0, 0, 0, 0) }
        return bytes
    }

    /// The file's path with all links resolved, as the host kernel knows it.
    private static func realPath(_ file: ProgramFile) -> [UInt8] {
        let known = linkTarget(file)
        // Without /proc, as in a bare chroot, the name has to do.
        guard known.isEmpty, let resolved = realpath(file.name, nil) else { return known }
        defer { free(resolved) }
        return Array(String(cString: resolved).utf8)
    }

    private static func linkTarget(_ file: ProgramFile) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            let length = buffer.withMemoryRebound(to: CChar.self) { chars in
                chars.baseAddress.map { readlink("/proc/self/fd/\(file.descriptor)", $0, 4096) } ?? -1
            }
            count = max(0, length)
        }
    }
}

extension GuestMemory {
    /// Private anonymous memory of a stated kind; `address` is a hint.
    func mapAnonymous(_ address: UInt64, _ length: UInt64, _ protection: Int32, kind: RegionKind) -> Int64 {
        map(address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | Int32(MAP_NORESERVE), -1, 0, kind: kind)
    }

    /// The guest address that signal handlers without a restorer return to; 0: none.
    package var signalReturn: UInt64 { state.withLock { $0.signalReturn } }
    package func setSignalReturn(_ address: UInt64) { state.withLock { $0.signalReturn = address } }
}
