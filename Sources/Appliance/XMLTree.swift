// XML as a tree, by expat: small documents only, and bounded ones.
//
// Unsafe code: expat calls back with a pointer to the builder, which lives for the length of the parse, and with C strings
// that are copied at once.

import Block
import CExpat

/// An element. Names are without namespaces: OVF's do not collide.
struct XMLElement {
    var name: String
    var attributes: [String: String] = [:]
    /// Its own, without its children's; spaces at the ends cut off.
    var text = ""
    var children: [XMLElement] = []

    func children(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }
    func child(_ name: String) -> XMLElement? { children.first { $0.name == name } }
    /// The text of a child, if there is any.
    func text(of name: String) -> String? { child(name).flatMap { $0.text.isEmpty ? nil : $0.text } }
}

enum XMLTree {
    /// Larger documents are refused.
    static let largest = 16 << 20
    private static let mostElements = 100_000
    private static let deepest = 64

    /// The root element. - Throws: `corrupt`: no well-formed XML, or more of it than is taken.
    static func parse(_ bytes: [UInt8]) throws(BlockError) -> XMLElement {
        guard bytes.count <= largest else { throw .corrupt(at: 0, "\(bytes.count) bytes of XML: expected at most \(largest)") }
        let separator = XML_Char(bitPattern: UInt8(ascii: "|"))
        guard let parser = XML_ParserCreateNS(nil, separator) else { throw BlockError(.noSpace, "no memory for an XML parser") }
        defer { XML_ParserFree(parser) }
        let builder = Builder(parser)
        XML_SetUserData(parser, Unmanaged.passUnretained(builder).toOpaque())
        XML_SetElementHandler(parser, { data, name, attributes in
            guard let data, let name else { return }
            Unmanaged<Builder>.fromOpaque(data).takeUnretainedValue().begin(String(cString: name), attributes)
        }, { data, _ in
            guard let data else { return }
            Unmanaged<Builder>.fromOpaque(data).takeUnretainedValue().end()
        })
        XML_SetCharacterDataHandler(parser) { data, text, count in
            guard let data, let text else { return }
            let bytes = UnsafeRawBufferPointer(start: text, count: Int(count))
            Unmanaged<Builder>.fromOpaque(data).takeUnretainedValue().add(String(decoding: bytes, as: UTF8.self))
        }
        let status = bytes.withUnsafeBytes { XML_Parse(parser, $0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count), 1) }
        let line = XML_GetCurrentLineNumber(parser)
        if let problem = builder.problem { throw .corrupt("line \(line): \(problem)") }
        guard status == XML_STATUS_OK else {
            throw .corrupt("line \(line): \(XML_ErrorString(XML_GetErrorCode(parser)).map { String(cString: $0) } ?? "no XML")")
        }
        guard let root = builder.root else { throw .corrupt("no XML element") }
        return withExtendedLifetime(builder) { root }
    }

    private final class Builder {
        private let parser: XML_Parser
        private var open: [XMLElement] = []
        private var count = 0
        private(set) var root: XMLElement?
        private(set) var problem: String?

        init(_ parser: XML_Parser) { self.parser = parser }

        private static func local(_ name: String) -> String { name.lastIndex(of: "|").map { String(name[name.index(after: $0)...]) } ?? name }

        func begin(_ name: String, _ attributes: UnsafeMutablePointer<UnsafePointer<XML_Char>?>?) {
            count += 1
            guard count <= mostElements, open.count < deepest else {
                problem = open.count < deepest ? "more than \(mostElements) elements" : "elements more than \(deepest) deep"
                XML_StopParser(parser, XML_Bool(XML_FALSE))
                return
            }
            var element = XMLElement(name: Self.local(name))
            var index = 0
            while let name = attributes?[index], let value = attributes?[index + 1] {
                element.attributes[Self.local(String(cString: name))] = String(cString: value)
                index += 2
            }
            open.append(element)
        }

        func add(_ text: String) { if !open.isEmpty { open[open.count - 1].text += text } }

        func end() {
            guard var element = open.popLast() else { return }
            element.text = element.text.trimmed
            if open.isEmpty { root = element } else { open[open.count - 1].children.append(element) }
        }
    }
}

extension String {
    /// Without spaces and ends of lines at its ends.
    var trimmed: String {
        var rest = self[...]
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        return String(rest)
    }
}
