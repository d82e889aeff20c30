// apus-fuzz   what images, descriptors and descriptions from hostile hands do to the block layer.
//
// Built with -DFUZZING -sanitize=fuzzer (run.sh does), it is a libFuzzer program: coverage-guided, the target named by
// APUS_FUZZ_TARGET. Built plainly, it runs inputs again and packs images into them:
//   apus-fuzz TARGET FILE…       runs the inputs; exits 0 unless one of them traps
//   apus-fuzz --pack IMAGE       prints the image as an input (SparseInput.swift)
//   apus-fuzz --unpack FILE      prints the image of an input
//   apus-fuzz --list             names the targets
//   apus-fuzz --folder FOLDER    makes the folder that the target vvfat shows

import Block
import Glibc

/// Writes a line to standard error.
func complain(_ line: String) {
    let bytes = Array(line.utf8)
    _ = write(2, bytes, bytes.count)
}

/// Writes all bytes to standard output.
func put(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
        let count = bytes.withUnsafeBytes { write(1, $0.baseAddress.map { $0 + done }, bytes.count - done) }
        if count <= 0 { exit(1) }
        done += count
    }
}

func contents(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "rb") else {
        complain("apus-fuzz: cannot open '\(path)'\n")
        exit(1)
    }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = fread(&piece, 1, piece.count, file)
        if count == 0 { return bytes }
        bytes += piece[..<count]
    }
}

#if FUZZING
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(_ count: UnsafeMutablePointer<Int32>, _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
               _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32) -> Int32

let wanted = getenv("APUS_FUZZ_TARGET").map { String(cString: $0) } ?? ""
guard let chosen = FuzzTarget.all.first(where: { $0.name == wanted }) else {
    complain("apus-fuzz: APUS_FUZZ_TARGET names one of: \(FuzzTarget.all.map(\.name).joined(separator: " "))\n")
    exit(2)
}
let body = chosen.run
var count = CommandLine.argc
var words = CommandLine.unsafeArgv
exit(runDriver(&count, &words) { data, size in
    body(data.map { Array(UnsafeBufferPointer(start: $0, count: size)) } ?? [])
    return 0
})
#else
let words = Array(CommandLine.arguments.dropFirst())
switch words.first {
case "--list": for target in FuzzTarget.all { print(target.name) }
case "--folder" where words.count == 2: FuzzTarget.makeFolder(words[1])
case "--pack" where words.count == 2: put(SparseInput.packed(contents(words[1])))
case "--unpack" where words.count == 2: put(SparseInput(contents(words[1])).image)
default:
    guard let name = words.first, words.count > 1, let target = FuzzTarget.all.first(where: { $0.name == name }) else {
        complain("usage: apus-fuzz TARGET FILE… | --pack IMAGE | --unpack FILE | --folder FOLDER | --list\n")
        exit(2)
    }
    for path in words.dropFirst() { target.run(contents(path)) }
    print("\(words.count - 1) inputs done")
}
#endif
