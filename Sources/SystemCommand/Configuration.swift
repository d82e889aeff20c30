// What a machine's command line asks for, checked as far as that goes without opening anything.

import Block
import Core
import Machines
import Translation

/// A whole command line.
struct Configuration {
    var machine = "virt"
    /// `-machine aia=` and `aia-guests=`.
    var interrupts = InterruptArchitecture.plic
    var cpu: String?
    var engine: String?
    var processors = 1
    var memory: UInt64 = 128 << 20
    /// `-m` was given.
    var hasMemorySize = false
    /// `-mem-path`, `-mem-prealloc`
    var memoryPath: String?
    var preallocatesMemory = false
    /// `-M memory-backend=`: the object whose memory it is.
    var memoryBackend: String?
    var memoryUse = MemoryUse()
    /// `-M pflash0=`, `pflash1=`: block nodes.
    var flashNodes: [String?] = [nil, nil]
    /// `-accel tcg,tb-size=`; nil: what the engine takes.
    var codeCacheBytes: Int?
    /// `-M acpi=`
    var hasACPI = true
    var isThreaded = true
    var firmware = "default"
    var kernel: String?
    var initrd: String?
    var commandLine: String?
    var deviceTree: String?
    var dumpsDeviceTree: String?
    var drives: [DriveOption] = []
    var devices: [[(name: String, value: String)]] = []
    /// `-chardev`s, by identifier.
    var characters: [(id: String, settings: KeyValues)] = []
    var serials: [String] = []
    var network = NetworkRequest()
    /// `-fsdev`s and `-virtfs`s.
    var shares = FolderOptions()
    var isNographic = false
    var hasNoDefaults = false
    var reboots = true
    var pidFile: String?
    var folders: [String] = []
    var name: String?
    /// `-gdb`: where a debugger connects.
    var debugger: String?
    var firmwareFiles: [FirmwareFile] = []
    var boot = BootOptions()
    /// `-d` and `-D`.
    var logItems: LogItems = []
    var logFile: String?
    /// How it is run and watched.
    var control = MonitorOptions()
    /// `-vnc`s.
    var displays: [String] = []
    /// The device of `-vga`.
    var videoCard: String?
}
