/// Why a file cannot be run as a program. Its text completes "NAME: …".
package enum ELFError: Error, Equatable, Sendable {
    case notELF
    case truncatedHeader
    case unsupportedClass(UInt8)
    case unsupportedByteOrder(UInt8)
    case unsupportedVersion
    case notExecutable(type: UInt16)
    case wrongMachine(UInt16)
    case noProgramHeaders
    case programHeaderSize(UInt16)
    case tooManyProgramHeaders(Int)
    case programHeadersOutsideFile
    case segmentOutsideFile(Int)
    case segmentSizes(Int)
    case segmentAddress(Int)
    case segmentAlignment(Int)
    case segmentOffset(Int)
    case noLoadableSegment
    case severalInterpreters
    case interpreterName
    case interpreterIsNotPositionIndependent
    case entryOutsideSegments
    case cannotMap(segment: Int, errno: Int32)
    case noAddressSpace

    /// One line for people.
    package func text(_ errorText: (Int32) -> String) -> String {
        switch self {
        case .notELF: "not an ELF program"
        case .truncatedHeader: "the ELF header is cut short"
        case .unsupportedClass(let value): "ELF class \(value) is unknown"
        case .unsupportedByteOrder(let value): "ELF byte order \(value) is unknown"
        case .unsupportedVersion: "the ELF version is not 1"
        case .notExecutable(let type): "ELF type \(type) is not an executable or shared object"
        case .wrongMachine(let machine): "ELF machine \(machine) is not one that this command runs"
        case .noProgramHeaders: "there are no program headers"
        case .programHeaderSize(let size): "program headers of \(size) bytes are not of the ELF class's size"
        case .tooManyProgramHeaders(let count): "\(count) program headers are too many"
        case .programHeadersOutsideFile: "the program headers lie outside the file"
        case .segmentOutsideFile(let index): "segment \(index) lies outside the file"
        case .segmentSizes(let index): "segment \(index) is larger in the file than in memory"
        case .segmentAddress(let index): "segment \(index) lies outside the address space"
        case .segmentAlignment(let index): "the alignment of segment \(index) is not a power of two"
        case .segmentOffset(let index): "offset and address of segment \(index) differ within a page"
        case .noLoadableSegment: "there is no loadable segment"
        case .severalInterpreters: "there are several interpreter names"
        case .interpreterName: "the interpreter name is malformed"
        case .interpreterIsNotPositionIndependent: "the interpreter is not a shared object"
        case .entryOutsideSegments: "the entry point lies outside all segments"
        case .cannotMap(let index, let errno): "cannot map segment \(index): \(errorText(errno))"
        case .noAddressSpace: "no free address range is large enough"
        }
    }
}
