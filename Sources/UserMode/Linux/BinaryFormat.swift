/// An entry of the kernel's table of binary formats (Documentation/admin-guide/binfmt-misc.rst), by which programs of a
/// guest are started like the host's own.
public struct BinaryFormat: Sendable, Equatable {
    /// The entry's name, which is also its file's in `/proc/sys/fs/binfmt_misc`.
    public let name: String
    /// The first 20 bytes of an ELF executable or shared object of the guest, and which of their bits count.
    public let magic: [UInt8]
    public let mask: [UInt8]

    /// The longest line the kernel takes.
    static let longestLine = 1920

    /// For the programs of `guest`: ELF class, byte order and machine; any ABI version of any operating system's
    /// name, as System V's is what Linux programs have and GNU's what some of them have.
    public init(_ guest: UserGuest) {
        name = "apus-" + guest.name
        func half(_ value: UInt16) -> [UInt8] {
            let low = UInt8(truncatingIfNeeded: value), high = UInt8(truncatingIfNeeded: value &>> 8)
            return guest.model.bigEndian ? [high, low] : [low, high]
        }
        magic = [0x7f, 0x45, 0x4c, 0x46, guest.model.wordSize == 8 ? 2 : 1, guest.model.bigEndian ? 2 : 1, 1, 0]
            + [UInt8](repeating: 0, count: 8) + half(2) + half(guest.machine)
        // ET_EXEC is 2 and ET_DYN 3: the lowest bit does not count.
        mask = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00] + [UInt8](repeating: 0xff, count: 8) + half(0xfffe) + half(0xffff)
    }

    /// The line that registers it; nil if the kernel would not take it.
    /// - Parameters:
    ///   - interpreter: the absolute path of Apus.
    ///   - flags: of F (opened now, so it is found in every chroot), O (the program is passed as a descriptor), C (set-ID
    ///     bits of the program count), P (its argv[0] is kept).
    public func registration(interpreter: String, flags: String) -> String? {
        guard interpreter.utf8.first == UInt8(ascii: "/"), !interpreter.utf8.contains(where: { $0 == 0 || $0 == 10 || $0 == 0x5c }),
              let delimiter = ([":", "|", "!", "%", "#"] as [Character]).first(where: { !interpreter.contains($0) }) else { return nil }
        let line = ["", name, "M", "", Self.escaped(magic), Self.escaped(mask), interpreter, flags].joined(separator: String(delimiter))
        return line.utf8.count < Self.longestLine ? line : nil
    }

    private static func escaped(_ bytes: [UInt8]) -> String {
        bytes.reduce(into: "") { text, byte in
            let digits = String(byte, radix: 16)
            text += digits.utf8.count == 1 ? "\\x0" + digits : "\\x" + digits
        }
    }

    /// What the kernel says of a registered entry.
    public struct State: Sendable, Equatable {
        public var isEnabled: Bool
        public var interpreter: String
        public var flags: String

        public init(isEnabled: Bool, interpreter: String, flags: String) {
            self.isEnabled = isEnabled
            self.interpreter = interpreter
            self.flags = flags
        }

        /// From the text of the entry's file; nil if it is not one.
        public init?(parsing text: String) {
            let lines = text.split(separator: "\n")
            guard let first = lines.first, first == "enabled" || first == "disabled" else { return nil }
            isEnabled = first == "enabled"
            func value(_ label: String) -> String? {
                lines.first { $0.hasPrefix(label) }.map { String($0.dropFirst(label.count)).trimmed }
            }
            guard let interpreter = value("interpreter ") else { return nil }
            self.interpreter = interpreter
            flags = value("flags:") ?? ""
        }
    }
}

private extension String {
    var trimmed: String { String(drop { $0 == " " }) }
}
