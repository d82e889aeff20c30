import Translation

/// A kind of guest program that user mode can run: one row of the registry's list.
public struct UserGuest: Sendable {
    /// The name on the command line, e.g. `riscv64`; also of the `apus-NAME` and `qemu-NAME` links.
    public let name: String
    public let summary: String
    /// ELF `e_machine`, word size in bytes and byte order of its programs.
    public let machine: UInt16
    public let model: DataModel
    /// CPU models, default first, and feature switches, as `-cpu` takes them.
    public let cpus: @Sendable () -> [(name: String, summary: String)]
    public let features: @Sendable () -> [(name: String, supported: Bool)]
    /// The Linux ABI on the CPU that `-cpu` names; nil: the default CPU.
    public let makeABI: @Sendable (_ cpu: String?) throws(UserModeError) -> any GuestABI

    public init(name: String, summary: String, machine: UInt16, model: DataModel,
                cpus: @escaping @Sendable () -> [(name: String, summary: String)],
                features: @escaping @Sendable () -> [(name: String, supported: Bool)],
                makeABI: @escaping @Sendable (_ cpu: String?) throws(UserModeError) -> any GuestABI) {
        self.name = name
        self.summary = summary
        self.machine = machine
        self.model = model
        self.cpus = cpus
        self.features = features
        self.makeABI = makeABI
    }
}

/// An engine by name: one row of the registry's list.
public struct UserEngine: Sendable {
    public let name: String
    public let summary: String
    /// Throws if this host cannot run it.
    public let make: @Sendable (any Guest, any CodeSource, EngineOptions) throws(UserModeError) -> any Engine

    public init(name: String, summary: String,
                make: @escaping @Sendable (any Guest, any CodeSource, EngineOptions) throws(UserModeError) -> any Engine) {
        self.name = name
        self.summary = summary
        self.make = make
    }
}

/// Why a program could not be started, with the exit status that says so.
public struct UserModeError: Error, Sendable, Equatable {
    /// One line without the command's name.
    public let text: String
    public let status: Int32

    public init(_ text: String, status: Int32 = 1) {
        self.text = text
        self.status = status
    }
}
