// apus-bare   runs a bare-metal program on the virt board, with its serial port on standard output.
//   apus-bare [--engine interpreter|x64] [--cpu MODEL] [--aia none|aplic|GUESTS] [--harts N] [--memory MIB] PROGRAM

import Char
import Core
import Devices
import Glibc
import Host
import Interpreter
import Machines
import RISCV
import Translated
import Translation
import X64

func fail(_ text: String) -> Never {
    let line = Array("apus-bare: \(text)\n".utf8)
    _ = write(2, line, line.count)
    exit(2)
}

var engineName = "x64", cpu = "rv64", count = 1, mebibytes = 128, program: String?
var interrupts = InterruptArchitecture.plic
var arguments = CommandLine.arguments.dropFirst()
while let argument = arguments.popFirst() {
    func value() -> String { arguments.popFirst() ?? { fail("\(argument) needs a value") }() }
    switch argument {
    case "--engine": engineName = value()
    case "--cpu": cpu = value()
    case "--aia":
        let name = value()
        interrupts = name == "none" ? .plic : name == "aplic" ? .aplic : .imsic(guests: Int(name) ?? 0)
    case "--harts": count = Int(value()) ?? 1
    case "--memory": mebibytes = Int(value()) ?? 128
    default: program = argument
    }
}
guard let program, let file = fopen(program, "rb") else { fail("no program") }
var bytes = [UInt8](repeating: 0, count: 16 << 20)
let size = fread(&bytes, 1, bytes.count, file)
bytes.removeLast(bytes.count - size)

guard let loop = EventLoop(name: "bare") else { fail("no event loop") }
let guest: RISCVMachineGuest
do { guest = try RISCVMachineGuest(parsing: cpu, guestFiles: interrupts.guestFiles) } catch { fail("\(error)") }
var options = EngineOptions()
options.isMachine = true
options.makeStepper = { InterpreterStepper(guest: $0) }
let engine: any Engine
if engineName == "interpreter" {
    engine = InterpreterEngine(guest: guest, options: options)
} else {
    var problem = ""
    guard let made = X64Engine(guest: guest, options: options, problem: &problem) else { fail(problem) }
    engine = made
}

// The loop has written what the serial port was given before it comes to this.
let requests = MachineRequests { request in
    loop.submit {
        if case .powerOff(let status) = request { exit(status ?? 0) }
        exit(3)
    }
}
let parts = BoardParts(loop: loop, requests: requests)
let processors = ProcessorSet(engine: engine, guest: guest, memory: parts.memory, count: count)
let harts = Locked<[Hart]>([])
func wire(_ number: Int, _ interrupt: HartInterrupt) -> InterruptLine {
    InterruptLine { level in harts.withLock { $0.indices.contains(number) ? $0[number] : nil }?.setInterrupt(interrupt, level) }
}
let wires = (0 ..< count).map { number in
    HartInterrupts(machineSoftware: wire(number, .machineSoftware), machineTimer: wire(number, .machineTimer), machineExternal: wire(number, .machineExternal),
                   supervisorSoftware: wire(number, .supervisorSoftware), supervisorExternal: wire(number, .supervisorExternal),
                   guestExternal: (1 ..< (interrupts.guestFiles ?? 0) + 1).map { guest in
        InterruptLine { level in harts.withLock { $0.indices.contains(number) ? $0[number] : nil }?.setGuestInterrupt(guest, level) }
    })
}
var board = BoardOptions(processors: count, memory: UInt64(mebibytes) << 20)
board.interrupts = interrupts
board.serials = [DescriptorStream("stdio", loop: loop, input: -1, output: 1, ownsDescriptors: false)]
let description = HartDescription(registerBits: guest.model.xlen.bits, isaString: guest.model.extensions.isaString, extensions: [], mmuType: "riscv,sv57")
do {
    let virt = try Virt(parts, board, harts: description, wires: wires)
    var files = BootFiles()
    files.firmware = .init(name: program, bytes: bytes)
    try virt.finish(files)
    for number in 0 ..< count {
        let hart = guest.makeHart(processors[number].vcpu, number: number, timebase: virt.timebase) { processors[number].requestInterrupt() }
        if let files = virt.interruptFiles(ofHart: number) {
            hart.interruptFiles = HartInterruptFiles(machine: files.machine, supervisor: files.supervisor, guests: files.guests)
        }
        harts.withLock { $0.append(hart) }
    }
    processors.reset()
    for number in 0 ..< count { processors[number].vcpu.pc = virt.resetVector }
} catch {
    fail("\(error)")
}
parts.clock.start()
guard processors.start() else { fail("the harts do not start") }
while true { pause() }
