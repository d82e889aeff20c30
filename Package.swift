// swift-tools-version: 6.1
import PackageDescription

// The rooms that guest code runs in: no checks at run time that accesses to a class's properties do not overlap. Builds for
// debugging (`swift build`) make them.
let hot: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

// Tests that compute little are built fast instead of made fast.
let plain: [SwiftSetting] = [.unsafeFlags(["-Onone"], .when(configuration: .release))]

// Targets stand in layers, lowest first; a target imports only from rooms above its own line here
// (Tests/LayoutTests reads this file and fails on an upward edge).
let package = Package(
    name: "apus",
    products: [.executable(name: "apus", targets: ["apus"])],
    targets: [
        .target(name: "CHost", cSettings: [.define("_GNU_SOURCE")]),
        .target(name: "Host", dependencies: ["CHost"]),
        .target(name: "Core", dependencies: ["Host", "CHost"], swiftSettings: hot),
        // Debian's libraries, from their static archives: a shared library more would slow every program start.
        .systemLibrary(name: "CCompression"),
        .systemLibrary(name: "CNettle"),
        .systemLibrary(name: "CExpat"),
        // Declarations only: the library is loaded when a machine has user-mode networking.
        .systemLibrary(name: "CSlirp"),
        .target(name: "Compression", dependencies: ["CCompression", "Host"], linkerSettings: [
            .linkedLibrary(":libz.a"), .linkedLibrary(":libzstd.a"), .linkedLibrary(":libbz2.a"), .linkedLibrary(":liblzma.a"),
        ]),
        .target(name: "Cryptography", dependencies: ["CNettle"], linkerSettings: [.linkedLibrary(":libnettle.a")]),
        .target(name: "Block", dependencies: ["Core", "Host", "CHost"]),
        .target(name: "Sockets", dependencies: ["Core", "Host", "CHost"]),
        .target(name: "NBD", dependencies: ["Block", "Sockets", "Core", "Host", "CHost"]),
        .target(name: "Formats", dependencies: ["Block", "Compression", "Cryptography", "Core", "Host", "CHost"]),
        .target(name: "Appliance", dependencies: ["Block", "Cryptography", "CExpat", "Core", "Host"], linkerSettings: [.linkedLibrary(":libexpat.a")]),
        .target(name: "ImageTool", dependencies: ["Appliance", "Block", "Core", "Host"]),
        .target(name: "Monitor", dependencies: ["Sockets", "Core", "Host"]),
        .target(name: "BlockMonitor", dependencies: ["Monitor", "NBD", "Block", "Sockets", "Core", "Host"]),
        .target(name: "StorageTool", dependencies: ["ImageTool", "BlockMonitor", "Monitor", "NBD", "Block", "Sockets", "Core", "Host", "CHost"]),
        .target(name: "Display", dependencies: ["Sockets", "Compression", "Cryptography", "Core", "Host"]),
        .target(name: "IR", swiftSettings: hot),
        .target(name: "SoftFloat"),
        .target(name: "IRPasses", dependencies: ["IR"], swiftSettings: hot),
        .target(name: "Translation", dependencies: ["IR", "IRPasses", "Core", "Host", "CHost"], swiftSettings: hot),
        .target(name: "Interpreter", dependencies: ["Translation", "IR", "IRPasses", "SoftFloat", "Core", "Host", "CHost"],
                path: "Sources/Backends/Interpreter", swiftSettings: hot),
        .target(name: "X64", dependencies: ["Translation", "IR", "IRPasses", "SoftFloat", "Core", "Host", "CHost"],
                path: "Sources/Backends/X64", swiftSettings: hot),
        .target(name: "RISCV", dependencies: ["Translation", "IR", "SoftFloat", "Core", "Host", "CHost"], path: "Sources/Guests/RISCV",
                swiftSettings: hot),
        .target(name: "Translated", dependencies: ["Translation", "Core", "Host", "CHost"], path: "Sources/Accelerators/Translated", swiftSettings: hot),
        .target(name: "Debugger", dependencies: ["Translation", "CHost"]),
        .target(name: "UserMode", dependencies: ["Debugger", "RISCV", "Translation", "IR", "Core", "Host", "CHost"]),
        .target(name: "Char", dependencies: ["Core", "Host"]),
        .target(name: "Net", dependencies: ["Sockets", "CSlirp", "Core", "Host", "CHost"]),
        .target(name: "Firmware", dependencies: ["Core"]),
        .target(name: "Devices", dependencies: ["Firmware", "Block", "Sockets", "Core", "Host", "CHost"]),
        .target(name: "Machines", dependencies: ["Devices", "Firmware", "Core", "Host"]),
        .target(name: "MachineDebugger", dependencies: ["Debugger", "Translated", "Translation", "Core", "Host", "CHost"]),
        .target(name: "Registry", dependencies: ["RISCV", "Interpreter", "X64", "UserMode", "Translation", "Block", "Formats", "NBD", "Core"]),
        .target(name: "MachineMonitor", dependencies: [
            "Machines", "Devices", "Translated", "Translation", "BlockMonitor", "Monitor", "Sockets", "Block", "Core", "Host", "CHost",
        ]),
        .target(name: "SystemCommand", dependencies: [
            "MachineMonitor", "BlockMonitor", "Monitor", "Machines", "Devices", "Net", "Display", "NBD", "Sockets", "Firmware", "Char", "MachineDebugger",
            "Debugger", "Translated", "RISCV", "Translation", "Block", "Compression", "Core", "Host", "CHost",
        ]),
        .executableTarget(name: "apus", dependencies: [
            "Registry", "SystemCommand", "UserMode", "Debugger", "Translation", "Host", "CHost", "ImageTool", "StorageTool", "Block",
        ],
            // Swift's own libraries are linked in: fewer files to load, so a program starts sooner.
            linkerSettings: [.unsafeFlags(["-static-stdlib"], .when(configuration: .release))]),
        .executableTarget(name: "apus-differential", dependencies: ["RISCV", "Translation", "IR", "Interpreter", "X64", "Host"],
                          path: "Tests/Differential", exclude: ["Guest", "run.sh"]),
        .executableTarget(name: "apus-bare", dependencies: [
            "Machines", "Devices", "Char", "Translated", "RISCV", "Interpreter", "X64", "Translation", "Core", "Host",
        ], path: "Tests/Privileged/Machine"),
        // Built by Tests/Fuzz/run.sh with libFuzzer; plainly, it runs inputs again.
        .executableTarget(name: "apus-fuzz", dependencies: ["Appliance", "Formats", "Block", "NBD", "Sockets", "Core", "Host"], path: "Tests/Fuzz", exclude: ["run.sh", "seeds.txt"]),
        .testTarget(name: "HostTests", dependencies: ["Host", "CHost"], swiftSettings: plain),
        .testTarget(name: "TranslationTests", dependencies: ["Translation", "IR"], swiftSettings: plain),
        .testTarget(name: "IRTests", dependencies: ["IR", "IRPasses"], swiftSettings: plain),
        .testTarget(name: "UserModeTests", dependencies: ["UserMode", "RISCV", "Translation", "Host", "CHost"], swiftSettings: plain),
        .testTarget(name: "RISCVTests", dependencies: ["RISCV", "Translation", "IR", "Interpreter"], exclude: ["Golden"]),
        .testTarget(name: "BlockTests", dependencies: ["Block", "Formats", "Compression", "Cryptography", "Core", "Host"]),
        .testTarget(name: "TranslatedTests", dependencies: ["Translated", "RISCV", "Interpreter", "X64", "Translation", "IR", "Core", "Host", "CHost"]),
        .testTarget(name: "NBDTests", dependencies: ["NBD", "Sockets", "Block", "Formats", "Core", "Host"]),
        .testTarget(name: "MonitorTests", dependencies: ["Monitor", "BlockMonitor", "NBD", "Block", "Formats", "Sockets", "Core", "Host"], swiftSettings: plain),
        .testTarget(name: "MachineMonitorTests", dependencies: ["MachineMonitor", "Core"], swiftSettings: plain),
        .testTarget(name: "DebuggerTests", dependencies: ["Debugger", "Translation"], swiftSettings: plain),
        .testTarget(name: "DevicesTests", dependencies: ["Devices", "Block", "Core", "Host"]),
        .testTarget(name: "NetTests", dependencies: ["Net", "Core", "Host"], swiftSettings: plain),
        .testTarget(name: "DisplayTests", dependencies: ["Display", "Devices", "Compression", "Core", "Host"], swiftSettings: plain),
        .testTarget(name: "LayoutTests"),
        .testTarget(name: "X64Tests", dependencies: ["X64", "Interpreter", "TraceFuzzing", "IR", "IRPasses", "Translation", "Host"], swiftSettings: plain),
        .testTarget(name: "GoldenTests", dependencies: ["X64", "RISCV", "IR", "IRPasses", "Translation"], exclude: ["Snippets", "Expected"], swiftSettings: plain),
        .target(name: "HostFloat", path: "Tests/HostFloat"),
        .testTarget(name: "SoftFloatTests", dependencies: ["SoftFloat", "HostFloat"]),
        .target(name: "TraceFuzzing", dependencies: ["IR", "IRPasses", "Translation"], path: "Tests/TraceFuzzing"),
        .testTarget(name: "InterpreterTests", dependencies: ["Interpreter", "TraceFuzzing", "IR", "IRPasses", "Translation", "Host"], swiftSettings: plain),
    ],
    swiftLanguageModes: [.v6]
)
