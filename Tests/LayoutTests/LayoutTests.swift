// The house has floors: a target imports only from floors below its own.
//
// Reads Package.swift's target list and the `import` lines of Sources/, and fails on an edge that points upwards or
// that the package description does not declare. Files that no floor names fail too: a new room needs a place here.

import Foundation
import Testing

/// The floors, lowest first. Rooms on one floor do not know one another, unless `stairs` says so.
private let floors: [[String]] = [
    ["CHost", "CCompression", "CNettle", "CExpat", "CSlirp"],
    ["Host", "Cryptography"],
    ["Core", "Compression"],
    ["IR", "SoftFloat", "Block", "Sockets", "Char", "Firmware"],
    ["IRPasses", "Formats", "Appliance", "NBD", "Monitor", "Net", "Display"],
    ["Translation", "BlockMonitor", "ImageTool"],
    ["Interpreter", "X64", "RISCV", "Debugger", "Devices", "Translated", "StorageTool"],
    ["Machines", "MachineDebugger"],
    ["MachineMonitor"],
    ["UserMode", "SystemCommand"],
    ["Registry"],
    ["apus"],
]

private struct Target {
    var name: String
    var path: String
    var dependencies: [String]
}

private let repository: URL = {
    var url = URL(fileURLWithPath: #filePath)
    for _ in 0..<3 { url.deleteLastPathComponent() }
    return url
}()

private func floor(of name: String) -> Int? { floors.firstIndex { $0.contains(name) } }

/// The text between the parenthesis at `start` and the one that closes it.
private func parenthesised(_ text: Substring) -> Substring {
    var depth = 0
    for index in text.indices {
        switch text[index] {
        case "(": depth += 1
        case ")":
            depth -= 1
            if depth == 0 { return text[text.startIndex...index] }
        default: break
        }
    }
    return text
}

private func firstString(after label: String, in text: Substring) -> String? {
    guard let range = text.range(of: label) else { return nil }
    let parts = text[range.upperBound...].split(separator: "\"", maxSplits: 2, omittingEmptySubsequences: false)
    return parts.count > 1 ? String(parts[1]) : nil
}

private func strings(in text: Substring) -> [String] {
    text.split(separator: "\"", omittingEmptySubsequences: false).enumerated().compactMap { $0 % 2 == 1 ? String($1) : nil }
}

/// The targets of the package whose sources are in Sources/.
private func targets() throws -> [Target] {
    let text = try String(contentsOf: repository.appendingPathComponent("Package.swift"), encoding: .utf8)
        .split(separator: "\n", omittingEmptySubsequences: false)
        .filter { !$0.trimmingCharacters(in: .whitespaces).hasPrefix("//") }.joined(separator: "\n")
    var result: [Target] = []
    for kind in [".target(name:", ".executableTarget(name:", ".systemLibrary(name:"] {
        var rest = text[...]
        while let found = rest.range(of: kind) {
            let body = parenthesised(rest[found.lowerBound...])
            rest = rest[found.upperBound...]
            guard let name = firstString(after: "name:", in: body) else { continue }
            var dependencies: [String] = []
            if let list = body.range(of: "dependencies: [") {
                let inside = body[list.upperBound...].prefix { $0 != "]" }
                // `.product(name: …, package: …)` names packages from outside, which are no rooms of this house.
                let own = inside.replacing(#/\.product\([^)]*\)/#, with: "")
                dependencies = strings(in: own[...])
            }
            let path = firstString(after: "path:", in: body) ?? "Sources/\(name)"
            if path.hasPrefix("Tests/") { continue }   // what tests share, and test programs
            result.append(Target(name: name, path: path, dependencies: dependencies))
        }
    }
    return result
}

private func swiftFiles(under path: String) -> [URL] {
    let folder = repository.appendingPathComponent(path)
    let all = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
    return (all?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }
}

@Test func dependenciesPointDownwards() throws {
    let all = try targets()
    #expect(all.count >= 12, "the target list of Package.swift was not understood")
    var faults: [String] = []
    for target in all {
        guard let own = floor(of: target.name) else { faults.append("\(target.name) stands on no floor"); continue }
        for dependency in target.dependencies {
            guard let other = floor(of: dependency) else { faults.append("\(target.name) → \(dependency): no such floor"); continue }
            if other >= own { faults.append("\(target.name) → \(dependency) points upwards or sideways") }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}

@Test func importsAreDeclaredAndPointDownwards() throws {
    let all = try targets()
    let names = Set(all.map(\.name))
    var faults: [String] = []
    for target in all {
        guard let own = floor(of: target.name) else { continue }
        for file in swiftFiles(under: target.path) {
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") where line.contains("import ") {
                guard let module = line.firstMatch(of: #/^\s*(?:@\S+\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?import\s+(?:(?:struct|class|enum|protocol|func|let|var|typealias)\s+)?(\w+)/#)
                    .map({ String($0.1) }), names.contains(module) else { continue }
                let place = "\(target.path)/\(file.lastPathComponent): import \(module)"
                if let other = floor(of: module), other >= own { faults.append("\(place) points upwards or sideways") }
                if !target.dependencies.contains(module) { faults.append("\(place) is not declared in Package.swift") }
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}

@Test func everySourceBelongsToATarget() throws {
    let paths = try targets().map { repository.appendingPathComponent($0.path).path + "/" }
    let strays = swiftFiles(under: "Sources").map(\.path).filter { file in !paths.contains { file.hasPrefix($0) } }
    #expect(strays.isEmpty, "in no target: \(strays)")
}
