import Glibc
import RISCV
import Testing
import UserMode

/// Every system call of riscv64 is answered or refused with a reason, and the documentation says which.
@Suite struct SystemCallListingTests {
    private let listing = SystemCallListing(numbers: RISCVLinuxABI.systemCallNumbers())

    @Test func everyCallHasARow() {
        #expect(listing.missing == [])
        #expect(listing.rows.count == RISCVLinuxABI.systemCallNumbers().count)
        for row in listing.rows where !row.answer.hasPrefix("host") && row.answer != "Apus" { #expect(!row.reason.isEmpty, "\(row.name)") }
    }

    @Test func everyNarrowCallHasARow() {
        #expect(SystemCallListing(numbers: RISCVLinuxABI.systemCallNumbers(.rv32)).missing == [])
    }

    /// `Scripts/document-calls` writes the page anew.
    @Test func theDocumentationAgrees() throws {
        let page = try #require(text(of: #filePath.dropping("Tests/UserModeTests/SystemCallListingTests.swift") + "docs/system-calls.md"))
        #expect(page.hasSuffix(listing.markdown), "docs/system-calls.md is out of date: run Scripts/document-calls")
    }

    /// The C library's headers for the cross compiler, where they are installed, know no call by another number.
    @Test func numbersAreTheKernels() {
        guard let header = text(of: "/usr/riscv64-linux-gnu/include/asm-generic/unistd.h") else { return }
        // Names that differ between 32-bit and 64-bit tables, as 64-bit ones spell them.
        let renamed = ["fstatat": "newfstatat"]
        var wrong: [String] = []
        for line in header.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count == 3, words[0] == "#define", let number = Int(words[2]), number < 512 else { continue }
            let prefix = ["__NR3264_", "__NR_"].first { words[1].hasPrefix($0) }
            guard let prefix else { continue }
            let plain = String(words[1].dropFirst(prefix.count))
            let name = renamed[plain] ?? plain
            // 64-bit time for 32-bit words, and what belongs to other machines.
            if (403...423).contains(number) || (244...259).contains(number) { continue }
            if ["syscalls", "renameat", "sync_file_range2"].contains(name) { continue }
            if RISCVLinuxABI.systemCallNumbers()[number] != name { wrong.append("\(number) \(name)") }
        }
        #expect(wrong == [])
    }

    private func text(of path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }
}

private extension String {
    func dropping(_ suffix: String) -> String { hasSuffix(suffix) ? String(dropLast(suffix.count)) : self }
}
