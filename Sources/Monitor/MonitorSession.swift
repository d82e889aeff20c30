// One client of a monitor: the greeting, the negotiation, commands one after the other, and events in between. What is sent
// goes through a queue, so that a client that does not read holds nobody up; one that lets it grow too long is cut off.

import Core
import Host
import Sockets

/// Where a client's bytes come from and go to.
public protocol MonitorStream: AnyObject, Sendable {
    /// 0: the end.
    func receive(_ memory: UnsafeMutableRawBufferPointer) throws(SocketError) -> Int
    func send(_ bytes: [UInt8]) throws(SocketError)
    func shutDown()
}
extension Channel: MonitorStream {}

/// A client's session.
public final class MonitorSession: Sendable {
    private static let longestQueue = 32 << 20
    private struct Queue {
        var messages: [[UInt8]] = []
        var bytes = 0
        /// Commands under way whose answers are to come, and messages on their way out.
        var unsettled = 0
        var isOver = false
        var isEmptied = false
    }
    private let monitor: Monitor
    private let stream: any MonitorStream
    private let isPretty: Bool
    private let queue = Waiting(Queue())
    private let isReady = Locked(false)

    public init(_ monitor: Monitor, _ stream: any MonitorStream, pretty: Bool = false) {
        self.monitor = monitor
        self.stream = stream
        isPretty = pretty
    }

    /// Serves the client on this thread until it goes.
    public func run() {
        guard BackgroundThread.start({ [self] in write() }) else { return }
        monitor.enter(self)
        send(monitor.greeting)
        var input = JSONStream()
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !queue.look({ $0.isOver }) {
            var count = 0
            do throws(SocketError) {
                count = try buffer.withUnsafeMutableBufferPointer { (memory: inout UnsafeMutableBufferPointer<UInt8>) throws(SocketError) -> Int in
                    try stream.receive(UnsafeMutableRawBufferPointer(memory))
                }
            } catch { break }
            if count == 0 { break }
            for piece in input.take(buffer[..<count]) {
                switch piece {
                case .value(let text):
                    queue.change { $0.unsettled += 1 }
                    send(answer(text))
                    queue.change { $0.unsettled -= 1 }
                case .broken(let text): send(MonitorSession.failure(MonitorError(text), nil))
                }
            }
        }
        monitor.leave(self)
        queue.change { $0.isOver = true }
        _ = queue.wait(seconds: 5) { $0.isEmptied ? true : nil }
        stream.shutDown()
    }

    /// An event.
    func tell(_ event: JSONValue) { if isReady.withLock({ $0 }) { send(event) } }

    /// Waits until all is said. - Returns: whether that was before `seconds` had passed.
    func settle(seconds: Double) -> Bool { queue.wait(seconds: seconds) { $0.isOver || $0.unsettled == 0 && $0.messages.isEmpty ? true : nil } ?? false }

    // MARK: Commands

    private static func failure(_ error: MonitorError, _ id: JSONValue?) -> JSONValue {
        .object((id.map { [.init("id", $0)] } ?? []) + [.init("error", .object([.init("class", .text(error.kind.rawValue)), .init("desc", .text(error.text))]))])
    }

    private func answer(_ text: String) -> JSONValue {
        let request: JSONValue
        do { request = try JSONValue(parsing: text) } catch { return MonitorSession.failure(MonitorError("JSON parse error, \(error.text)"), nil) }
        let id = request["id"]
        do throws(MonitorError) {
            let result = try perform(request)
            return .object((id.map { [.init("id", $0)] } ?? []) + [.init("return", result)])
        } catch { return MonitorSession.failure(error, id) }
    }

    private func perform(_ request: JSONValue) throws(MonitorError) -> JSONValue {
        guard let members = request.members else { throw MonitorError("QMP input must be a JSON object") }
        if let odd = members.first(where: { !["execute", "arguments", "id"].contains($0.name) }) { throw MonitorError("QMP input member '\(odd.name)' is unexpected") }
        guard let execute = request["execute"] else { throw MonitorError("QMP input lacks member 'execute'") }
        guard let name = execute.string else { throw MonitorError("QMP input member 'execute' must be a string") }
        let negotiates = name == "qmp_capabilities"
        let ready = isReady.withLock { $0 }
        if !ready, !negotiates { throw MonitorError("Expecting capabilities negotiation with 'qmp_capabilities'", .commandNotFound) }
        if ready, negotiates { throw MonitorError("Capabilities negotiation is already complete, command ignored", .commandNotFound) }
        let result = try monitor.execute(name, request["arguments"] ?? .object([]))
        if negotiates { isReady.withLock { $0 = true } }
        return result
    }

    // MARK: Output

    private func send(_ message: JSONValue) {
        let bytes = Array(((isPretty ? message.pretty : message.compact) + "\r\n").utf8)
        let tooMuch = queue.change { queue in
            if queue.isOver { return false }
            queue.messages.append(bytes)
            queue.bytes += bytes.count
            if queue.bytes > MonitorSession.longestQueue { queue.isOver = true }
            return queue.isOver
        }
        if tooMuch { stream.shutDown() }
    }

    private func write() {
        defer { queue.change { $0.isEmptied = true } }
        while true {
            let next = queue.wait { queue -> [[UInt8]]? in
                if queue.messages.isEmpty { return queue.isOver ? [] : nil }
                defer { queue.messages = []; queue.bytes = 0; queue.unsettled += 1 }
                return queue.messages
            } ?? []
            if next.isEmpty { return }
            defer { queue.change { $0.unsettled -= 1 } }
            for message in next {
                do throws(SocketError) { try stream.send(message) } catch {
                    queue.change { $0.isOver = true }
                    return stream.shutDown()
                }
            }
        }
    }
}
