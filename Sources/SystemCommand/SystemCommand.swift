// `apus system`, also called as apus-system-riscv64, qemu-system-riscv64 and the riscv32 names.

import Block
import Core
import Devices
import Glibc
import Machines
import RISCV

public enum SystemCommand {
    /// Runs a machine, or answers a question; returns the exit status.
    /// - Parameters:
    ///   - name: what the command was called, for messages.
    ///   - bits: 32 or 64.
    public static func run(name: String, bits: Int, version: String, _ words: [String], blockDrivers: Catalogue, makeEngine: @escaping MakeMachineEngine,
                           makeStepper: @escaping MakeMachineStepper) -> Int32 {
        var reader = CommandLineReader(words)
        do throws(ConfigurationError) { try reader.read() } catch {
            complain("\(name): \(error)")
            return 2
        }
        let xlen: XLEN = bits == 32 ? .rv32 : .rv64
        if let question = reader.question {
            print(answer(question, xlen, version), terminator: "")
            return 0
        }
        do throws(ConfigurationError) {
            let configuration = reader.configuration
            // As in QEMU, what -nographic leads to the terminal must lead elsewhere.
            let usesTerminal = configuration.isNographic && !configuration.hasNoDefaults && (configuration.serials.isEmpty || !configuration.control.hasNoHuman && !configuration.control.monitors.contains { $0.isHuman })
            if configuration.control.isDaemon, usesTerminal { throw ConfigurationError("-nographic cannot be used with -daemonize") }
            let ready = configuration.control.isDaemon ? try Daemon.enter() : nil
            Daemon.holdSignals()
            let machine = try MachineAssembler(configuration: reader.configuration, xlen: xlen, blockDrivers: blockDrivers, makeEngine: makeEngine,
                                               makeStepper: makeStepper).assemble()
            if let path = reader.configuration.dumpsDeviceTree {
                guard let blob = machine.board.deviceTree else { throw ConfigurationError("-machine: dumpdtb: the machine has no device tree") }
                return try dump(blob, path)
            }
            try machine.run(ready: ready)
        } catch {
            complain("\(name): \(error)")
            return 1
        }
    }

    private static func dump(_ blob: [UInt8], _ path: String) throws(ConfigurationError) -> Int32 {
        guard let file = fopen(path, "wb") else { throw ConfigurationError("dumpdtb: '\(path)': \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        guard fwrite(blob, 1, blob.count, file) == blob.count else { throw ConfigurationError("dumpdtb: '\(path)' cannot be written") }
        return 0
    }

    private static func answer(_ question: CommandLineReader.Question, _ xlen: XLEN, _ version: String) -> String {
        switch question {
        case .version: return "apus version \(version)\n"
        case .machines: return "Supported machines are:\n" + MachineKind.all.map { $0.name + String(repeating: " ", count: max(1, 21 - $0.name.utf8.count)) + $0.summary + "\n" }.joined()
        case .processors: return "Available CPUs:\n" + CPUModel.models(xlen).map { "  \($0.name)\n" }.joined()
        case .options: return help
        case .logItems: return MachineLog.help
        case .accelerators: return "Accelerators:\ntcg\n"
        case .devices:
            return Dictionary(grouping: DeviceCatalogue.all, by: \.model.category).sorted { $0.key < $1.key }.map { category, devices in
                category.prefix(1).uppercased() + category.dropFirst() + " devices:\n"
                    + devices.map { "name \"\($0.model.name)\", bus \($0.model.bus), desc \"\($0.model.summary)\"\n" }.joined()
            }.joined(separator: "\n")
        case .device(let name):
            guard let device = DeviceCatalogue.find(name) else { return "there is no device '\(name)'\n" }
            return "\(name) options:\n" + device.model.properties.map { property in
                "  \(property.name)=<\(property.type.name)> - \(property.summary)" + (property.standard.map { " (default: \($0))" } ?? "") + "\n"
            }.joined()
        }
    }

    private static let help = """
    usage: apus system [options] [DISK]
    Runs a whole computer. Options are QEMU's; one that is not supported is refused by name.

      -M MACHINE[,dumpdtb=FILE][,acpi=off][,memory-backend=ID]   the machine ('-M help')
            [,aia=none|aplic|aplic-imsic][,aia-guests=N]            the interrupt controllers of virt
      -cpu MODEL[,SWITCH=on|off]  the processor ('-cpu help')
      -smp N                      how many processors
      -m SIZE                     memory, in MiB unless the size says otherwise
      -accel tcg[,thread=single]  all processors on one thread in turns, or one thread each (multi)
      -engine x64|interpreter     how guest code is run
      -bios FILE|none             firmware (default: OpenSBI)
      -kernel FILE  -initrd FILE  -append TEXT  -dtb FILE
      -drive file=FILE[,format=F][,if=none|virtio|pflash][,media=disk|cdrom][,id=ID][,readonly=on][,discard=unmap][,cache=MODE][,aio=threads|native|io_uring]
      -device NAME[,PROPERTY=VALUE…]   a device ('-device help', '-device NAME,help')
      -netdev TYPE,id=ID…         user, tap, socket, stream, dgram, hubport
      -nic TYPE[,model=CARD]…     a back end and a card; -nic none: neither
      -fsdev local,id=ID,path=FOLDER,security_model=passthrough|none|mapped-xattr|mapped-file[,readonly=on][,fmode=,dmode=][,writeout=immediate]
      -virtfs local,path=FOLDER,mount_tag=TAG,security_model=…   the same and virtio-9p-pci for it
      -object filter-dump,id=ID,netdev=ID,file=FILE   what passes a back end
      -chardev BACKEND,id=ID…     stdio, null, file, socket, udp, pipe, pty, serial, ringbuf
      -serial stdio|mon:stdio|null|none|pty|file:|pipe:|unix:|tcp:|udp:|chardev:ID
      -vga none|std|virtio        a display ('-device help' tells more)
      -vnc :N|HOST:N|unix:PATH|none[,password=on][,password-secret=ID][,tls-creds=ID][,websocket=PORT][,to=N][,share=…]
      -display none|vnc=…
      -object secret|tls-creds-…|rng-…|iothread|throttle-group|memory-backend-ram|-file|-memfd,id=ID,…
      -nographic                  the serial port on this terminal (Ctrl-A h tells the keys)
      -s  -gdb tcp:[HOST]:PORT|unix:PATH|chardev:ID|stdio   a place for gdb ('target remote :1234')
      -qmp DEVICE  -qmp-pretty DEVICE  -monitor DEVICE  -mon chardev=ID[,mode=control|readline][,pretty=on]
      -S  -no-shutdown  -action reboot=…,shutdown=…,panic=…,watchdog=…  -snapshot  -daemonize
      -blockdev NODE  -object OBJECT  -global DRIVER.PROPERTY=VALUE  -readconfig FILE  -rtc base=…  -uuid UUID
      -fw_cfg name=NAME,file=FILE|string=TEXT   a file for firmware and guests
      -boot order=LETTERS,once=LETTERS,menu=on,strict=on,splash-time=MS,reboot-timeout=MS
      -d ITEM[,…]  -D FILE        what is told of the guest's run ('-d help')
      -msg timestamp=on,guest-name=on  -set GROUP.ID.NAME=VALUE  -mem-path FILE  -mem-prealloc
      -no-reboot  -nodefaults  -name TEXT  -pidfile FILE  -L FOLDER  -version\n
    """
}
