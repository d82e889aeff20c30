// execve: what a path names, and the host call that runs it.
//
// A program of this guest is run by Apus itself anew, a script by its interpreter (fs/binfmt_script.c), everything else
// is left to the host kernel. All that can be refused is refused before the image is lost, with the kernel's errno.
// Where Apus was itself started by the kernel for a guest program (binfmt_misc), the kernel starts the next one too: so
// set-user-ID bits count if its entry says so. Otherwise they do not: the host kernel sees only Apus.
// A vfork child only prepares the call: it is made when its frames are gone (VforkEnding).
// Left out: ETXTBSY.

import CHost
import Glibc
import Host

struct ExecutionRequest {
    /// What a relative path is relative to: a descriptor or AT_FDCWD.
    var directory: Int32
    var path: [CChar]
    var arguments: [[CChar]]
    var environment: [[CChar]]
    var flags: Int32

    /// AT_EMPTY_PATH
    static let emptyPath: Int32 = 0x1000
}

/// The vectors that an exec passes to the kernel: raw memory, so that a vfork child, which does not come back to
/// release anything, can leave it to its parent.
final class ExecutionBuffers: @unchecked Sendable {
    private var blocks: (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) = (nil, nil)
    private var path: UnsafeMutablePointer<CChar>?

    /// What `execve` takes.
    var pointers: (path: UnsafeMutablePointer<CChar>?, line: UnsafeMutableRawPointer?, variables: UnsafeMutableRawPointer?) {
        (path, blocks.0, blocks.1)
    }

    func keep(path text: [CChar]) { path = strdup(text) }

    /// A null-terminated vector of `strings`, valid until `free`.
    func vector(_ strings: [[CChar]], second: Bool) -> UnsafeMutableRawPointer {
        let pointers = (strings.count + 1) * MemoryLayout<UnsafeMutableRawPointer?>.stride
        let total = strings.reduce(pointers) { $0 + $1.count }
        let block = UnsafeMutableRawPointer.allocate(byteCount: total, alignment: 16)
        var next = block + pointers
        for (index, string) in strings.enumerated() {
            block.storeBytes(of: next, toByteOffset: index * 8, as: UnsafeMutableRawPointer?.self)
            string.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress { next.copyMemory(from: base, byteCount: bytes.count) }
            }
            next += string.count
        }
        block.storeBytes(of: nil, toByteOffset: strings.count * 8, as: UnsafeMutableRawPointer?.self)
        if second { blocks.1 = block } else { blocks.0 = block }
        return block
    }

    func free() {
        blocks.0?.deallocate()
        blocks.1?.deallocate()
        Glibc.free(path)
        blocks = (nil, nil)
        path = nil
    }
}

struct Execution {
    /// Most bytes of one string, and of all (the kernel's MAX_ARG_STRLEN, and three quarters of its default stack).
    static let stringLimit = 131_072, totalLimit = 6 << 20
    private static let scriptDepth = 5

    private let thread: GuestThread
    private let process: Process
    private let request: ExecutionRequest

    init(_ call: SystemCall, _ request: ExecutionRequest) {
        thread = call.thread
        process = call.process
        self.request = request
    }

    /// Runs the program; returns only if that fails, or in a vfork child that is to run it.
    func run() -> SystemCallResult {
        do {
            var arguments = request.arguments
            // As Linux since 5.18: argc is never 0.
            if arguments.isEmpty { arguments = [[0]] }
            var name = request.path
            var host = try hostPath(request.path)
            for depth in 0 ... Self.scriptDepth {
                let file: ProgramFile
                switch try open(host) {
                case .unreadable: return execute(host, arguments, request.environment)
                case .file(let opened): file = opened
                }
                if let script = Script(head: file.head) {
                    if depth == Self.scriptDepth { break }
                    let interpreter = script.interpreter.map { CChar(bitPattern: $0) } + [0]
                    var line = [interpreter]
                    if let argument = script.argument { line.append(argument.map { CChar(bitPattern: $0) } + [0]) }
                    arguments = line + [name] + arguments.dropFirst()
                    name = interpreter
                    host = translated(interpreter)
                    continue
                }
                guard isGuestProgram(file) else { return execute(host, arguments, request.environment) }
                try check(file)
                // Started by the kernel, as we were, it gets what only the kernel can give: rights by set-ID bits.
                if process.options.isStartedByKernel, process.debugger?.inheritance() == nil, !thread.isRefusedByKernel {
                    let result = execute(host, arguments, request.environment)
                    // The entry may be gone by now.
                    guard case .value(let failure) = result, failure == -Int64(ENOEXEC) else { return result }
                }
                return executeGuest(host, arguments)
            }
            return .error(ELOOP)
        } catch {
            return .error(error.code)
        }
    }

    // MARK: What the path names

    /// The host's name of the program, without following it.
    private func hostPath(_ path: [CChar]) throws(Errno) -> [CChar] {
        if path.count <= 1 {
            guard request.flags & ExecutionRequest.emptyPath != 0 else { throw Errno(ENOENT) }
            return try descriptorPath(request.directory)
        }
        if path[0] == 47 { return translated(path) }
        if request.directory == AT_FDCWD { return path }
        return try descriptorPath(request.directory).dropLast() + [47] + path
    }

    /// The host path of a guest path, both with their NUL.
    private func translated(_ path: [CChar]) -> [CChar] {
        let bytes = path.dropLast().map { UInt8(bitPattern: $0) }
        if Self.ownExecutable.contains(bytes) || bytes == Array("/proc/\(getpid())/exe".utf8) {
            return process.image.executable.map { CChar(bitPattern: $0) } + [0]
        }
        return process.paths.host(bytes).map { CChar(bitPattern: $0) } + [0]
    }
    private static let ownExecutable = ["/proc/self/exe", "/proc/thread-self/exe"].map { Array($0.utf8) }

    /// The path of an open file. One that has none any more is passed on as an inherited descriptor.
    private func descriptorPath(_ descriptor: Int32) throws(Errno) -> [CChar] {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Errno(errno) }
        let link = Array("/proc/self/fd/\(descriptor)".utf8CString)
        var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink(link, &target, Int(PATH_MAX))
        var named = stat()
        if length > 0, stat(target, &named) == 0, named.st_ino == status.st_ino, named.st_dev == status.st_dev {
            return Array(target[..<length]) + [0]
        }
        let copy = fcntl(descriptor, F_DUPFD, 100)
        guard copy >= 0 else { throw Errno(errno) }
        return Array("/proc/self/fd/\(copy)".utf8CString)
    }

    private enum Opened {
        case file(ProgramFile)
        /// May be executed, but not read: only the host kernel can tell what it is.
        case unreadable
    }

    private func open(_ path: [CChar]) throws(Errno) -> Opened {
        if request.flags & AT_SYMLINK_NOFOLLOW != 0 {
            var status = stat()
            if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK { throw Errno(ELOOP) }
        }
        let access = directCall(SYS_faccessat2, AT_FDCWD, path.withUnsafeBufferPointer { $0.baseAddress }, X_OK, AT_EACCESS)
        if access < 0 { throw Errno(Int32(truncatingIfNeeded: -access)) }
        do {
            return .file(try ProgramFile(path: path.dropLast().map { UInt8(bitPattern: $0) }))
        } catch {
            var status = stat()
            if error.code == EACCES, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG { return .unreadable }
            throw Errno(error.code)
        }
    }

    private func isGuestProgram(_ file: ProgramFile) -> Bool {
        guard let identity = try? ELFImage.identify(file.head) else { return false }
        let abi = process.abi
        return identity.machine == abi.elfMachine && identity.wordSize == abi.dataModel.wordSize
            && identity.bigEndian == abi.dataModel.bigEndian
    }

    /// Refuses what the new Apus would refuse: malformed headers, a missing interpreter.
    private func check(_ file: ProgramFile) throws(Errno) {
        let image: ELFImage
        do {
            image = try ELFImage(header: file.head, fileSize: file.size, limit: 1 << 47) { file.bytes($0, $1) }
        } catch {
            throw Errno(ENOEXEC)
        }
        guard let name = image.interpreter else { return }
        let interpreter = translated(name.map { CChar(bitPattern: $0) } + [0])
        if access(interpreter, X_OK) != 0 { throw Errno(errno) }
    }

    // MARK: Host calls

    /// Runs Apus on the guest program at host path `program`.
    private func executeGuest(_ program: [CChar], _ arguments: [[CChar]]) -> SystemCallResult {
        var line = ["apus", "exec"] + process.options.passedOn
        // A debugger's session goes on in the new program.
        let session = process.debugger?.inheritance()
        if let session {
            line += ["--debugger", session.text]
            session.keepOpen(true)
        }
        defer { session?.keepOpen(false) }
        // Variables that the host's dynamic loader obeys are for the guest's only.
        var environment: [[CChar]] = []
        for variable in request.environment {
            if Self.isLoaderVariable(variable) {
                let text = String(decoding: variable.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
                line += ["--setenv", text]
            } else {
                environment.append(variable)
            }
        }
        line.append("-0")
        var vector = line.map { Array($0.utf8CString) }
        vector.append(arguments.first ?? [0])
        // A relative name must not look like an option.
        vector.append(program.first == 45 ? [46, 47] + program : program)
        vector += arguments.dropFirst()
        return execute(Array("/proc/self/exe".utf8CString), vector, environment)
    }

    private static func isLoaderVariable(_ variable: [CChar]) -> Bool {
        let prefixes: [StaticString] = ["LD_", "GLIBC_TUNABLES=", "MALLOC_"]
        return prefixes.contains { prefix in
            variable.count > prefix.utf8CodeUnitCount
                && (0 ..< prefix.utf8CodeUnitCount).allSatisfy { variable[$0] == CChar(bitPattern: prefix.utf8Start[$0]) }
        }
    }

    private func execute(_ path: [CChar], _ arguments: [[CChar]], _ environment: [[CChar]]) -> SystemCallResult {
        let buffers = thread.executionBuffers
        let line = buffers.vector(arguments, second: false)
        let variables = buffers.vector(VirtualLimits.handedDown(environment), second: true)
        if thread.isVforkChild {
            buffers.keep(path: path)
            thread.ending = .execution(mask: thread.signalMask)
            return .threadExit
        }
        process.signals.prepareExecution()
        process.tools?.finish()
        // The whole mask, the synchronous signals too, is what the new program inherits.
        apus_signal_mask(2, thread.signalMask, nil)
        let result = path.withUnsafeBufferPointer { directCall(SYS_execve, $0.baseAddress, line, variables) }
        GuestThread.blockAll()
        process.signals.executionFailed()
        process.tools?.goOn()
        buffers.free()
        thread.applyMask()
        return .value(Int64(result))
    }
}
