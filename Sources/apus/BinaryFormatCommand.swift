import Glibc
import Registry
import UserMode

/// `apus binfmt install|remove|status`: the kernel's own start of guest programs.
struct BinaryFormatCommand {
    static let usage = """
        usage: apus binfmt install [GUEST…] [--persistent] [--interpreter PATH] [--no-credentials] [--dynamic]
               apus binfmt remove [GUEST…] [--persistent]
               apus binfmt status [GUEST…]
        Lets the kernel start guest programs like the host's own (binfmt_misc), also in chroots and containers.
          --persistent         also write or remove /etc/binfmt.d/apus-GUEST.conf, which is read when the system starts
          --interpreter PATH   the executable to register (default: this one)
          --no-credentials     without flag C: set-user-ID and set-group-ID bits of guest programs do not count
          --dynamic            register an executable that is not static: it works only where its libraries are

        """

    private static let folder = "/proc/sys/fs/binfmt_misc"
    private static let persistentFolder = "/etc/binfmt.d"

    private enum Action: String { case install, remove, status }

    private var action: Action
    private var guests: [UserGuest] = []
    private var persistent = false
    private var interpreter: String?
    private var credentials = true
    private var allowsDynamic = false

    /// Does what `arguments` say; returns the exit status.
    static func run(_ arguments: [String]) -> Int32 {
        if arguments.contains(where: { ["-h", "-help", "--help"].contains($0) }) {
            print(usage, terminator: "")
            return 0
        }
        do throws(CommandError) {
            let command = try BinaryFormatCommand(arguments)
            switch command.action {
            case .install: try command.install()
            case .remove: try command.remove()
            case .status: return try command.showStatus() ? 0 : 1
            }
            return 0
        } catch {
            switch error {
            case .usage(let text):
                StandardError.write("apus binfmt: \(text)\n")
                return 2
            case .text(let text):
                StandardError.write("apus binfmt: \(text)\n")
                return 1
            }
        }
    }

    private init(_ arguments: [String]) throws(CommandError) {
        guard let word = arguments.first, let action = Action(rawValue: word) else {
            throw .usage(arguments.first.map { "unknown action '\($0)' (install, remove or status)" } ?? "no action named (-h prints help)")
        }
        self.action = action
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            switch word {
            case "--persistent" where action != .status: persistent = true
            case "--no-credentials" where action == .install: credentials = false
            case "--dynamic" where action == .install: allowsDynamic = true
            case "--interpreter" where action == .install:
                guard let path = rest.popFirst() else { throw .usage("--interpreter needs a path") }
                interpreter = path
            default:
                guard !word.hasPrefix("-") else { throw .usage("unknown option '\(word)'") }
                guard let guest = Registry.guests.first(where: { $0.name == word }) else {
                    throw .usage("there is no guest '\(word)' (known: \(Registry.guests.map(\.name).joined(separator: ", ")))")
                }
                guests.append(guest)
            }
        }
        if guests.isEmpty { guests = Registry.guests }
    }

    // MARK: the three actions

    private func install() throws(CommandError) {
        try requireRoot()
        guard KernelLaunch.kernelTellsBinaryFormat(release: Self.kernelRelease) else {
            throw .text("Linux \(Self.kernelRelease) does not tell Apus how it was started; 5.12 or later does")
        }
        let path = try executable()
        try mount()
        let flags = credentials ? "POCF" : "POF"
        for guest in guests {
            let format = BinaryFormat(guest)
            guard let line = format.registration(interpreter: path, flags: flags) else {
                throw .text("'\(path)' cannot be registered: the kernel would not take the name")
            }
            let entry = "\(Self.folder)/\(format.name)"
            if access(entry, F_OK) == 0 { try write("-1", to: entry) }
            try write(line, to: "\(Self.folder)/register")
            if persistent {
                mkdir(Self.persistentFolder, 0o755)
                try write("# Written by 'apus binfmt install --persistent'; 'apus binfmt remove --persistent' removes it.\n\(line)\n",
                          to: "\(Self.persistentFolder)/\(format.name).conf", create: true)
            }
        }
    }

    private func remove() throws(CommandError) {
        try requireRoot()
        for guest in guests {
            let format = BinaryFormat(guest)
            let entry = "\(Self.folder)/\(format.name)"
            if access(entry, F_OK) == 0 { try write("-1", to: entry) }
            let file = "\(Self.persistentFolder)/\(format.name).conf"
            if persistent, unlink(file) != 0, errno != ENOENT { throw .text("\(file): \(Self.errorText)") }
        }
    }

    /// - Returns: whether all guests' entries are there and enabled.
    private func showStatus() throws(CommandError) -> Bool {
        guard access("\(Self.folder)/register", F_OK) == 0 else {
            throw .text("binfmt_misc is not mounted at \(Self.folder) ('apus binfmt install' mounts it)")
        }
        var complete = true
        for guest in guests {
            let format = BinaryFormat(guest)
            let persists = access("\(Self.persistentFolder)/\(format.name).conf", F_OK) == 0 ? ", persistent" : ""
            guard let state = Self.read("\(Self.folder)/\(format.name)").flatMap({ BinaryFormat.State(parsing: $0) }) else {
                print("\(guest.name): not installed\(persists)")
                complete = false
                continue
            }
            if !state.isEnabled { complete = false }
            print("\(guest.name): \(state.isEnabled ? "installed" : "disabled"), \(state.interpreter), flags \(state.flags)\(persists)")
        }
        if let whole = Self.read("\(Self.folder)/status"), whole.hasPrefix("disabled") {
            print("binfmt_misc as a whole is disabled (write 1 to \(Self.folder)/status)")
            return false
        }
        return complete
    }

    // MARK: parts of them

    private func requireRoot() throws(CommandError) {
        guard geteuid() == 0 else { throw .text("only root may change the kernel's binary formats") }
    }

    private func mount() throws(CommandError) {
        guard access("\(Self.folder)/register", F_OK) != 0 else { return }
        guard access(Self.folder, F_OK) == 0 else {
            throw .text("this kernel has no binfmt_misc (perhaps 'modprobe binfmt_misc' loads it)")
        }
        guard Glibc.mount("binfmt_misc", Self.folder, "binfmt_misc", 0, nil) == 0 else {
            throw .text(errno == ENODEV ? "this kernel has no binfmt_misc" : "cannot mount binfmt_misc at \(Self.folder): \(Self.errorText)")
        }
    }

    /// The absolute path to register.
    private func executable() throws(CommandError) -> String {
        let wanted = interpreter ?? "/proc/self/exe"
        guard let resolved = realpath(wanted, nil) else { throw .text("\(wanted): \(Self.errorText)") }
        defer { free(resolved) }
        let path = String(cString: resolved)
        guard access(path, X_OK) == 0 else { throw .text("\(path): \(Self.errorText)") }
        switch ProgramLinkage(path: path) {
        case .static: break
        case .dynamic where allowsDynamic: break
        case .dynamic:
            throw .text("\(path) is not a static executable and would not be found working in a chroot: build one by "
                + "'make static', name it by --interpreter, or say --dynamic")
        case .none: throw .text("\(path) is not an ELF executable")
        }
        return path
    }

    private func write(_ text: String, to path: String, create: Bool = false) throws(CommandError) {
        let descriptor = open(path, create ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_WRONLY | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .text("\(path): \(Self.errorText)") }
        defer { close(descriptor) }
        var text = text
        let (written, wanted) = text.withUTF8 { (Glibc.write(descriptor, $0.baseAddress, $0.count), $0.count) }
        guard written == wanted else { throw .text("\(path): \(written < 0 ? Self.errorText : "short write")") }
    }

    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        return count >= 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    private static var errorText: String { strerror(errno).map { String(cString: $0) } ?? "error \(errno)" }

    private static var kernelRelease: String {
        var name = utsname()
        guard uname(&name) == 0 else { return "" }
        return withUnsafeBytes(of: name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
