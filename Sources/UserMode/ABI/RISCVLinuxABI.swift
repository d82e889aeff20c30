import RISCV
import Translation

/// Linux on riscv64 and riscv32: the conventions of `arch/riscv` as its user-space headers and `Documentation/arch/riscv` state
/// them. Signal frames and the vDSO stand in files of their own.
public final class RISCVLinuxABI: GuestABI {
    public let guest: any Guest
    let model: CPUModel
    public let systemCallNumbers: [Int: String]
    private let image: VDSOImage
    let frame: RISCVSignalFrame
    package static func systemCallNumbers(_ xlen: XLEN = .rv64) -> [Int: String] {
        let own = [258: "riscv_hwprobe", 259: "riscv_flush_icache"]
        return xlen == .rv64 ? GenericSystemCalls.numbers(adding: own) : GenericSystemCalls.narrowNumbers(adding: own)
    }

    public init(model: CPUModel) {
        self.model = model
        guest = RISCVGuest(model: model)
        systemCallNumbers = Self.systemCallNumbers(model.xlen)
        image = RISCVVDSO.image(model.xlen)
        frame = RISCVSignalFrame(model.xlen)
    }

    /// Whether there are vector registers, and the bytes of each.
    var hasVectors: Bool { model.extensions.contains(.zve32x) }
    var vectorBytes: Int { model.vectorBits / 8 }

    var xlen: XLEN { model.xlen }
    public var machine: String { xlen == .rv64 ? "riscv64" : "riscv32" }
    public var dataModel: DataModel { DataModel(wordSize: xlen.bytes, bigEndian: false) }
    /// EM_RISCV
    public var elfMachine: UInt16 { 243 }
    public var vdso: [UInt8]? { image.bytes }
    public var vdsoSignalReturn: UInt64 { image.signalReturn }
    public var minimumSignalStack: UInt64 { UInt64(frame.size) &+ 1024 &+ (hasVectors ? UInt64(frame.vectorSize(vectorBytes)) : 0) }

    /// Bit n for the extension of letter n (`asm/hwcap.h`): i m a f d c v; no other has a bit.
    public var hardwareCapabilities: (UInt64, UInt64, String?) {
        var bits: UInt64 = 1 &<< 8
        for (letter, extensions) in Extensions.letters where model.extensions.isSuperset(of: extensions) {
            guard let code = letter.utf8.first, "mafdcv".utf8.contains(code) else { continue }
            bits |= 1 &<< UInt64(code &- UInt8(ascii: "a"))
        }
        return (bits, 0, nil)
    }

    /// As `arch/riscv/kernel/cpu.c` prints it.
    public func cpuInfo(processors: Int) -> String {
        let isa = model.extensions.isaString
        var text = ""
        for hart in 0..<max(processors, 1) {
            text += "processor\t: \(hart)\nhart\t\t: \(hart)\nisa\t\t: \(isa)\nmmu\t\t: \(xlen == .rv64 ? "sv39" : "sv32")\n"
            text += "mvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0\nhart isa\t: \(isa)\n\n"
        }
        return text
    }

    // MARK: registers (a0 to a7 are x10 to x17)

    public func systemCall(of vcpu: VCPU) -> (number: Int, arguments: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)) {
        (Int(truncatingIfNeeded: Int32(truncatingIfNeeded: vcpu[x: 17])),
         (vcpu[x: 10], vcpu[x: 11], vcpu[x: 12], vcpu[x: 13], vcpu[x: 14], vcpu[x: 15]))
    }

    public func finishSystemCall(_ vcpu: VCPU, result: Int64) {
        vcpu[x: 10] = UInt64(bitPattern: result) & xlen.mask
        vcpu.pc &+= 4
    }

    public func stackPointer(of vcpu: VCPU) -> UInt64 { vcpu[x: 2] }

    public func start(_ vcpu: VCPU, entry: UInt64, stack: UInt64) {
        for i in 1..<32 { vcpu[x: i] = 0 }
        for i in 0..<32 { vcpu[UInt64.self, RISCVState.float(i)] = 0 }
        RISCVState.setFloatControl(0, of: vcpu)
        RISCVState.setJumpTable(0, of: vcpu)
        // Shadow stacks and landing pads are asked for by each program.
        vcpu.context &= ~(RISCVState.shadowStackIsOn | RISCVState.landingPadsAreOn)
        for slot in [RISCVState.shadowStackPointer, RISCVState.shadowStackBase, RISCVState.controlFlowLocks] { vcpu[UInt64.self, slot] = 0 }
        if hasVectors { RISCVState.resetVectors(of: vcpu, bytes: vectorBytes) }
        vcpu[x: 2] = stack
        vcpu.pc = entry
    }

    public func startChild(_ vcpu: VCPU, stack: UInt64?, tls: UInt64?) {
        if let stack { vcpu[x: 2] = stack }
        if let tls { vcpu[x: 4] = tls }
        finishSystemCall(vcpu, result: 0)
    }
}

extension VCPU {
    /// Integer register `index`, 1 to 31; the upper half is zero on RV32.
    subscript(x index: Int) -> UInt64 {
        @inline(__always) get { self[UInt64.self, RISCVState.integer(index)] }
        @inline(__always) set { self[UInt64.self, RISCVState.integer(index)] = newValue }
    }
}
