import Interpreter
import Core
import RISCV
import Translation
import UserMode
#if arch(x86_64)
import X64
#endif

/// The lists of what this Apus can do: the only place that names guests and engines.
public enum Registry {
    /// Guests of user mode.
    public static let guests: [UserGuest] = [
        riscv("riscv64", .rv64, "RISC-V, 64 bits, little endian"),
        riscv("riscv32", .rv32, "RISC-V, 32 bits, little endian"),
    ]

    private static func riscv(_ name: String, _ xlen: XLEN, _ summary: String) -> UserGuest {
        UserGuest(name: name, summary: summary, machine: 243, model: DataModel(wordSize: xlen.bytes, bigEndian: false),
                  cpus: { CPUModel.models(xlen).map { ($0.name, $0.summary) } }, features: { CPUModel.features }) {
            (cpu: String?) throws(UserModeError) -> any GuestABI in
            do throws(CPUModelError) {
                return RISCVLinuxABI(model: try cpu.map { (text) throws(CPUModelError) in try CPUModel(parsing: text, xlen: xlen) } ?? .default(xlen))
            } catch {
                throw UserModeError(error.description)
            }
        }
    }

    /// Single steps for debuggers.
    public static let stepper: UserMode.MakeStepper = { InterpreterStepper(guest: $0, source: $1) }

    /// As `stepper`, for machines.
    public static let machineStepper: @Sendable (any SystemGuest) -> any SingleStepper = { InterpreterStepper(guest: $0) }

    /// Engines, the preferred one first.
    public static let engines: [UserEngine] = {
        var list: [UserEngine] = []
        #if arch(x86_64)
        list.append(UserEngine(name: "x64", summary: "translates to x86-64 code") { guest, source, options throws(UserModeError) in
            var problem = ""
            guard let engine = X64Engine(guest: guest, source: source, options: options, problem: &problem) else {
                throw UserModeError("engine 'x64': \(problem)")
            }
            return engine
        })
        #endif
        list.append(UserEngine(name: "interpreter", summary: "interprets the intermediate representation, on any host") {
            guest, source, options in InterpreterEngine(guest: guest, source: source, options: options)
        })
        return list
    }()
}

extension Registry {
    /// An engine for machines: the one called `name`, or the best there is.
    public static func machineEngine(_ name: String?, _ guest: any SystemGuest, _ given: EngineOptions) throws(ConfigurationError) -> any Engine {
        var options = given
        options.makeStepper = { InterpreterStepper(guest: $0) }
        switch name {
        #if arch(x86_64)
        case nil, "x64":
            var problem = ""
            guard let engine = X64Engine(guest: guest, options: options, problem: &problem) else { throw ConfigurationError("-engine x64: \(problem)") }
            return engine
        #else
        case nil: return InterpreterEngine(guest: guest, options: options)
        #endif
        case "interpreter": return InterpreterEngine(guest: guest, options: options)
        case let other?: throw ConfigurationError("-engine: there is no engine '\(other)' (apus list engines)")
        }
    }
}
