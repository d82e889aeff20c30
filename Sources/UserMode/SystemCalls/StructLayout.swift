/// Structures of the Linux user interface as data.
///
/// A layout names its fields and their C types once; offsets for any guest (word size, byte order, alignment of 64-bit
/// integers, kernel flavour) are computed from it. Two computed layouts give a `StructConversion`. The C rules are
/// those of the System V ABIs: natural alignment, except where `DataModel.int64Alignment` or `packed` says otherwise.
/// Left out: bit fields (no structure of the interface needs them converted).

/// Which variant of the kernel's user headers a guest or host uses.
public enum KernelFlavour: UInt8, Sendable, Hashable {
    /// `include/uapi/asm-generic`: riscv, loongarch.
    case generic
    /// As generic, with other `O_*` values: arm, arm64.
    case arm
    case x86

    /// The flavour of the system Apus runs on.
    public static var host: KernelFlavour {
        #if arch(x86_64)
        .x86
        #elseif arch(arm64)
        .arm
        #else
        .generic
        #endif
    }
}

/// All that decides where a structure's fields are.
package struct GuestShape: Sendable, Hashable {
    package var wordSize: UInt8
    package var bigEndian: Bool
    package var int64Alignment: UInt8
    package var flavour: KernelFlavour

    package init(_ model: DataModel, _ flavour: KernelFlavour) {
        wordSize = UInt8(truncatingIfNeeded: model.wordSize)
        bigEndian = model.bigEndian
        int64Alignment = UInt8(truncatingIfNeeded: model.int64Alignment)
        self.flavour = flavour
    }

    package static let host = GuestShape(DataModel(wordSize: 8, bigEndian: false), .host)
}

/// The C type of a field.
package indirect enum FieldKind: Sendable {
    case i8, u8, i16, u16, i32, u32, i64, u64
    /// Of the guest's word size.
    case long, ulong, pointer
    /// A time of 64 bits: in one word, or in two of a 32-bit guest, which are aligned as such (the low one first, which is not
    /// what a big-endian guest's other 64-bit numbers have; none has been built yet).
    case time
    /// Bytes that no conversion touches but copying (names, opaque data).
    case bytes(Int)
    /// Bytes that nobody reads; zero after a conversion.
    case padding(Int)
    case array(FieldKind, Int)
    case structure(StructLayout)
}

/// One structure of the interface.
package final class StructLayout: Sendable {
    package typealias Fields = [(String, FieldKind)]

    package let name: String
    private let packedOn: [KernelFlavour]
    private let fields: @Sendable (KernelFlavour) -> Fields
    private let cache = PublishedReference<ConversionPair>()

    /// - Parameters:
    ///   - packedOn: flavours whose compiler is told to leave no gaps.
    ///   - fields: the fields in order, for a flavour.
    package init(_ name: String, packedOn: [KernelFlavour] = [], fields: @escaping @Sendable (KernelFlavour) -> Fields) {
        self.name = name
        self.packedOn = packedOn
        self.fields = fields
    }

    /// A structure that has the same fields on all flavours.
    package convenience init(_ name: String, _ fields: @escaping @Sendable () -> Fields) {
        self.init(name, fields: { _ in fields() })
    }

    /// Where the fields stand for `shape`.
    package func computed(for shape: GuestShape) -> ComputedLayout {
        var layout = ComputedLayout(bigEndian: shape.bigEndian)
        let packed = packedOn.contains(shape.flavour)
        for (name, kind) in fields(shape.flavour) {
            layout.append(name, kind, shape: shape, packed: packed)
        }
        layout.size = packed ? layout.size : (layout.size + layout.alignment - 1) & ~(layout.alignment - 1)
        return layout
    }

    /// The conversions between `guest` and the host, computed on first use.
    package func conversions(_ guest: GuestShape) -> ConversionPair {
        if let pair = cache.get(), pair.shape == guest { return pair }
        let pair = ConversionPair(guest, guest: computed(for: guest), host: computed(for: .host))
        cache.publish(pair)
        return pair
    }

    /// Bytes of the structure on the host.
    package var hostSize: Int { computed(for: .host).size }
}

/// A structure with offsets, flattened to its leaves.
package struct ComputedLayout: Sendable, Equatable {
    package struct Leaf: Sendable, Equatable {
        package let name: String
        package let offset: Int
        package let size: Int
        package let signed: Bool
        /// A run of bytes, copied as it is.
        package let raw: Bool
    }

    package var size = 0
    package var alignment = 1
    package var leaves: [Leaf] = []
    package let bigEndian: Bool

    package init(bigEndian: Bool) { self.bigEndian = bigEndian }

    package func leaf(_ name: String) -> Leaf? { leaves.first { $0.name == name } }

    fileprivate mutating func append(_ name: String, _ kind: FieldKind, shape: GuestShape, packed: Bool) {
        let word = Int(shape.wordSize)
        switch kind {
        case .i8: leaf(name, 1, 1, true, packed)
        case .u8: leaf(name, 1, 1, false, packed)
        case .i16: leaf(name, 2, 2, true, packed)
        case .u16: leaf(name, 2, 2, false, packed)
        case .i32: leaf(name, 4, 4, true, packed)
        case .u32: leaf(name, 4, 4, false, packed)
        case .i64: leaf(name, 8, Int(shape.int64Alignment), true, packed)
        case .u64: leaf(name, 8, Int(shape.int64Alignment), false, packed)
        case .long: leaf(name, word, word == 8 ? Int(shape.int64Alignment) : word, true, packed)
        case .ulong, .pointer: leaf(name, word, word == 8 ? Int(shape.int64Alignment) : word, false, packed)
        case .time: leaf(name, 8, word == 8 ? Int(shape.int64Alignment) : word, true, packed)
        case .bytes(let count):
            leaves.append(Leaf(name: name, offset: size, size: count, signed: false, raw: true))
            size += count
        case .padding(let count):
            size += count
        case .array(let element, let count):
            for index in 0..<count { append("\(name)[\(index)]", element, shape: shape, packed: packed) }
        case .structure(let layout):
            let inner = layout.computed(for: shape)
            align(packed ? 1 : inner.alignment)
            for leaf in inner.leaves {
                leaves.append(Leaf(name: "\(name).\(leaf.name)", offset: size + leaf.offset, size: leaf.size,
                                   signed: leaf.signed, raw: leaf.raw))
            }
            size += inner.size
        }
    }

    private mutating func leaf(_ name: String, _ bytes: Int, _ natural: Int, _ signed: Bool, _ packed: Bool) {
        align(packed ? 1 : natural)
        leaves.append(Leaf(name: name, offset: size, size: bytes, signed: signed, raw: false))
        size += bytes
    }

    private mutating func align(_ to: Int) {
        alignment = max(alignment, to)
        size = (size + to - 1) & ~(to - 1)
    }
}
